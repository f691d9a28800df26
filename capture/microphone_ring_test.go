package capture

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestSoundRing(t *testing.T) {
	r := newSoundRing()
	var run soundRun
	if r.take(&run) {
		t.Fatal("an empty ring gave something")
	}
	t0 := time.Now()
	pcm := []int16{1, 2, 3}
	r.put(Samples{PCM: pcm, Time: t0})
	pcm[0] = 99 // the device reuses its buffer
	if !r.take(&run) || run.PCM[0] != 1 || len(run.PCM) != 3 || !run.Time.Equal(t0) {
		t.Fatalf("got %v", run)
	}
	for i := range micRuns + 5 {
		r.put(Samples{PCM: []int16{int16(i)}, Time: t0.Add(time.Duration(i))})
	}
	if r.dropped != 5 {
		t.Errorf("%d dropped, want 5", r.dropped)
	}
	for i := 5; i < micRuns+5; i++ { // the oldest went
		if !r.take(&run) || run.PCM[0] != int16(i) || !run.Time.Equal(t0.Add(time.Duration(i))) {
			t.Fatalf("run %d is %v", i, run)
		}
	}
	if r.take(&run) {
		t.Error("more than was put")
	}
}

func TestSoundRingDoesNotAllocate(t *testing.T) {
	r, pcm := newSoundRing(), make([]int16, 960)
	var run soundRun
	step := func() {
		r.put(Samples{PCM: pcm})
		r.take(&run)
	}
	for range 2 * micRuns {
		step()
	}
	if n := testing.AllocsPerRun(100, step); n > 0 {
		t.Errorf("%v allocations a run", n)
	}
}

func TestSoundClock(t *testing.T) {
	const d = 10 * time.Millisecond
	t.Run("jitter", func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		start := time.Now()
		var c soundClock
		var last time.Time
		for i := range 3000 {
			ideal := start.Add(time.Duration(i) * d)
			late := time.Duration(r.ExpFloat64() * float64(2*time.Millisecond))
			got := c.stamp(ideal.Add(d+late), d)
			if !got.After(last) {
				t.Fatalf("run %d at %v, the one before at %v", i, got.Sub(start), last.Sub(start))
			}
			if step := got.Sub(last); i > 200 && (step < d-time.Millisecond || step > d+time.Millisecond) {
				t.Errorf("run %d follows after %v", i, step)
			}
			if off := got.Sub(ideal); i > 200 && (off < -time.Millisecond || off > 3*time.Millisecond) {
				t.Errorf("run %d is %v off", i, off)
			}
			last = got
		}
	})
	t.Run("drift", func(t *testing.T) { // 200 ppm, after five minutes 60 ms
		for _, ppm := range []int{-200, 200} {
			start := time.Now()
			real := d + d*time.Duration(ppm)/1e6
			var c soundClock
			var off time.Duration
			for i := range 30000 {
				taken := start.Add(time.Duration(i) * real)
				off = c.stamp(taken.Add(d), d).Sub(taken)
			}
			if off < -time.Millisecond || off > time.Millisecond {
				t.Errorf("%d ppm: %v off", ppm, off)
			}
		}
	})
	t.Run("pause", func(t *testing.T) {
		start := time.Now()
		var c soundClock
		c.stamp(start, d)
		if got := c.stamp(start.Add(3*time.Second), d); !got.Equal(start.Add(3*time.Second - d)) {
			t.Errorf("after a pause of 3 s: %v", got.Sub(start))
		}
	})
	t.Run("burst", func(t *testing.T) { // a device that catches up
		start := time.Now()
		var c soundClock
		last := c.stamp(start, d)
		for range 20 {
			got := c.stamp(start, d)
			if !got.After(last) {
				t.Fatalf("%v is not after %v", got, last)
			}
			last = got
		}
	})
}
