package capture

import (
	"testing"
	"time"
)

func TestSizeGuard(t *testing.T) {
	g := sizeGuard{w: 1280, h: 720}
	for i, c := range []struct {
		w, h int
		want bool
	}{
		{1280, 720, true}, {1281, 720, true}, // even sizes are what counts
		{640, 480, false}, {1280, 720, true}, // one damaged header
		{640, 480, false}, {320, 240, false}, {640, 480, false}, {640, 480, false}, {640, 480, true}, // it insists
		{640, 480, true}, {1280, 720, false},
	} {
		if got := g.believe(c.w, c.h); got != c.want {
			t.Errorf("picture %d of %dx%d believed: %v", i, c.w, c.h, got)
		}
	}
	var fresh sizeGuard
	if !fresh.believe(640, 480) {
		t.Error("the first is not believed")
	}
}

func TestSleepWatch(t *testing.T) {
	const s = time.Second
	var w sleepWatch
	for i, c := range []struct {
		with, without time.Duration
		want          bool
	}{
		{100 * s, 90 * s, false}, // slept before it began
		{101 * s, 91 * s, false},
		{101*s + 400*time.Millisecond, 91 * s, false},
		{500 * s, 92 * s, true},
		{501 * s, 93 * s, false},
	} {
		if got := w.slept(c.with, c.without); got != c.want {
			t.Errorf("reading %d: slept %v", i, got)
		}
	}
}

func TestPictureRate(t *testing.T) {
	var p pictureRate
	now := time.Now()
	if p.fps() != 0 {
		t.Error("a rate of nothing")
	}
	for i := range 200 {
		step := 40 * time.Millisecond
		if i > 100 {
			step = 100 * time.Millisecond
		}
		now = now.Add(step)
		p.add(now)
		if i == 50 && (p.fps() < 24.9 || p.fps() > 25.1) {
			t.Errorf("%v frames/s, want 25", p.fps())
		}
	}
	if p.fps() < 9.9 || p.fps() > 10.1 || !p.full() {
		t.Errorf("%v frames/s, want 10", p.fps())
	}
}
