package capture

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// rawVideo is I420 without any header as a stream.
type rawVideo struct {
	r      io.Reader
	size   layout
	fps    float64
	pool   framePool
	head   [1]byte // of the picture that begin waited for
	taken  int64   // bytes
	wasted []byte  // what skip reads into
}

// openRawVideo returns what reads pictures of that even size.
func openRawVideo(f Format) func(io.Reader) (stream[*Frame], error) {
	return func(r io.Reader) (stream[*Frame], error) {
		return &rawVideo{r: r, size: layout{w: f.Width, h: f.Height}, fps: f.FPS}, nil
	}
}

func (s *rawVideo) format() Format        { return Format{s.size.w, s.size.h, s.fps} }
func (s *rawVideo) period() time.Duration { return time.Duration(float64(time.Second) / s.fps) }

func (s *rawVideo) begin() (time.Time, error) {
	_, err := io.ReadFull(s.r, s.head[:])
	return time.Now(), err
}

func (s *rawVideo) take(at time.Time) (*Frame, error) {
	f := s.pool.get(s.size.w, s.size.h)
	if err := s.rest(f.i420()); err != nil {
		f.Release()
		return nil, err
	}
	f.Time = at
	return f, nil
}

func (s *rawVideo) skip() error {
	if s.wasted == nil {
		s.wasted = make([]byte, s.size.size())
	}
	return s.rest(s.wasted)
}

// rest reads what follows the head.
func (s *rawVideo) rest(b []byte) error {
	b[0] = s.head[0]
	n, err := io.ReadFull(s.r, b[1:])
	s.taken += int64(n) + 1
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("ends within a picture of %dx%d, at byte %d: %w", s.size.w, s.size.h, s.taken, io.ErrUnexpectedEOF)
	}
	return err
}
