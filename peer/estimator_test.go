package peer

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// steps is a rate that changes: pairs of seconds and bit/s.
func steps(pairs ...float64) func(time.Duration) float64 {
	return func(t time.Duration) float64 {
		r := pairs[1]
		for i := 0; i < len(pairs); i += 2 {
			if t.Seconds() >= pairs[i] {
				r = pairs[i+1]
			}
		}
		return r
	}
}

// simulate runs one call that would like demand bit/s.
func simulate(seed uint64, link simLink, demand float64, span time.Duration, change func(*simCall)) *simCall {
	c := newCall(newSimulation(seed), &link, demand)
	if change != nil {
		change(c)
	}
	c.start(0)
	c.run(span)
	return c
}

func TestEstimateFindsTheLink(t *testing.T) {
	for seed := range uint64(16) {
		r := rand.New(rand.NewPCG(seed, 1))
		rate := 200e3 * math.Pow(100, r.Float64()) // 0.2 to 20 Mbit/s
		link := simLink{
			rate: constant(rate), delay: ms + time.Duration(r.Int64N(int64(150*ms))),
			queue: 100*ms + time.Duration(r.Int64N(int64(900*ms))),
		}
		c := simulate(seed, link, 1.3*rate, 25*sec, nil)
		if got := c.mean(8*sec, 25*sec); got < 0.8*rate || got > 1.05*rate {
			t.Errorf("seed %d, %.0f bit/s, %v, queue of %v: estimate %.0f", seed, rate, link.delay, link.queue, got)
		}
		if got := c.throughput(8*sec, 25*sec); got < 0.75*rate {
			t.Errorf("seed %d, %.0f bit/s, %v, queue of %v: used %.0f", seed, rate, link.delay, link.queue, got)
		}
		own := time.Duration(2 * maxPacket * 8 / rate * 1e9)
		if got := c.wait(0.5, 8*sec, 25*sec); got > 30*ms+own {
			t.Errorf("seed %d, %.0f bit/s, %v, queue of %v: half of the packets wait more than %v", seed, rate, link.delay, link.queue, got)
		}
	}
}

func TestEstimateStartsRight(t *testing.T) {
	for _, start := range []int{cautiousStart, startBitrate} {
		for _, rate := range []float64{350e3, 600e3, 2.5e6, 10e6} {
			c := simulate(1, simLink{rate: constant(rate), delay: 40 * ms, queue: 200 * ms}, 2.5e6, 4*sec, func(c *simCall) {
				c.e = NewEstimator(start, 100_000, 100_000_000)
			})
			want := min(rate, 2.5e6)
			if got := c.mean(2*sec, 3*sec); got < 0.7*want {
				t.Errorf("link of %.0f bit/s: from %d to %.0f after two seconds", rate, start, got)
			}
			if got := c.targets[600*ms/(50*ms)]; got < 0.6*want {
				t.Errorf("link of %.0f bit/s: from %d to %.0f after 600 ms", rate, start, got)
			}
			if got := c.mean(1*sec, 2*sec); got > 1.1*rate {
				t.Errorf("link of %.0f bit/s: from %d to %.0f after one second", rate, start, got)
			}
			if start > cautiousStart {
				continue
			}
			if got := c.wait(0.95, 0, sec); c.lost > 0 || got > 150*ms {
				t.Errorf("link of %.0f bit/s: in the first second packets wait for %v, %d are lost", rate, got, c.lost)
			}
		}
	}
}

func TestEstimateFollowsAStep(t *testing.T) {
	for seed := range uint64(4) {
		c := simulate(seed, simLink{rate: steps(0, 2.5e6, 15, 0.5e6, 35, 2.5e6), delay: 20 * ms, queue: 200 * ms}, 2.5e6, 45*sec, nil)
		if got := c.targets[int(15400*ms/(50*ms))]; got > 0.55e6 {
			t.Errorf("seed %d: 0.4 s after the fall to 500 kbit/s the estimate is %.0f", seed, got)
		}
		if got := c.wait(0.9, 16*sec, 35*sec); got > 120*ms {
			t.Errorf("seed %d: a tenth of the packets wait longer than %v from a second after the fall", seed, got)
		}
		if got := c.throughput(17*sec, 35*sec); got < 0.38e6 {
			t.Errorf("seed %d: of 500 kbit/s %.0f are used", seed, got)
		}
		if got := c.mean(41*sec, 42*sec); got < 1.8e6 {
			t.Errorf("seed %d: 6 s after the rise to 2.5 Mbit/s the estimate is %.0f", seed, got)
		}
	}
}

func TestLossOfTheLinkIsNotYieldedTo(t *testing.T) {
	for seed := range uint64(8) {
		for _, loss := range []float64{0.02, 0.05, 0.10} {
			for _, start := range []int{cautiousStart, startBitrate} {
				c := simulate(seed, simLink{rate: constant(4e6), delay: 20 * ms, queue: 200 * ms, loss: loss}, 2.5e6, 30*sec, func(c *simCall) {
					c.back.loss = loss
					c.sound = seed%2 == 0
					c.e = NewEstimator(start, 100_000, 100_000_000)
				})
				// A trial now and then takes a second.
				if got := c.mean(5*sec, 30*sec); got < 2.2e6 {
					t.Errorf("seed %d: with %.0f %% loss on 4 Mbit/s the estimate is %.0f, from %d", seed, 100*loss, got, start)
				}
				if got := c.e.Loss(); math.Abs(got-loss) > 0.06 {
					t.Errorf("seed %d: %.2f lost are called %.2f", seed, loss, got)
				}
			}
		}
	}
}

func TestLossOfASlowLinkIsYieldedTo(t *testing.T) {
	for seed := range uint64(8) {
		c := simulate(seed, simLink{rate: constant(1e6), delay: 30 * ms, police: true}, 2.5e6, 30*sec, func(c *simCall) {
			c.e = NewEstimator([]int{cautiousStart, startBitrate}[seed%2], 100_000, 100_000_000)
		})
		if lost := float64(c.lost) / float64(c.sent); lost > 0.13 {
			t.Errorf("seed %d: a policer drops %.2f of the packets", seed, lost)
		}
		if got := c.throughput(5*sec, 30*sec); got < 0.75e6 {
			t.Errorf("seed %d: of 1 Mbit/s %.0f get through a policer", seed, got)
		}
	}
}

func TestJitterIsNotAQueue(t *testing.T) {
	for name, link := range map[string]simLink{
		"bursts of loss": {rate: constant(2.5e6), delay: 30 * ms, queue: 200 * ms, jitter: 15 * ms, loss: 0.03, burst: 5},
		"overtaking":     {rate: constant(2.5e6), delay: 30 * ms, queue: 200 * ms, jitter: 30 * ms, reorder: true},
		"lumps":          {rate: constant(2.5e6), delay: 10 * ms, queue: 200 * ms, lump: 20 * ms},
	} {
		for seed := range uint64(5) {
			c := simulate(seed, link, 2.5e6, 30*sec, nil)
			if got := c.mean(5*sec, 30*sec); got < 1.8e6 {
				t.Errorf("%s, seed %d: of 2.5 Mbit/s the estimate is %.0f", name, seed, got)
			}
			if got := c.wait(0.5, 5*sec, 30*sec); got > 50*ms {
				t.Errorf("%s, seed %d: half of the packets wait more than %v", name, seed, got)
			}
		}
	}
}

// Machines that are busy, and radios, hold packets back for a while and then
// let them out together: the link carries no less for that.
func TestStallsAreNotQueues(t *testing.T) {
	for name, x := range map[string]struct {
		link  simLink
		least float64
	}{
		"4 Mbit/s":           {simLink{rate: constant(4e6), delay: 20 * ms, queue: 200 * ms}, 2.5e6},
		"4 Mbit/s with loss": {simLink{rate: constant(4e6), delay: 20 * ms, queue: 200 * ms, loss: 0.05}, 2.3e6},
		"2.5 Mbit/s":         {simLink{rate: constant(2.5e6), delay: 20 * ms, queue: 200 * ms}, 1.9e6},
		"LAN":                {simLink{rate: constant(1e9), delay: ms, queue: 100 * ms}, 2.5e6},
		"thin":               {simLink{rate: constant(0.35e6), delay: 40 * ms, queue: 200 * ms}, 0.28e6},
	} {
		mean, wait := 0.0, time.Duration(0)
		const seeds = 6
		for seed := range uint64(seeds) {
			c := simulate(seed, x.link, 2.5e6, 30*sec, stalled(100*ms))
			mean += c.mean(4*sec, 30*sec) / seeds
			wait += c.wait(0.5, 4*sec, 30*sec) / seeds
		}
		if mean < x.least {
			t.Errorf("%s: the estimate is %.0f", name, mean)
		}
		if wait > 80*ms {
			t.Errorf("%s: half of the packets wait more than %v", name, wait)
		}
	}
}

func TestAnOutageIsSurvived(t *testing.T) {
	for seed := range uint64(5) {
		link := simLink{rate: steps(0, 4e6, 12, 0, 15, 4e6, 25, 0, 31, 4e6), delay: 20 * ms, queue: 200 * ms}
		c := simulate(seed, link, 2.5e6, 40*sec, func(c *simCall) { c.sound = seed%2 == 0 })
		for _, back := range []time.Duration{15 * sec, 31 * sec} {
			first := time.Duration(math.MaxInt64)
			for _, at := range c.waitAt {
				if at >= back {
					first = at
					break
				}
			}
			if first > back+220*ms {
				t.Errorf("seed %d: the first packet comes %v after the return of the link", seed, first-back)
			}
			if got := c.mean(back+2*sec, back+3*sec); got < 2.2e6 {
				t.Errorf("seed %d: two seconds after the return of the link the estimate is %.0f", seed, got)
			}
		}
	}
}

func TestJumpsOfTheClocks(t *testing.T) {
	link := simLink{rate: constant(2e6), delay: 20 * ms, queue: 200 * ms}
	for name, jump := range map[string]func(c *simCall){
		"viewer's forth":           func(c *simCall) { c.viewer += time.Minute },
		"viewer's back":            func(c *simCall) { c.viewer -= 40 * sec },
		"viewer's forth a bit":     func(c *simCall) { c.viewer += 60 * ms },
		"viewer's back a bit":      func(c *simCall) { c.viewer -= 60 * ms },
		"camera's forth":           func(c *simCall) { c.clock += time.Hour },
		"camera's back":            func(c *simCall) { c.clock -= time.Hour },
		"camera's forth a bit":     func(c *simCall) { c.clock += 700 * ms },
		"camera's back a bit":      func(c *simCall) { c.clock -= 700 * ms },
		"over the reference's end": func(c *simCall) { c.viewer += (1<<24)*twccReference - 2*time.Minute },
	} {
		c := simulate(1, link, 2.5e6, 30*sec, func(c *simCall) { c.at(10*sec, func() { jump(c) }) })
		if got := c.mean(13*sec, 30*sec); got < 1.5e6 || got > 2.1e6 {
			t.Errorf("%s: of 2 Mbit/s the estimate is %.0f from three seconds after it", name, got)
		}
	}
}

func TestOthersOnTheLinkAreLivedWith(t *testing.T) {
	for _, queue := range []time.Duration{200 * ms, sec} {
		c := simulate(1, simLink{rate: constant(3e6), delay: 20 * ms, queue: queue}, 2.5e6, 50*sec, func(c *simCall) { addTraffic(c.simulation, c.up, 10*sec, 40*sec) })
		if got := c.throughput(15*sec, 40*sec); got < 0.6e6 || got > 2.4e6 {
			t.Errorf("queue of %v: beside TCP %.0f of 3 Mbit/s", queue, got)
		}
		if got := c.mean(45*sec, 50*sec); got < 2.2e6 {
			t.Errorf("queue of %v: after TCP has ended %.0f of 3 Mbit/s", queue, got)
		}
		if got := c.wait(0.5, 43*sec, 50*sec); got > 30*ms {
			t.Errorf("queue of %v: after TCP has ended packets wait %v", queue, got)
		}
	}
	for seed := range uint64(4) {
		link := simLink{rate: constant(2e6), delay: 20 * ms, queue: 300 * ms}
		s := newSimulation(seed)
		a, b := newCall(s, &link, 2.5e6), newCall(s, &link, 2.5e6)
		a.start(0)
		b.start(10 * sec)
		s.run(60 * sec)
		x, y := a.throughput(25*sec, 60*sec), b.throughput(25*sec, 60*sec)
		if x+y < 1.5e6 || min(x, y) < 0.5e6 {
			t.Errorf("seed %d: two calls get %.0f and %.0f of 2 Mbit/s", seed, x, y)
		}
		if got := a.wait(0.5, 25*sec, 60*sec); got > 40*ms {
			t.Errorf("seed %d: packets of two calls wait %v", seed, got)
		}
	}
}

// Where there is no sound, nothing is sent while the picture pauses: probes alone can
// tell that the link is back.
func TestAPauseWithoutSoundEnds(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		dip, long := 20e3+50e3*r.Float64(), 3+4*r.Float64()
		queue := 200*ms + time.Duration(r.Int64N(int64(800*ms)))
		link := simLink{rate: steps(0, 2e6, 5, dip, 5+long, 2e6), delay: 20 * ms, queue: queue}
		c := simulate(seed, link, 2.5e6, 25*sec, func(c *simCall) {
			c.sound, c.pauses = false, true
			c.e = NewEstimator(testStart, leastBitrate, 100_000_000)
		})
		back := time.Duration((5 + long) * 1e9)
		if got := c.mean(back+4*sec, back+7*sec); got < 300e3 {
			t.Errorf("seed %d: soon after %.1f s of %.0f bit/s, with a queue of %v, are 2 Mbit/s again the estimate is %.0f", seed, long, dip, queue, got)
		}
	}
	// The last that was seen of the link was a queue, and a window with loss.
	c := simulate(1, simLink{rate: constant(2e6), delay: 20 * ms, queue: 400 * ms}, 2.5e6, 3*sec, nil)
	c.e.target, c.e.queue, c.e.losses.bad = 50e3, sec, 1
	c.e.flight.resolved = c.e.flight.sent
	now := c.time()
	for range 200 {
		now = now.Add(25 * ms)
		c.e.Tick(now)
		if _, ok := c.e.Probe(now); ok {
			return
		}
	}
	t.Error("after five seconds without a packet nothing is probed")
}

// What speaks of the packets may be lost for a while, as they are: where no queue was
// seen, the picture goes on meanwhile.
func TestLostFeedbackDoesNotStopThePicture(t *testing.T) {
	tried := 0
	for seed := range uint64(8) {
		c := newCall(newSimulation(seed), &simLink{rate: constant(2e6), delay: 30 * ms, queue: 200 * ms}, 2.5e6)
		c.back.rate = steps(0, 1e8, 5, 0, 5.3, 1e8)
		c.start(0)
		c.run(5170 * ms)
		if c.e.Congested() || c.e.queue >= c.e.limit()/2 {
			continue // there it is right to be careful
		}
		tried++
		before := c.e.flight.sent
		c.run(5300 * ms)
		if rate := float64(c.e.flight.sent-before) * 8 / 0.13; rate < 0.8e6 {
			t.Errorf("seed %d: %.0f bit/s are sent while nothing is heard", seed, rate)
		}
	}
	if tried < 4 {
		t.Errorf("a queue was seen in all but %d of the runs: it tested little", tried)
	}
}

// An encoder that sends little neither inflates the estimate nor lets it decay.
func TestLittleIsSentAndTheEstimateKeepsItsMeaning(t *testing.T) {
	link := simLink{rate: constant(1e8), delay: 5 * ms, queue: 200 * ms}
	c := simulate(1, link, 300e3, 60*sec, nil)
	if got := c.e.Target(); got < testStart || got > testStart*3/2 {
		t.Errorf("after a minute of 300 kbit/s, all that is wanted, the estimate is %d", got)
	}
	if c.probed > 0 {
		t.Errorf("%d bytes of probes though nothing more is wanted", c.probed)
	}
	c = simulate(1, link, 2.5e6, 30*sec, func(c *simCall) {
		c.demand = func(t time.Duration) float64 {
			if t > 10*sec {
				return 300e3
			}
			return 2.5e6
		}
	})
	if got := c.e.Target(); got < 2.5e6 {
		t.Errorf("20 s after the encoder went down to 300 kbit/s the estimate is %d", got)
	}
}

// While the camera opens only a trickle of sound flows, and a busy viewer's
// jitter looks like a queue. That must not starve the picture that follows.
func TestATrickleDoesNotStarveWhatFollows(t *testing.T) {
	for seed := range uint64(5) {
		link := simLink{rate: constant(1e8), delay: 10 * ms, queue: sec}
		c := simulate(seed, link, 2.5e6, 20*sec, func(c *simCall) {
			c.quiet = 3 * sec
			c.e = NewEstimator(testStart, 150_000, 5_000_000)
			c.every(0, 5*ms, func() {
				c.up.delay = 10 * ms
				if c.now < c.quiet {
					c.up.delay += 300 * ms * (c.now % sec) / sec
				}
			})
		})
		if got := c.mean(2*sec, 3*sec); got < testStart/3 {
			t.Errorf("seed %d: after 3 s of 50 kbit/s with jitter the estimate is %.0f", seed, got)
		}
		if got := c.mean(10*sec, 20*sec); got < 2.5e6 {
			t.Errorf("seed %d: later it is %.0f", seed, got)
		}
	}
}

func TestReportsAloneDecideByLoss(t *testing.T) {
	e := NewEstimator(testStart, 150_000, 5_000_000)
	now := time.Unix(1000, 0)
	for range 30 {
		now = now.Add(sec)
		e.Report(now, 0)
	}
	high := e.Target()
	if high < 2*testStart {
		t.Errorf("after 30 s without loss: %d", high)
	}
	for range 5 {
		now = now.Add(sec)
		e.Report(now, 0.3)
	}
	if e.Target() > high/2 {
		t.Errorf("after 5 s at 30 %% loss: %d of %d", e.Target(), high)
	}
	e.SetDemand(e.Target() / 2)
	low := e.Target()
	now = now.Add(sec)
	e.Report(now, 0)
	if e.Target() != low {
		t.Errorf("grows from %d to %d though half would do", low, e.Target())
	}
}

func TestSilenceDoesNotShutTheWindow(t *testing.T) {
	c := simulate(1, simLink{rate: steps(0, 2e6, 5, 0), delay: 50 * ms, queue: 200 * ms}, 2e6, 5*sec, nil)
	if c.e.Congested() {
		t.Fatal("congested before the outage")
	}
	before := c.sent
	c.run(6 * sec)
	if !c.e.Congested() {
		t.Error("a silent link is not called congested")
	}
	for s := 6 * sec; s < 20*sec; s += 500 * ms {
		before = c.sent
		c.run(s + 500*ms)
		if n := c.sent - before; n < 5 || n > 100 {
			t.Fatalf("%d packets are sent in half a second of silence at %v", n, s)
		}
	}
}

// Whatever the link does, the estimate is a number within its bounds, and so
// are its companions.
func TestEstimateStaysWithinItsBounds(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 3))
		rate := 1e5 + r.Float64()*1e7
		link := simLink{rate: func(time.Duration) float64 { return rate }, delay: time.Duration(r.Int64N(int64(300 * ms))), queue: sec, loss: r.Float64() / 2, jitter: 20 * ms, reorder: seed%2 == 0}
		simulate(seed, link, 3e6, 15*sec, func(c *simCall) {
			c.e = NewEstimator(testStart, 150_000, 5_000_000)
			c.back.loss = r.Float64() / 2
			c.every(sec, sec, func() { rate = 1e5 + r.Float64()*1e7 })
			c.every(0, 10*ms, func() { checkEstimator(t, c.e, 150_000, 5_000_000) })
		})
	}
}

func checkEstimator(t *testing.T, e *Estimator, least, most int) {
	t.Helper()
	if x := e.Target(); x < least || x > most || math.IsNaN(e.target) {
		t.Fatalf("estimate %d", x)
	}
	if x := e.Loss(); !(x >= 0 && x <= 1) {
		t.Fatalf("loss %f", x)
	}
	if e.InFlight() < 0 || e.Window() < 2*maxPacket || e.Window() > most {
		t.Fatalf("%d bytes in flight, window %d", e.InFlight(), e.Window())
	}
}

// FuzzEstimator drives the estimator with nonsense: two bytes a call.
func FuzzEstimator(f *testing.F) {
	f.Add([]byte{0, 9, 1, 200, 2, 3, 3, 255, 4, 5, 5, 1, 6, 100, 7, 0})
	r := rand.New(rand.NewPCG(1, 1))
	for range 4 {
		b := make([]byte, 600)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e := NewEstimator(testStart, 100_000, 8_000_000)
		now := time.Unix(1_000_000, 0)
		arrived := time.Duration(0)
		var acks []Ack
		for i := 0; i+1 < len(b); i += 2 {
			x := int(b[i+1])
			switch b[i] % 10 {
			case 0, 1:
				now = now.Add(time.Duration(x) * ms)
			case 2, 3:
				e.Sent(now, 5*x)
				acks = append(acks, Ack{Sent: now, Arrived: arrived, Size: 5 * x, Received: x%5 > 0, Probe: x % 3, Late: x%17 == 0, Skipped: x % 7 / 6})
				arrived += time.Duration(x) * ms / 4
			case 4, 5:
				n := min(x%16, len(acks))
				e.Feedback(now, acks[:n])
				acks = acks[n:]
			case 6:
				e.Tick(now)
				if p, ok := e.Probe(now); ok && (p.Packets < 1 || p.Size < 1 || p.Size > maxPacket || p.Rate < 1) {
					t.Fatalf("%+v", p)
				}
			case 7:
				e.SetDemand(x * 30_000)
				e.SetRTT(time.Duration(x) * ms)
				e.Report(now, float64(x)/255)
			case 8:
				now = now.Add(time.Duration(x-128) * sec)
			case 9:
				arrived += time.Duration(x-128) * sec
			}
			checkEstimator(t, e, 100_000, 8_000_000)
		}
	})
}

func TestEstimatorAllocatesNothing(t *testing.T) {
	e := NewEstimator(testStart, 150_000, 5_000_000)
	e.SetDemand(2_500_000)
	tr := newTransport()
	acks := make([]Ack, 0, 64)
	now := time.Unix(1_000_000, 0)
	arrived := time.Duration(0)
	if n := testing.AllocsPerRun(500, func() {
		acks = acks[:0]
		for range 10 {
			now = now.Add(5 * ms)
			arrived += 5 * ms
			e.Sent(now, 1000)
			tr.sent(now, 1000, 0)
			acks = append(acks, Ack{Sent: now, Arrived: arrived, Size: 1000, Received: true})
		}
		e.Feedback(now, acks)
		e.Tick(now)
		e.Probe(now)
	}); n > 0 {
		t.Errorf("%.1f allocations a feedback", n)
	}
}
