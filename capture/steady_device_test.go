package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// plugged is a scripted source that is told when a device comes.
type plugged struct {
	*scripted
	came chan struct{}
}

func (p plugged) watch() *deviceWatch { return &deviceWatch{p.came, func() {}} }

// A camera plugged in again is tried at once, however long the pause would be.
func TestSteadyWakesForDevice(t *testing.T) {
	var log bytes.Buffer
	tried := make(chan int, 10)
	src := plugged{&scripted{play: func(n int, r *live[*Frame]) error {
		tried <- n
		if n < 2 {
			return fmt.Errorf("camera: %w", ErrNoDevice)
		}
		r.put(real())
		return nil
	}}, make(chan struct{}, 1)}
	o := quick(&log)
	o.Stall, o.backoff = time.Minute, backoff{time.Hour, time.Hour}
	s := Steady(src, o).(*steady)
	r, err := s.Open(t.Context(), Format{320, 240, 30})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	<-tried
	src.came <- struct{}{}
	until(t, r, new(time.Time), true).Release()
}

// The slate comes with the failure, not when the next one is due.
func TestSteadySlateAtOnce(t *testing.T) {
	var log bytes.Buffer
	src := &scripted{play: func(n int, r *live[*Frame]) error {
		if n > 1 {
			return errors.New("still away")
		}
		r.put(real())
		r.end(errors.New("cable was pulled"))
		return nil
	}}
	o := quick(&log)
	o.backoff = backoff{time.Hour, time.Hour}
	r, err := Steady(src, o).Open(t.Context(), Format{320, 240, 30})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var last time.Time
	until(t, r, &last, true).Release()
	f := until(t, r, &last, false)
	defer f.Release()
	if wait := r.(*steadyReader).nextSlate(&notice{"waiting for camera", "another reason"}); wait == nil {
		t.Fatal("no slate is due")
	} else {
		<-wait // at once: what is new does not wait for slatePeriod
	}
}

// A picture that was taken before the failure does not come after its slate.
func TestSteadySlateComesLast(t *testing.T) {
	for range 20 { // wrong, it would be by chance
		synctest.Test(t, func(t *testing.T) {
			src := &scripted{play: func(n int, r *live[*Frame]) error {
				if n > 1 {
					return errors.New("still away")
				}
				r.put(real())
				r.end(errors.New("cable was pulled"))
				return nil
			}}
			r, err := Steady(src, SteadyOptions{backoff: backoff{time.Hour, time.Hour}}).Open(t.Context(), Format{320, 240, 30})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			synctest.Wait() // until both wait to be read
			for i := range 2 {
				f, err := r.Read()
				if err != nil {
					t.Fatal(err)
				}
				if isReal(f) != (i == 0) {
					t.Errorf("frame %d: real %v", i, isReal(f))
				}
				f.Release()
			}
		})
	}
}

// A reader that wants its source opened again gets that without a slate.
func TestSteadyOpensAgain(t *testing.T) {
	var log bytes.Buffer
	src := &scripted{play: func(n int, r *live[*Frame]) error {
		r.put(real())
		if n < 5 {
			r.end(errPluggedIn)
		}
		return nil
	}}
	o := quick(&log)
	o.Stall = time.Minute
	r, err := Steady(src, o).Open(t.Context(), Format{320, 240, 30})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for src.count() < 5 {
		f, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if !isReal(f) {
			t.Error("a slate between two openings")
		}
		f.Release()
	}
	if bytes.Contains(log.Bytes(), []byte("no picture")) {
		t.Errorf("a warning although nothing is wrong: %s", log.String())
	}
}

func (s *scripted) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens
}

// While privacy is on the source is closed and nothing of it is shown.
func TestPrivacy(t *testing.T) {
	var log bytes.Buffer
	closed := make(chan struct{}, 10)
	src := &scripted{play: func(n int, r *live[*Frame]) error {
		r.onClose = func() { closed <- struct{}{} }
		r.put(real())
		r.put(real())
		return nil
	}}
	var private Privacy
	private.Set(true)
	o := quick(&log)
	o.Stall, o.Privacy = time.Minute, &private
	r, err := Steady(src, o).Open(t.Context(), Format{320, 240, 30})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var last time.Time
	for n := range 3 {
		if got := src.count(); got != n {
			t.Errorf("covered, and opened %d times, want %d", got, n)
		}
		for range 3 {
			f, err := r.Read()
			if err != nil {
				t.Fatal(err)
			}
			if isReal(f) {
				t.Error("a picture although the camera is covered")
			}
			last = f.Time
			f.Release()
		}
		private.Set(false)
		until(t, r, &last, true).Release()
		private.Set(true)
		<-closed
	}
	if bytes.Contains(log.Bytes(), []byte("no picture")) {
		t.Errorf("covering is told as a failure: %s", log.String())
	}
}

func TestPrivacySwitch(t *testing.T) {
	var none *Privacy
	if on, _ := none.State(); on || none.On() {
		t.Error("none is on")
	}
	var p Privacy
	_, changed := p.State()
	p.Set(false)
	select {
	case <-changed:
		t.Error("changed although it was off before")
	default:
	}
	p.Set(true)
	<-changed
	if !p.On() {
		t.Error("still off")
	}
}

// The test picture ends when there is a camera, and does not come back while
// that is away.
func TestAutoTakesCameraPluggedIn(t *testing.T) {
	cam := &laterCamera{}
	a := &autoVideo{camera: cam, standIn: &testVideo{}, log: Options{}.log()}
	r, err := a.Open(t.Context(), Format{64, 48, 100})
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	f.Release()
	s := &standIn{VideoReader: r, watch: pollDevices(time.Hour), done: make(chan struct{})}
	s.found.Store(true)
	if _, err := s.Read(); !errors.Is(err, errAgain) {
		t.Errorf("with a camera the test picture says %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Read(); !errors.Is(err, ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	cam.there = true
	if r, err = a.Open(t.Context(), Format{}); err != nil {
		t.Fatal(err)
	}
	r.Close()
	cam.there = false
	if _, err = a.Open(t.Context(), Format{}); !errors.Is(err, ErrNoDevice) {
		t.Errorf("after the camera was unplugged: %v, want what says that there is none", err)
	}
}

type laterCamera struct{ there bool }

func (*laterCamera) String() string { return "camera" }
func (c *laterCamera) Open(ctx context.Context, want Format) (VideoReader, error) {
	if !c.there {
		return noCamera{}.Open(ctx, want)
	}
	return (&testVideo{}).Open(ctx, want)
}
