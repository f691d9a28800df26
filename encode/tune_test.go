package encode

import (
	"testing"
	"time"
)

func TestTune(t *testing.T) {
	for _, c := range []struct {
		what             string
		width, height    int
		cores            int
		slow, layered    bool
		cpuUsed, threads int
	}{
		{"a thumbnail", 320, 180, 8, false, false, -4, 1},
		{"VGA", 640, 480, 2, false, false, -6, 1},
		{"720p on two cores", 1280, 720, 2, false, false, -6, 1},
		{"720p in layers", 1280, 720, 2, false, true, -8, 1},
		{"360p in layers", 640, 360, 2, false, true, -6, 1},
		{"720p on many", 1280, 720, 16, false, false, -6, 1},
		{"1080p on two", 1920, 1080, 2, false, false, -6, 1},
		{"1080p on a laptop", 1920, 1080, 8, false, false, -6, 2},
		{"4K on a laptop", 3840, 2160, 8, false, false, -8, 4},
		{"a thumbnail on a Pi", 320, 180, 4, true, false, -8, 1},
		{"720p on a Pi", 1280, 720, 4, true, false, -10, 2},
		{"1080p on a Pi", 1920, 1080, 4, true, false, -12, 2},
		{"1080p on a Pi Zero", 1920, 1080, 1, true, false, -12, 1},
	} {
		cpuUsed, threads := tune(c.width, c.height, c.cores, c.slow, c.layered)
		if cpuUsed != c.cpuUsed || threads != c.threads {
			t.Errorf("%s: cpu-used %d, %d threads; want %d, %d", c.what, cpuUsed, threads, c.cpuUsed, c.threads)
		}
	}
}

func TestPartitions(t *testing.T) {
	for threads, want := range map[int]int{0: 0, 1: 0, 2: 1, 3: 2, 4: 2, 8: 3, 64: 3} {
		if got := partitionsLog2(threads); got != want {
			t.Errorf("%d threads: 2^%d partitions, want 2^%d", threads, got, want)
		}
	}
}

func TestMaxIntra(t *testing.T) {
	for fps, want := range map[float64]int{1: 300, 10: 300, 15: 450, 30: 900} {
		if got := maxIntraPercent(fps, false); got != want {
			t.Errorf("%v frames a second: %d %%, want %d", fps, got, want)
		}
	}
	for fps, want := range map[float64]int{5: 450, 30: 450, 60: 900} {
		if got := maxIntraPercent(fps, true); got != want {
			t.Errorf("%v frames a second in a steady stream: %d %%, want %d", fps, got, want)
		}
	}
}

func TestClockTellsTheTrueRate(t *testing.T) {
	for _, fps := range []float64{5, 15, 29.97, 30, 60} {
		c := newPTSClock(30)
		var first, last int64
		for i := range 1000 {
			pts, _ := c.next(at(i, fps))
			if i == 300 { // by then it believes a rate that was not promised
				first = pts
			}
			last = pts
		}
		want := 699 * clockRate / fps
		if got := float64(last - first); got < want*0.99 || got > want*1.01 {
			t.Errorf("%v fps: 699 frames last %.0f ticks, want %.0f", fps, got, want)
		}
	}
}

// Rate control takes a gap that differs for a new frame rate: one that is
// jitter must not reach it.
func TestClockHidesJitter(t *testing.T) {
	c := newPTSClock(30)
	before, _ := c.next(at(0, 30))
	for i := 1; i < 300; i++ {
		late := time.Duration(i*7919%31) * time.Millisecond
		pts, _ := c.next(at(i, 30).Add(late))
		if gap := pts - before; gap < clockRate/30*80/100 || gap > clockRate/30*120/100 {
			t.Errorf("picture %d: a gap of %d ticks, the camera's is %d", i, gap, clockRate/30)
		}
		before = pts
	}
}

func FuzzPTSClock(f *testing.F) {
	f.Add(30.0, int64(0), int64(33_000_000), int64(-1))
	f.Add(1.0, int64(1)<<62, int64(-1)<<62, int64(1))
	f.Add(0.0001, int64(time.Hour), int64(0), int64(0))
	f.Fuzz(func(t *testing.T, fps float64, a, b, c int64) {
		if !(fps > 0) {
			return
		}
		clock := newPTSClock(fps)
		last, now := int64(-1), at(0, 30)
		for i := range 30 {
			now = now.Add(time.Duration([]int64{a, b, c}[i%3]))
			pts, duration := clock.next(now)
			if pts <= last || pts > last+2*mostGap || duration < leastGap || duration > mostGap {
				t.Fatalf("frame %d at %v: pts %d after %d, lasting %d", i, now, pts, last, duration)
			}
			last = pts
		}
	})
}

func TestDemand(t *testing.T) {
	t0 := at(0, 1)
	d := demand{linger: 10 * time.Second}
	expect := func(seconds float64, wanted, open bool, again float64) {
		t.Helper()
		now := t0.Add(time.Duration(seconds * float64(time.Second)))
		gotOpen, at := d.next(now, wanted)
		got := -1.0
		if !at.IsZero() {
			got = at.Sub(t0).Seconds()
		}
		if gotOpen != open || got != again {
			t.Errorf("at %v s: open %v, again at %v; want %v, %v", seconds, gotOpen, got, open, again)
		}
	}
	expect(0, false, false, -1)
	expect(1, true, true, -1)
	d.opened()
	expect(2, true, true, -1)
	expect(3, false, true, 13)
	expect(8, false, true, 13)
	expect(9, true, true, -1)
	expect(10, false, true, 20)
	expect(20, false, false, 20)
	d.closed()
	expect(21, false, false, -1)
	expect(22, true, true, -1)
	d.failed(t0.Add(22*time.Second), true)
	expect(22, true, false, 22.5)
	expect(22.5, true, true, -1)
	for range 20 {
		d.failed(t0.Add(30*time.Second), false)
	}
	expect(30, true, false, 38)
	d.opened()
	d.failed(t0.Add(40*time.Second), true)
	expect(40, true, false, 40.5)
}
