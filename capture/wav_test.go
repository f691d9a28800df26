package capture

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// wavBytes is a WAV file; tag 0xfffe makes it extensible, PCM.
func wavBytes(tag, bits, channels, rate int, data []byte) []byte {
	le := binary.LittleEndian
	f := le.AppendUint16(nil, uint16(tag))
	f = le.AppendUint16(f, uint16(channels))
	f = le.AppendUint32(f, uint32(rate))
	f = le.AppendUint32(f, uint32(rate*channels*bits/8))
	f = le.AppendUint16(f, uint16(channels*bits/8))
	f = le.AppendUint16(f, uint16(bits))
	if tag == 0xfffe {
		f = append(f, 22, 0, byte(bits), 0, 0, 0, 0, 0)
		f = append(f, "\x01\x00\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"...)
	}
	chunk := func(id string, b []byte) []byte {
		return append(le.AppendUint32([]byte(id), uint32(len(b))), b...)
	}
	body := append([]byte("WAVE"), chunk("LIST", []byte("some"))...)
	body = append(body, chunk("fmt ", f)...)
	body = append(body, chunk("data", data)...)
	return chunk("RIFF", body)
}

// streamed is a WAV file as it is written to a pipe: of unknown length.
func streamed(wav []byte) []byte {
	wav = bytes.Clone(wav)
	copy(wav[bytes.Index(wav, []byte("data"))+4:], "\xff\xff\xff\xff")
	return wav
}

func TestWAVFormats(t *testing.T) {
	quarter := int32(1 << 29) // of full scale, positive
	le := binary.LittleEndian
	for name, c := range map[string]struct {
		tag, bits int
		sample    []byte
	}{
		"8 bit":      {1, 8, []byte{128 + 32}},
		"16 bit":     {1, 16, le.AppendUint16(nil, uint16(quarter>>16))},
		"24 bit":     {1, 24, le.AppendUint32(nil, uint32(quarter))[1:]},
		"32 bit":     {1, 32, le.AppendUint32(nil, uint32(quarter))},
		"float":      {3, 32, le.AppendUint32(nil, math.Float32bits(0.25))},
		"extensible": {0xfffe, 24, le.AppendUint32(nil, uint32(quarter))[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			for channels := 1; channels <= 9; channels++ {
				data := bytes.Repeat(c.sample, channels*100)
				w, err := newWAVReader(bytes.NewReader(wavBytes(c.tag, c.bits, channels, 44100, data)), false)
				if err != nil {
					t.Fatal(err)
				}
				raw := make([]byte, len(data)+100)
				n, err := w.samples(raw)
				if n != len(data) || err != io.EOF {
					t.Fatalf("%d bytes of samples, %v; want %d, EOF", n, err, len(data))
				}
				got := make([]int16, 100*w.out())
				w.convert(got, raw[:n])
				for i, v := range got {
					// Equal channels stay what they are but for those that a
					// mix leaves out: LFE, and the ninth.
					if v < 8192*7/10 || v > 8200 {
						t.Fatalf("%d channels: sample %d is %d, want about 8192", channels, i, v)
					}
					if channels <= 2 && v != 8192 {
						t.Fatalf("%d channels: sample %d is %d, want 8192", channels, i, v)
					}
				}
			}
		})
	}
}

func TestMixKeepsSides(t *testing.T) {
	for channels := 2; channels <= 8; channels++ {
		raw := make([]byte, 2*channels)
		binary.LittleEndian.PutUint16(raw, 10000) // front left alone
		out := make([]int16, 2)
		pcm{48000, channels, signed16}.convert(out, raw)
		if out[0] < 3000 || out[1] != 0 {
			t.Errorf("%d channels: front left became %v", channels, out)
		}
	}
}

// A file's end is followed by its beginning without a gap, also where that
// falls within a run.
func TestWAVLoops(t *testing.T) {
	var data []byte
	for i := range 1000 { // 2.08 runs
		data = binary.LittleEndian.AppendUint16(data, uint16(i))
	}
	path := writeFile(t, "ramp.wav", append(wavBytes(1, 16, 1, 48000, data), "LIST\x02\x00\x00\x00ab"...))
	src, err := ParseAudio("file:"+path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	next := 0
	var last time.Time
	for range 10 {
		s, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range s.PCM {
			if int(v) != next {
				t.Fatalf("sample %d, want %d", v, next)
			}
			next = (next + 1) % 1000
		}
		if !last.IsZero() && s.Time.Sub(last) != 10*time.Millisecond {
			t.Errorf("runs are %v apart, want 10 ms", s.Time.Sub(last))
		}
		last = s.Time
	}
}

func TestWAVRefused(t *testing.T) {
	good := wavBytes(1, 16, 1, 48000, make([]byte, 960))
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"not WAV":    {[]byte("hello, this is text"), "not WAV"},
		"cut":        {good[:30], "byte 30"},
		"no samples": {wavBytes(1, 16, 1, 48000, nil), "holds no sound"},
		"A-law":      {wavBytes(6, 8, 1, 8000, make([]byte, 80)), "pcm_s16le"},
		"rate":       {wavBytes(1, 16, 1, 1, make([]byte, 80)), "rate of 1 Hz"},
		"channels":   {wavBytes(1, 16, 0, 48000, make([]byte, 80)), "0 channels"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, "bad.wav", c.content)
			src, err := ParseAudio("file:"+path, Options{})
			if err == nil {
				_, err = src.Open(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %q does not say %q and %q", err, path, c.want)
			}
		})
	}
	if _, err := ParseAudio("file:/no/such.wav", Options{}); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("a missing file: %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || u.Unwrap() == nil || os.IsNotExist(err) {
			return err
		}
		err = u.Unwrap()
	}
}

// Runs that arrive in bursts are stamped evenly; after a pause, anew.
func TestSampleClock(t *testing.T) {
	var c sampleClock
	start := time.Now()
	const run = 10 * time.Millisecond
	var last time.Time
	for i := range 300 {
		// Three runs at once every 30 ms.
		arrived := start.Add(time.Duration(i/3+1) * 3 * run)
		at := c.stamp(arrived, run)
		if i > 100 {
			if d := at.Sub(last); d < run-time.Millisecond || d > run+time.Millisecond {
				t.Fatalf("run %d is stamped %v after the one before", i, d)
			}
			if age := arrived.Sub(at); age < 0 || age > 4*run {
				t.Fatalf("run %d is stamped %v before it arrived", i, age)
			}
		}
		last = at
	}
	later := start.Add(time.Minute)
	if at := c.stamp(later, run); !at.Equal(later.Add(-run)) {
		t.Errorf("after a pause it stamps %v off", at.Sub(later.Add(-run)))
	}
	// A stream that is faster than the clock never makes stamps fall.
	last = c.next
	for range 100 {
		at := c.stamp(later, run)
		if at.Before(last.Add(-run)) || !c.next.After(last) {
			t.Fatal("stamps fall")
		}
		last = c.next
	}
}

func FuzzWAV(f *testing.F) {
	f.Add(wavBytes(1, 16, 2, 48000, make([]byte, 40)))
	f.Add(wavBytes(0xfffe, 24, 6, 44100, make([]byte, 54)))
	f.Add(streamed(wavBytes(3, 32, 1, 8000, make([]byte, 40))))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := newWAVReader(bytes.NewReader(b), false)
		if err != nil {
			return
		}
		raw := make([]byte, w.perRun()*w.block())
		out := make([]int16, w.perRun()*w.out())
		for {
			n, err := w.samples(raw)
			w.convert(out, raw[:n])
			if err != nil {
				return
			}
		}
	})
}
