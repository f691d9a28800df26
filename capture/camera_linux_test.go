package capture

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// aCamera returns the first camera, and skips where the machine has none.
func aCamera(t *testing.T) Device {
	t.Helper()
	cams, err := scanCameras(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if len(cams) == 0 {
		t.Skip("SKIPPED: this machine has no camera (modprobe vivid makes one)")
	}
	return cams[0].dev
}

func openFor(t *testing.T, spec string, want Format) VideoReader {
	t.Helper()
	s, err := newCamera(spec, Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestCameraPictures(t *testing.T) {
	cam := aCamera(t)
	for _, want := range []Format{{640, 480, 30}, {1280, 720, 30}} {
		r := openFor(t, cam.Name, want)
		var last time.Time
		for i := range 10 {
			began := time.Now()
			f, err := r.Read()
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				t.Logf("asked for %v: %v, frames of %v", want, r.Format(), f.Rect)
			}
			if f.Rect.Dx() != r.Format().Width || f.Rect.Dy() != r.Format().Height {
				t.Errorf("frame is %v, promised %v", f.Rect, r.Format())
			}
			if now := time.Now(); f.Time.After(now) || f.Time.Before(began.Add(-time.Second)) || !f.Time.After(last) {
				t.Errorf("frame %d read from %v to %v was taken %v, the one before %v", i, began, now, f.Time, last)
			}
			last = f.Time
			lo, hi := f.Y[0], f.Y[0]
			for _, y := range f.Y[:f.Rect.Dx()*f.Rect.Dy()] {
				lo, hi = min(lo, y), max(hi, y)
			}
			if hi-lo < 16 {
				t.Errorf("frame %d is all one grey, %d to %d", i, lo, hi)
			}
			f.Release()
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if _, err := r.Read(); !errors.Is(err, ErrClosed) {
			t.Errorf("read after close: %v", err)
		}
	}
}

func TestCameraCloseUnblocksRead(t *testing.T) {
	r := openFor(t, aCamera(t).Path, Format{})
	ended := make(chan error)
	go func() {
		for {
			f, err := r.Read()
			if err != nil {
				ended <- err
				return
			}
			f.Release()
		}
	}()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("read ended with %v", err)
	}
}

func TestCameraBusy(t *testing.T) {
	cam := aCamera(t)
	openFor(t, cam.Path, Format{})
	s, err := newCamera(cam.ID, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Open(t.Context(), Format{})
	if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "in use by this program itself") {
		t.Errorf("second open: %v", err)
	}
	t.Log(err)
	all, err := Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := all[0]; d.ID != cam.ID || !strings.Contains(d.Err, "in use by this program itself") || len(d.Formats) == 0 {
		t.Errorf("listed as %+v", d)
	}
}

// TestVividUnplugged pulls a camera and puts it back.
func TestVividUnplugged(t *testing.T) {
	cam := aVivid(t)
	cam.comesBack()
	r := openFor(t, cam.Path, Format{640, 480, 0})
	f, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	f.Release()
	cam.unplug()
	began := time.Now()
	for err == nil {
		if f, err = r.Read(); err == nil {
			f.Release()
		}
	}
	t.Logf("%v after the unplug: %v", time.Since(began), err)
	if !strings.Contains(err.Error(), "unplugged") {
		t.Errorf("unplug gives: %v", err)
	}
	if _, err := newCamera(cam.Path, Options{}); !errors.Is(err, ErrNoDevice) {
		t.Errorf("while it is away: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	cam.plug()
	f, err = openFor(t, cam.Name, Format{640, 480, 0}).Read()
	if err != nil {
		t.Fatal(err)
	}
	f.Release()
}

func TestStamp(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name      string
		age       time.Duration
		last      time.Time
		wantSince time.Duration // before arrival
	}{
		{"driver's time", 20 * time.Millisecond, now.Add(-time.Second), 20 * time.Millisecond},
		{"no time", -1, now.Add(-time.Second), 0},
		{"another clock", 40 * time.Hour, now.Add(-time.Second), 0},
		{"not before the last", 20 * time.Millisecond, now.Add(-10 * time.Millisecond), 10*time.Millisecond - time.Microsecond},
	} {
		if got := stamp(now, tt.age, tt.last); now.Sub(got) != tt.wantSince {
			t.Errorf("%s: %v before arrival, want %v", tt.name, now.Sub(got), tt.wantSince)
		}
	}
}
