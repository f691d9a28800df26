package capture

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// slowSource takes its time for the first frame, and for every other.
type slowSource struct {
	first, next time.Duration
	opens       int
}

func (s *slowSource) String() string { return "slow" }

func (s *slowSource) Open(context.Context, Format) (VideoReader, error) {
	s.opens++
	return &slowReader{s: s, wait: s.first, closed: make(chan struct{})}, nil
}

type slowReader struct {
	s      *slowSource
	wait   time.Duration
	closed chan struct{}
}

func (r *slowReader) Read() (*Frame, error) {
	select {
	case <-time.After(r.wait):
		r.wait = r.s.next
		return real(), nil
	case <-r.closed:
		return nil, ErrClosed
	}
}

func (r *slowReader) Format() Format {
	return Format{320, 240, float64(time.Second) / float64(r.s.next)}
}
func (r *slowReader) Close() error { close(r.closed); return nil }

// A camera that takes seconds to begin, or gives a frame in five seconds, must
// not be closed and opened for ever.
func TestSteadyHasPatienceWithTheSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &slowSource{first: 5 * time.Second, next: 5 * time.Second}
		r, err := Steady(src, SteadyOptions{}).Open(t.Context(), Format{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		last := time.Time{}
		for range 5 {
			until(t, r, &last, true).Release()
		}
		if src.opens != 1 {
			t.Errorf("it was opened %d times", src.opens)
		}
	})
}
