package peer

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func lte(t time.Duration) float64 {
	x := t.Seconds()
	return 2.5e6 + 1.2e6*math.Sin(x/3) + 0.6e6*math.Sin(x*1.7)
}

type simCase struct {
	name   string
	link   simLink
	demand float64
	change func(c *simCall)
}

func simCases() []simCase {
	k := constant
	return []simCase{
		{"step", simLink{rate: steps(0, 2.5e6, 15, 0.5e6, 35, 2.5e6), delay: 20 * ms, queue: 200 * ms}, 2.5e6, nil},
		{"thin", simLink{rate: k(0.35e6), delay: 40 * ms, queue: 200 * ms}, 2.5e6, nil},
		{"loss5", simLink{rate: k(4e6), delay: 20 * ms, queue: 200 * ms, loss: 0.05}, 2.5e6, func(c *simCall) { c.back.loss = 0.05 }},
		{"wifi", simLink{rate: k(2.5e6), delay: 30 * ms, queue: 200 * ms, jitter: 15 * ms, loss: 0.03, burst: 5}, 2.5e6, func(c *simCall) { c.back.loss, c.back.burst = 0.03, 5 }},
		{"outage", simLink{rate: steps(0, 4e6, 12, 0, 15, 4e6, 25, 0, 31, 4e6), delay: 20 * ms, queue: 200 * ms}, 2.5e6, nil},
		{"100k", simLink{rate: k(100e3), delay: 50 * ms, queue: 300 * ms}, 2.5e6, nil},
		{"1M deep", simLink{rate: k(1e6), delay: 30 * ms, queue: 2 * time.Second}, 2.5e6, nil},
		{"1M tiny", simLink{rate: k(1e6), delay: 30 * ms, queue: 50 * ms}, 2.5e6, nil},
		{"1M police", simLink{rate: k(1e6), delay: 30 * ms, police: true}, 2.5e6, nil},
		{"loss10", simLink{rate: k(4e6), delay: 20 * ms, queue: 200 * ms, loss: 0.10}, 2.5e6, nil},
		{"reorder", simLink{rate: k(2e6), delay: 30 * ms, queue: 200 * ms, jitter: 30 * ms, reorder: true}, 2.5e6, nil},
		{"lumps", simLink{rate: k(2e6), delay: 10 * ms, queue: 200 * ms, lump: 20 * ms}, 2.5e6, nil},
		{"lte", simLink{rate: lte, delay: 35 * ms, queue: time.Second}, 4e6, nil},
		{"50M", simLink{rate: k(50e6), delay: 5 * ms, queue: 100 * ms}, 40e6, nil},
		{"LAN", simLink{rate: k(1e9), delay: ms / 2, queue: 100 * ms}, 2.5e6, nil},
		{"far", simLink{rate: k(2e6), delay: 200 * ms, queue: 300 * ms}, 2.5e6, nil},
		{"tcp 200", simLink{rate: k(3e6), delay: 20 * ms, queue: 200 * ms}, 2.5e6, func(c *simCall) { addTraffic(c.simulation, c.up, 10*time.Second, 40*time.Second) }},
		{"tcp deep", simLink{rate: k(3e6), delay: 20 * ms, queue: time.Second}, 2.5e6, func(c *simCall) { addTraffic(c.simulation, c.up, 10*time.Second, 40*time.Second) }},
		{"stalls 4M", simLink{rate: k(4e6), delay: 20 * ms, queue: 200 * ms}, 2.5e6, stalled(120 * ms)},
		{"stalls loss5", simLink{rate: k(4e6), delay: 20 * ms, queue: 200 * ms, loss: 0.05}, 2.5e6, func(c *simCall) { stalled(100 * ms)(c); c.back.loss = 0.05 }},
		{"stalls 2.5M", simLink{rate: k(2.5e6), delay: 20 * ms, queue: 200 * ms}, 2.5e6, stalled(120 * ms)},
		{"stalls thin", simLink{rate: k(0.35e6), delay: 40 * ms, queue: 200 * ms}, 2.5e6, stalled(100 * ms)},
		{"stalls LAN", simLink{rate: k(1e9), delay: ms / 2, queue: 100 * ms}, 2.5e6, stalled(120 * ms)},
		{"stalls step", simLink{rate: steps(0, 2.5e6, 15, 0.5e6, 35, 2.5e6), delay: 20 * ms, queue: 200 * ms}, 2.5e6, stalled(100 * ms)},
		{"stalls wifi", simLink{rate: k(2.5e6), delay: 30 * ms, queue: 200 * ms, jitter: 15 * ms, loss: 0.03, burst: 5}, 2.5e6, func(c *simCall) { stalled(100 * ms)(c); c.back.loss, c.back.burst = 0.03, 5 }},
		{"no padding", simLink{rate: steps(0, 2.5e6, 15, 0.5e6, 35, 2.5e6), delay: 20 * ms, queue: 200 * ms}, 2.5e6, func(c *simCall) { c.padding = false }},
		{"route", simLink{rate: k(2e6), delay: 20 * ms, queue: 200 * ms}, 2.5e6, func(c *simCall) { c.at(20*time.Second, func() { c.viewer += 60 * ms }) }},
		{"clock", simLink{rate: k(2e6), delay: 20 * ms, queue: 200 * ms}, 2.5e6, func(c *simCall) {
			c.at(10*time.Second, func() { c.viewer += time.Minute })
			c.at(20*time.Second, func() { c.viewer -= 40 * time.Second })
			c.at(30*time.Second, func() { c.clock += time.Hour })
			c.at(40*time.Second, func() { c.clock -= 2 * time.Hour })
		}},
	}
}

// stalled is a call in which sender, link and viewer stall up to most.
func stalled(most time.Duration) func(c *simCall) {
	return func(c *simCall) {
		c.sender, c.reader = randomStalls(c.random, most, time.Minute), randomStalls(c.random, most, time.Minute)
		c.up.stalls, c.back.stalls = randomStalls(c.random, most, time.Minute), randomStalls(c.random, most, time.Minute)
		c.sound = false
		c.each = 90 * ms
	}
}

// BenchmarkEstimate shows what the estimator makes of each link; the timeline
// of the target, in kbit/s, is in the log (-v).
func BenchmarkEstimate(b *testing.B) {
	for _, x := range simCases() {
		b.Run(x.name, func(b *testing.B) {
			var c *simCall
			for b.Loop() {
				c = simulate(1, x.link, x.demand, 50*sec, x.change)
			}
			line := ""
			for _, s := range []time.Duration{1, 2, 3, 5, 8, 12, 15, 16, 17, 20, 25, 30, 33, 36, 38, 40, 42, 45, 49} {
				line += fmt.Sprintf(" %.0f", c.mean(s*sec, (s+1)*sec)/1e3)
			}
			b.Log(line)
			b.ReportMetric(c.throughput(5*sec, 50*sec)/1e3, "kbit/s")
			b.ReportMetric(float64(c.wait(0.5, 0, 50*sec)/ms), "ms-p50")
			b.ReportMetric(float64(c.wait(0.95, 0, 50*sec)/ms), "ms-p95")
			b.ReportMetric(100*float64(c.lost)/float64(c.sent), "%lost")
			b.ReportMetric(100*float64(c.probed)/(c.throughput(0, 50*sec)*50/8), "%probes")
		})
	}
}

// BenchmarkEstimatorPacket is what a packet of 1200 bytes costs at 10 Mbit/s,
// its share of the feedback and of ticks included.
func BenchmarkEstimatorPacket(b *testing.B) {
	e := NewEstimator(testStart, 100_000, 20_000_000)
	e.SetDemand(10_000_000)
	acks := make([]Ack, 0, 64)
	now, arrived, n := simEpoch, time.Duration(0), 0
	b.ReportAllocs()
	for b.Loop() {
		now, arrived = now.Add(ms), arrived+ms
		e.Sent(now, 1200)
		acks = append(acks, Ack{Sent: now, Arrived: arrived, Size: 1200, Received: true})
		if n++; n%50 == 0 {
			e.Feedback(now, acks)
			e.Tick(now)
			e.Probe(now)
			acks = acks[:0]
		}
	}
}
