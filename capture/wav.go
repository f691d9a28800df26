package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// wavReader reads the samples of a WAV stream: PCM of 8, 16, 24 or 32 bits or
// 32 bit float, extensible or not, of known or unknown length.
type wavReader struct {
	pcm
	r    io.Reader
	off  int64 // bytes taken so far, for error messages
	data int64 // where the samples begin
	size int64 // of the samples in bytes
	left int64 // of size
}

// rawPCM is what is read when there is no WAV header.
var rawPCM = pcm{rate: 48000, channels: 1, encoding: signed16}

// newWAVReader reads the headers up to the samples. When raw is allowed and
// the stream does not begin like WAV, it is s16le at 48 kHz mono.
func newWAVReader(r io.Reader, raw bool) (*wavReader, error) {
	w := &wavReader{r: r}
	var b [12]byte
	n, err := io.ReadFull(r, b[:4])
	if err == io.EOF {
		return nil, io.EOF
	}
	if raw && string(b[:n]) != "RIFF" {
		w.r = io.MultiReader(bytes.NewReader(b[:n:n]), r)
		w.pcm, w.size, w.left = rawPCM, math.MaxInt64, math.MaxInt64
		return w, nil
	}
	if err == nil {
		_, err = io.ReadFull(r, b[4:])
	}
	if err != nil || string(b[:4]) != "RIFF" || string(b[8:]) != "WAVE" {
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return nil, err
		}
		return nil, fmt.Errorf("not WAV: begins with %q instead of RIFF....WAVE", b[:])
	}
	w.off = 12
	return w, w.chunks()
}

// chunks reads on to the samples.
func (w *wavReader) chunks() error {
	for {
		var b [8]byte
		if err := w.read(b[:]); err != nil {
			return err
		}
		id, size := string(b[:4]), int64(binary.LittleEndian.Uint32(b[4:]))
		switch id {
		case "fmt ":
			if err := w.format(size); err != nil {
				return err
			}
			continue
		case "data":
			if w.channels == 0 {
				return fmt.Errorf("broken WAV at byte %d: samples before their format", w.off)
			}
			if size == 0 || size >= math.MaxInt32-1<<16 { // written to a pipe, so not known
				size = math.MaxInt64
			}
			w.data, w.size, w.left = w.off, size, size
			return nil
		}
		n, err := io.CopyN(io.Discard, w.r, size+size%2)
		w.off += n
		if err != nil {
			return w.cut(err)
		}
	}
}

// format reads the fmt chunk (WAVEFORMATEX, WAVEFORMATEXTENSIBLE).
func (w *wavReader) format(size int64) error {
	at := w.off
	if size < 16 || size > 1024 {
		return fmt.Errorf("broken WAV at byte %d: a format of %d bytes", at, size)
	}
	b := make([]byte, size+size%2)
	if err := w.read(b); err != nil {
		return err
	}
	le := binary.LittleEndian
	tag, bits := le.Uint16(b), le.Uint16(b[14:])
	if tag == 0xfffe && size >= 40 {
		tag = le.Uint16(b[24:])
	}
	p := pcm{rate: int(le.Uint32(b[4:])), channels: int(le.Uint16(b[2:]))}
	switch {
	case tag == 1 && bits == 8:
		p.encoding = unsigned8
	case tag == 1 && bits == 16:
		p.encoding = signed16
	case tag == 1 && bits == 24:
		p.encoding = signed24
	case tag == 1 && bits == 32:
		p.encoding = signed32
	case tag == 3 && bits == 32:
		p.encoding = float32le
	default:
		return fmt.Errorf("WAV at byte %d: format %d with %d bits is not known here: write 16 bit PCM (ffmpeg: -c:a pcm_s16le)", at, tag, bits)
	}
	if p.rate < 8000 || p.rate > 192000 {
		return fmt.Errorf("WAV at byte %d: a rate of %d Hz is not within 8000 and 192000", at, p.rate)
	}
	if p.channels < 1 || p.channels > 64 {
		return fmt.Errorf("WAV at byte %d: %d channels are not within 1 and 64", at, p.channels)
	}
	w.pcm = p
	return nil
}

func (w *wavReader) read(b []byte) error {
	n, err := io.ReadFull(w.r, b)
	w.off += int64(n)
	return w.cut(err)
}

func (w *wavReader) cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("broken WAV: ends at byte %d, before its samples: %w", w.off, io.ErrUnexpectedEOF)
	}
	return err
}

// samples fills raw with whole samples and returns how much that was; io.EOF
// with the last ones, or after them.
func (w *wavReader) samples(raw []byte) (int, error) {
	if int64(len(raw)) > w.left {
		raw = raw[:w.left]
	}
	n, err := io.ReadFull(w.r, raw)
	w.off += int64(n)
	w.left -= int64(n)
	if err == io.ErrUnexpectedEOF || w.left == 0 {
		err = io.EOF
	}
	return n - n%w.block(), err
}

// rewind goes back to the first sample.
func (w *wavReader) rewind() error {
	s, ok := w.r.(io.Seeker)
	if !ok {
		return errors.New("cannot be rewound")
	}
	_, err := s.Seek(w.data, io.SeekStart)
	w.off, w.left = w.data, w.size
	return err
}

// perRun is how many samples a channel make about 10 ms.
func (p pcm) perRun() int { return p.rate / 100 }

// run is a run of sound that is recycled.
type run struct {
	Samples
	room []int16
	free chan *run
}

// Release hands it back to its stream.
func (r *run) Release() {
	select {
	case r.free <- r:
	default:
	}
}

// audioStream is WAV or s16le as a stream.
type audioStream struct {
	*wavReader
	raw   []byte
	n     int   // of raw that is read
	err   error // that came with it
	clock sampleClock
	free  chan *run
}

func openAudioStream(r io.Reader) (stream[*run], error) {
	w, err := newWAVReader(r, true)
	if err != nil {
		return nil, err
	}
	return &audioStream{
		wavReader: w,
		raw:       make([]byte, w.perRun()*w.block()),
		free:      make(chan *run, audioRoom+2), // and one with the reader, one being filled
	}, nil
}

func (s *audioStream) format() Format { return Format{} }

func (s *audioStream) period() time.Duration {
	return ticks(int64(s.perRun()), int64(s.rate), 1)
}

func (s *audioStream) begin() (time.Time, error) {
	if s.err != nil {
		return time.Time{}, s.err
	}
	s.n, s.err = s.samples(s.raw)
	if s.n == 0 {
		return time.Time{}, s.err
	}
	return s.clock.stamp(time.Now(), ticks(int64(s.n/s.block()), int64(s.rate), 1)), nil
}

func (s *audioStream) take(at time.Time) (*run, error) {
	var r *run
	select {
	case r = <-s.free:
	default:
		r = &run{room: make([]int16, s.perRun()*s.out()), free: s.free}
	}
	s.convert(r.room, s.raw[:s.n])
	r.Samples = Samples{PCM: r.room[:s.n/s.block()*s.out()], Rate: s.rate, Channels: s.out(), Time: at}
	return r, nil
}

func (s *audioStream) skip() error { return nil }

// sampleClock stamps runs that arrive in bursts: evenly, as their samples
// count, led after the runs that came with the least delay.
type sampleClock struct{ next time.Time }

// clockJump is a pause in the stream; what comes after it is stamped anew.
const clockJump = 150 * time.Millisecond

// stamp is when a run's first sample was taken, given when the run had arrived
// and how long it sounds. It rises strictly.
func (c *sampleClock) stamp(arrived time.Time, length time.Duration) time.Time {
	heard := arrived.Add(-length) // or earlier, if the run was delayed
	at := heard
	if d := heard.Sub(c.next); !c.next.IsZero() && d <= clockJump {
		if d > 0 {
			at = c.next.Add(d / 512)
		} else { // no run is there before it was taken: follow soon, but never back
			at = c.next.Add(max(d/8, -length/2))
		}
	}
	c.next = at.Add(length)
	return at
}
