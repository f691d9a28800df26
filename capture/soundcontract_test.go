package capture

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// The contract of every source of sound, whatever it is made of; those of
// PulseAudio and ALSA pass it in their own tests.

func TestAudioContract(t *testing.T) {
	wav := wavBytes(1, 16, 1, 48000, make([]byte, 2*4800))
	for name, c := range map[string]struct {
		spec string
		live bool // arrives when it likes
	}{
		"test":     {"test", false},
		"wav":      {"file:" + writeFile(t, "a.wav", wav), false},
		"exec wav": {"exec:" + forever("cat "+writeFile(t, "b.wav", streamed(wav))), true},
		"exec raw": {"exec:" + forever("head -c 9600 /dev/zero"), true},
		"stdin":    {"-", true},
	} {
		t.Run(name, func(t *testing.T) {
			var o Options
			if c.spec == "-" {
				o.Stdin = livePipe(t, nil, make([]byte, 960))
			}
			src, err := ParseAudio(c.spec, o)
			if err != nil {
				t.Fatal(err)
			}
			if c, ok := src.(io.Closer); ok {
				t.Cleanup(func() { c.Close() })
			}
			audioContract(t, src, c.live)
			audioContract(t, NewSound(src, SoundOptions{}), c.live)
		})
	}
}

// audioContract opens a source twice: its runs are whole, rise, and follow one
// another as their samples count; Close ends a Read that waits, for good.
func audioContract(t *testing.T, src AudioSource, live bool) {
	t.Helper()
	if src.String() == "" {
		t.Error("the source has no name")
	}
	for range 2 {
		r, err := src.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var last, end time.Time
		for i := range 20 {
			s, err := r.Read()
			if err != nil {
				t.Fatal(err)
			}
			if s.Rate < 8000 || s.Rate > 192000 || s.Channels < 1 || s.Channels > 2 || len(s.PCM) == 0 || len(s.PCM)%s.Channels != 0 {
				t.Fatalf("%d samples at %d Hz, %d channels", len(s.PCM), s.Rate, s.Channels)
			}
			length := ticks(int64(len(s.PCM)/s.Channels), int64(s.Rate), 1)
			if length > 200*time.Millisecond {
				t.Errorf("a run lasts %v", length)
			}
			// A command may be ahead of time by as much as its meter lets it.
			if ahead := time.Until(s.Time); !s.Time.After(last) || ahead > 0 && !live || ahead > 2*meterAhead {
				t.Errorf("run %d is stamped %v after the one before, %v ago", i, s.Time.Sub(last), time.Since(s.Time))
			}
			switch off := s.Time.Sub(end); {
			case i == 0 || live: // what comes in bursts is brought back to now
			case off < -time.Second/48000:
				t.Errorf("run %d begins %v before the end of the one before", i, -off)
			case off > time.Second/48000 && off < time.Second: // so long the test slept
				t.Errorf("run %d begins %v after the end of the one before", i, off)
			}
			last, end = s.Time, s.Time.Add(length)
		}
		closesWhileReading(t, func() error { _, err := r.Read(); return err }, r)
	}
}

func TestSoundOfAPipeEnds(t *testing.T) {
	for name, steady := range map[string]bool{"plain": false, "steady": true} {
		t.Run(name, func(t *testing.T) {
			out, in, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			src, err := ParseAudio("-", Options{Stdin: out})
			if err != nil {
				t.Fatal(err)
			}
			defer src.(io.Closer).Close()
			if steady {
				src = NewSound(src, SoundOptions{})
			}
			if _, err := in.Write(make([]byte, 9600)); err != nil {
				t.Fatal(err)
			}
			r, err := src.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			in.Close()
			for err == nil {
				_, err = r.Read()
			}
			if !errors.Is(err, io.EOF) {
				t.Errorf("a pipe that was closed ends with: %v", err)
			}
		})
	}
}

// What cannot be had is refused with an error that names it.
func TestSoundRefused(t *testing.T) {
	for spec, want := range map[string]string{
		"exec:echo not there >&2; exit 3":                       "not there",
		"file:" + writeFile(t, "no.wav", []byte("no sound")):    "no.wav",
		"file:" + writeFile(t, "cut.wav", []byte("RIFF1234WA")): "cut.wav",
		"file:":                        "needs a path",
		"":                             "--mic is empty",
		"a microphone that nobody has": "a microphone that nobody has",
	} {
		src, err := ParseAudio(spec, Options{})
		if err == nil {
			_, err = src.Open(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v does not say %q", spec, err, want)
		}
	}
}
