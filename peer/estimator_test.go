package peer

import (
	"math/rand/v2"
	"testing"
	"time"
)

// path simulates a bottleneck: a queue served at rate bit/s, then a delay. It
// runs faster than real time.
type path struct {
	rate   float64 // bit/s
	delay  time.Duration
	queue  time.Duration // longest; what would wait longer is lost
	loss   float64
	jitter time.Duration
	lag    time.Duration // by which packets come later and later within each second: a viewer short of CPU time

	limit  int       // most bit/s that the encoder makes; 0: what the estimate says
	free   time.Time // when the queue is empty
	random *rand.Rand
}

func (p *path) carry(at time.Time, size int) (arrives time.Time, ok bool) {
	if p.free.Before(at) {
		p.free = at
	}
	if p.free.Sub(at) > p.queue || p.random.Float64() < p.loss {
		return time.Time{}, false
	}
	p.free = p.free.Add(time.Duration(float64(size*8) / p.rate * float64(time.Second)))
	arrives = p.free.Add(p.delay + time.Duration(p.random.Float64()*float64(p.jitter)))
	return arrives.Add(p.lag * time.Duration(at.Nanosecond()) / time.Second), true
}

// simulate sends 30 frames a second at what the estimator says, and returns the mean target and the longest queue of each second.
func simulate(e *Estimator, p *path, seconds int, change func(second int)) (targets []float64, waits []time.Duration) {
	if p.random == nil {
		p.random = rand.New(rand.NewPCG(1, 2))
	}
	epoch := time.Unix(1_000_000, 0)
	now := epoch
	type packet struct {
		ack Ack
		at  time.Time
	}
	var flying []packet
	for s := range seconds {
		if change != nil {
			change(s)
		}
		sum, wait := 0.0, time.Duration(0)
		for range 30 {
			rate := e.Target()
			if p.limit > 0 {
				rate = min(rate, p.limit)
			}
			frame := rate / 30 / 8
			for sent := 0; sent < frame; sent += 1200 {
				size := min(1200, frame-sent)
				arrives, ok := p.carry(now, size)
				flying = append(flying, packet{Ack{Sent: now, Size: size, Received: ok, Arrived: arrives.Sub(epoch)}, arrives})
				wait = max(wait, p.free.Sub(now))
			}
			now = now.Add(time.Second / 30)
			// Feedback comes with every third frame.
			var acks []Ack
			for len(flying) > 0 && flying[0].at.Add(p.delay).Before(now) {
				acks = append(acks, flying[0].ack)
				flying = flying[1:]
			}
			if len(acks) > 0 {
				e.SetRTT(2 * p.delay)
				e.Feedback(now, acks)
			}
			sum += float64(e.Target())
		}
		targets, waits = append(targets, sum/30), append(waits, wait)
	}
	return targets, waits
}

const (
	testLeast = 150_000
	testMost  = 5_000_000
)

func newPath(rate float64) *path {
	return &path{rate: rate, delay: 20 * time.Millisecond, queue: 500 * time.Millisecond}
}

func TestEstimateFindsTheLink(t *testing.T) {
	for _, rate := range []float64{400e3, 1e6, 2.5e6} {
		e := NewEstimator(startBitrate, testLeast, testMost)
		targets, _ := simulate(e, newPath(rate), 40, nil)
		mean := 0.0
		for _, x := range targets[20:] {
			mean += x / 20
		}
		if mean < 0.6*rate || mean > 1.05*rate {
			t.Errorf("link of %.0f bit/s: estimate %.0f", rate, mean)
		}
	}
}

func TestEstimateRisesOnAWideLink(t *testing.T) {
	e := NewEstimator(startBitrate, testLeast, testMost)
	p := newPath(1e9)
	p.limit = 2_500_000
	targets, _ := simulate(e, p, 20, nil)
	if last := targets[len(targets)-1]; last < 2_500_000 {
		t.Errorf("on a gigabit the estimate is %.0f after 20 s of sending 2.5 Mbit/s", last)
	}
}

func TestEstimateFollowsAStep(t *testing.T) {
	e := NewEstimator(startBitrate, testLeast, testMost)
	p := newPath(2.5e6)
	targets, waits := simulate(e, p, 90, func(s int) {
		switch s {
		case 20:
			p.rate = 500e3
		case 45:
			p.rate = 2.5e6
		}
	})
	if targets[30] > 600e3 {
		t.Errorf("ten seconds after the fall to 500 kbit/s: %.0f", targets[30])
	}
	if waits[44] > 250*time.Millisecond {
		t.Errorf("packets still wait %v, 25 s after the fall", waits[44])
	}
	if targets[89] < 1.2e6 {
		t.Errorf("45 s after the rise to 2.5 Mbit/s: %.0f", targets[89])
	}
}

func TestSomeLossIsNotYieldedTo(t *testing.T) {
	e := NewEstimator(startBitrate, testLeast, testMost)
	p := newPath(4e6)
	p.loss = 0.05
	targets, _ := simulate(e, p, 40, nil)
	if last := targets[39]; last < 1.5e6 {
		t.Errorf("with 5 %% loss on 4 Mbit/s the estimate is %.0f", last)
	}
}

func TestEstimateStaysWithinItsBounds(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		e := NewEstimator(startBitrate, testLeast, testMost)
		p := &path{rate: 1e5 + r.Float64()*1e7, delay: time.Duration(r.Int64N(int64(300 * time.Millisecond))), queue: time.Second, loss: r.Float64() / 2, jitter: 20 * time.Millisecond}
		targets, _ := simulate(e, p, 20, func(int) { p.rate = 1e5 + r.Float64()*1e7 })
		for s, x := range targets {
			if x < testLeast || x > testMost {
				t.Fatalf("seed %d, second %d: estimate %.0f", seed, s, x)
			}
		}
	}
}

func TestReportsAloneDecideByLoss(t *testing.T) {
	e := NewEstimator(startBitrate, testLeast, testMost)
	now := time.Unix(1000, 0)
	for range 30 {
		now = now.Add(time.Second)
		e.Report(now, 0)
	}
	high := e.Target()
	if high < 2*startBitrate {
		t.Errorf("after 30 s without loss: %d", high)
	}
	for range 5 {
		now = now.Add(time.Second)
		e.Report(now, 0.3)
	}
	if e.Target() > high/2 {
		t.Errorf("after 5 s at 30 %% loss: %d of %d", e.Target(), high)
	}
}

// While the camera opens only a trickle of sound flows, and a busy viewer's
// jitter looks like a queue. That must not starve the picture that follows.
func TestATrickleDoesNotStarveWhatFollows(t *testing.T) {
	for seed := range uint64(10) {
		e := NewEstimator(startBitrate, testLeast, testMost)
		p := newPath(1e8)
		p.random = rand.New(rand.NewPCG(seed, 1))
		p.lag, p.limit = 300*time.Millisecond, 60_000
		targets, _ := simulate(e, p, 20, func(s int) {
			if s == 3 {
				p.lag, p.limit = 0, 0
			}
		})
		if targets[2] < startBitrate/3 {
			t.Errorf("seed %d: after 3 s of 60 kbit/s with jitter the estimate is %.0f", seed, targets[2])
		}
		if targets[19] < 1.5e6 {
			t.Errorf("seed %d: 17 s later it is %.0f", seed, targets[19])
		}
	}
}
