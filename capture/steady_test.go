package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// scripted is a source whose openings do what a test says.
type scripted struct {
	mu    sync.Mutex
	opens int
	play  func(opening int, r *live[*Frame]) error // an error fails Open
}

func (s *scripted) String() string { return "scripted" }

func (s *scripted) Open(context.Context, Format) (VideoReader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens++
	l := newLive[*Frame](10)
	l.onClose = func() {}
	if err := s.play(s.opens, l); err != nil {
		return nil, err
	}
	return liveVideo{l, Format{320, 240, 30}}, nil
}

// real is a frame that no slate looks like.
func real() *Frame {
	f := new(framePool).get(320, 240)
	fill(f.YCbCr, f.Rect, colour{235, 128, 128})
	f.Time = time.Now()
	return f
}

func isReal(f *Frame) bool { return f.Y[0] == 235 }

func quick(log *bytes.Buffer) SteadyOptions {
	return SteadyOptions{
		Log:     slog.New(slog.NewTextHandler(log, nil)),
		Stall:   20 * time.Millisecond,
		backoff: backoff{time.Millisecond, 2 * time.Millisecond},
	}
}

// until reads until what is wanted comes, and checks what holds for all frames.
func until(t *testing.T, r VideoReader, last *time.Time, wantReal bool) *Frame {
	t.Helper()
	for {
		f, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if !f.Time.After(*last) {
			t.Fatalf("stamp %v after %v", f.Time, *last)
		}
		*last = f.Time
		if isReal(f) == wantReal {
			return f
		}
		f.Release()
	}
}

// Whatever happens to the source, there is a picture, and it comes back.
func TestSteadyNeverDies(t *testing.T) {
	var log bytes.Buffer
	next := make(chan struct{}, 10) // lets a reopening happen
	src := &scripted{play: func(n int, r *live[*Frame]) error {
		if n > 4 {
			<-next
		}
		switch {
		case n <= 3:
			return fmt.Errorf("camera: %w", ErrNoDevice)
		case n == 4: // gives frames, then fails
			r.put(real())
			r.put(real())
			r.end(errors.New("cable was pulled"))
		case n <= 6: // gives a frame, then hangs
			r.put(real())
		case n == 7:
			r.put(real())
			r.end(io.EOF)
		default:
			t.Error("opened after its end")
		}
		return nil
	}}
	r, err := Steady(src, quick(&log)).Open(t.Context(), Format{640, 360, 30})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()

	var last time.Time
	f, err := r.Read()
	if err != nil || isReal(f) {
		t.Fatalf("the first picture is no slate, %v", err)
	}
	if f.Rect != image.Rect(0, 0, 640, 360) {
		t.Errorf("the slate is %v, want what was asked for", f.Rect)
	}
	last = f.Time
	f.Release()
	for range 3 { // openings 4, 5 and 6
		until(t, r, &last, true).Release()
		f := until(t, r, &last, false)
		if f.Rect != image.Rect(0, 0, 320, 240) {
			t.Errorf("the slate is %v, want the last frame's size", f.Rect)
		}
		f.Release()
		next <- struct{}{}
	}
	until(t, r, &last, true).Release()
	for err == nil {
		if f, err = r.Read(); err == nil {
			f.Release()
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("after the source's end: %v, want EOF", err)
	}
	if f := r.Format(); f != (Format{320, 240, 30}) {
		t.Errorf("format %v, want the source's", f)
	}
}

// The log has a line when the picture goes and when it comes, none a retry.
func TestSteadyLogsChangesOnly(t *testing.T) {
	var log bytes.Buffer
	tries := make(chan struct{}, 100)
	src := &scripted{play: func(n int, r *live[*Frame]) error {
		tries <- struct{}{}
		if n < 20 {
			return errors.New("busy")
		}
		r.put(real())
		return nil
	}}
	o := quick(&log)
	o.Stall = time.Minute
	r, err := Steady(src, o).Open(t.Context(), Format{})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		<-tries
	}
	until(t, r, new(time.Time), true).Release()
	r.Close()
	if got := strings.Count(log.String(), "\n"); got != 2 {
		t.Errorf("%d lines, want 2:\n%s", got, log.String())
	}
	if !strings.Contains(log.String(), "busy") {
		t.Errorf("the log does not say why: %s", log.String())
	}
}

// What viewers read has no password and no directory in it.
func TestSlateTellsNoSecrets(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("camera auto: %w; plug one in", ErrNoDevice), "no camera found"},
		{&ExecError{"exec:ffmpeg", errors.New("the command ended"), "cannot open rtsp://me:pw@host"}, "exec:ffmpeg: the command ended"},
		{errors.New("open http://me:pw@host/a: refused"), "open http://***@host/a: refused"},
		{errors.New("/home/me/films/a.y4m: is empty"), "a.y4m: is empty"},
	} {
		if got := brief(c.err); got != c.want {
			t.Errorf("%q becomes %q, want %q", c.err, got, c.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	b := backoff{250 * time.Millisecond, 5 * time.Second}
	for failures, want := range map[int]time.Duration{1: 250, 2: 500, 3: 1000, 5: 4000, 6: 5000, 1 << 40: 5000} {
		if got := b.after(failures); got != want*time.Millisecond {
			t.Errorf("after %d failures %v, want %v", failures, got, want*time.Millisecond)
		}
	}
}

// Slates of all sizes and texts are drawn within their frame.
func TestSlateSizes(t *testing.T) {
	var s slate
	for _, size := range []image.Point{{16, 16}, {64, 48}, {17, 400}, {1280, 720}, {4000, 20}} {
		for _, text := range []string{"", "waiting for camera", strings.Repeat("Ünïcode 摄像头 ", 50)} {
			for range 3 {
				f := s.frame(size.X, size.Y, text, text)
				if f.Rect.Dx() != size.X&^1 || f.Rect.Dy() != size.Y&^1 {
					t.Errorf("a slate of %v, want %v", f.Rect, size)
				}
				f.Release()
			}
		}
	}
}

func BenchmarkSlate720p(b *testing.B) {
	var s slate
	b.ReportAllocs()
	for range b.N {
		s.frame(1280, 720, "waiting for camera", "no camera found").Release()
	}
}

// endless gives frames as fast as they are taken.
type endless struct {
	pool framePool
	done chan struct{}
}

func (e *endless) String() string                                    { return "endless" }
func (e *endless) Open(context.Context, Format) (VideoReader, error) { return e, nil }
func (e *endless) Format() Format                                    { return Format{320, 240, 30} }
func (e *endless) Close() error                                      { close(e.done); return nil }
func (e *endless) Read() (*Frame, error) {
	select {
	case <-e.done:
		return nil, ErrClosed
	default:
		f := e.pool.get(320, 240)
		f.Time = time.Now()
		return f, nil
	}
}

func BenchmarkSteady(b *testing.B) {
	r, err := Steady(&endless{done: make(chan struct{})}, SteadyOptions{}).Open(b.Context(), Format{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		f, err := r.Read()
		if err != nil {
			b.Fatal(err)
		}
		f.Release()
	}
	r.Close()
}
