package encode

import (
	"math"
	"time"
)

// soundClock ties the samples that are handed out to the times at which they
// were taken: sample k at base + k/48000 s, for as long as there is no gap. So
// RTP timestamps of sound run with the clock of the picture, not with that of
// the sound card, and a recording stays in step without RTCP; what comes is
// resampled as driftControl says. A stamp that is off by more than mostDrift,
// or stamps off by mostSlip for long, tell of a gap.
type soundClock struct {
	started bool
	base    time.Time // when output sample 0 was taken
	out     int64     // output samples handed out since base, at 48 kHz
	origin  uint32    // output sample 0's timestamp
	control driftControl
}

const (
	mostDrift = 100 * time.Millisecond
	mostSlip  = 30 * time.Millisecond
	// The first stamps are rough: the device's buffers fill, the scheduler
	// learns. For settleTime the base follows them instead of the ratio, each
	// stamp pulling by 1/settlePull.
	settleTime = time.Second
	settlePull = 16
)

// push notes a run that lasts so long, whose first sample was taken at t and is
// to be the ahead-th output sample from the next on. It returns by how much to
// stretch the sound, for resampler.adjust. gap: sound is missing before the run,
// so what is not handed out yet is void, and the next sample handed out is this
// run's first.
func (c *soundClock) push(t time.Time, length time.Duration, ahead float64) (more float64, gap bool) {
	if !c.started {
		*c = soundClock{started: true, base: t, origin: c.origin}
		return 0, false
	}
	drift := t.Sub(c.next()) - time.Duration(ahead*float64(time.Second)/opusRate)
	switch {
	case drift.Abs() > mostDrift || c.control.slip() > mostSlip:
		learned := c.control.learned // it is the same device
		c.restart(t)
		c.control.learned = learned
		return learned, true
	case span(c.out, opusRate) < settleTime:
		c.base = c.base.Add(drift / settlePull)
		return 0, false
	}
	return c.control.next(drift, length), false
}

// restart makes a run that was taken at t the next to be handed out.
func (c *soundClock) restart(t time.Time) {
	pause := max(0, t.Sub(c.next()))                                                          // the timestamp never runs back
	*c = soundClock{started: true, base: t, origin: c.timestamp() + uint32(samplesIn(pause))} //nolint:gosec // wraps
}

// next is when the next sample to hand out was taken, timestamp its number.
func (c *soundClock) next() time.Time   { return c.base.Add(span(c.out, opusRate)) }
func (c *soundClock) timestamp() uint32 { return c.origin + uint32(c.out) } //nolint:gosec // wraps

// take hands out n samples.
func (c *soundClock) take(n int) { c.out += int64(n) }

// span is how long n samples last; in two steps, for n seconds of nanoseconds
// would overflow after two days.
func span(n int64, rate int) time.Duration {
	if rate == 0 {
		return 0
	}
	r := int64(rate)
	return time.Duration(n/r)*time.Second + time.Duration(n%r)*time.Second/time.Duration(r)
}

// samplesIn is the opposite at 48 kHz.
func samplesIn(d time.Duration) int64 {
	return int64(d/time.Second)*opusRate + int64(d%time.Second)*opusRate/int64(time.Second)
}

// driftControl keeps sound in step with the clock: from how far off it is it
// reckons by how much to stretch it, as a PI controller that is slow enough for
// nobody to hear it (a change of 0.1 % of pitch takes many seconds).
type driftControl struct {
	off     float64 // smoothed, seconds; positive: the device is slow
	learned float64 // stretch that the device needs by itself
}

const (
	driftSmooth = 1.0     // seconds: stamps jitter
	driftJerk   = 0.005   // seconds: a single stamp's most weight
	driftDead   = 0.001   // seconds: nearer is not worth any resampling
	driftP      = 0.1     // of what is off is made up for in a second
	driftI      = 0.0025  // critically damped: driftP² / 4
	mostStretch = 1500e-6 // 2.6 cents: not heard
	mostLearned = 1000e-6 // no device is worse
)

// next takes how far off a run is that lasts so long.
func (d *driftControl) next(off, length time.Duration) (more float64) {
	dt := length.Seconds()
	d.off += min(1, dt/driftSmooth) * clamp(off.Seconds()-d.off, driftJerk)
	rest := d.off - clamp(d.off, driftDead)
	more = d.learned + driftP*rest
	if math.Abs(more) < mostStretch { // else it would learn from its own limit
		d.learned = clamp(d.learned+driftI*rest*dt, mostLearned)
	}
	return clamp(more, mostStretch)
}

// slip is how far off the sound has been for a while.
func (d *driftControl) slip() time.Duration {
	return time.Duration(math.Abs(d.off) * float64(time.Second))
}

func clamp(v, most float64) float64 { return max(-most, min(most, v)) }
