package encode

import "time"

// soundClock ties the samples that come to the times they are stamped with.
// Stamps jitter, sound does not: so it counts samples and lets the stamps pull
// gently; only a stamp that is off by more than mostDrift tells of a gap.
type soundClock struct {
	started bool
	base    time.Time // when output sample 0 was taken, as of now
	rate    int       // of the input, samples a second
	in      int64     // input samples since base
	out     int64     // output samples handed out since base, at 48 kHz
	origin  uint32    // output sample 0's timestamp
}

const (
	mostDrift = 100 * time.Millisecond
	driftPull = 32 // runs until a stamp is believed to two thirds
)

// push notes a run of n samples whose first was taken at t. gap: sound is
// missing before it (or the rate is another), so what is not handed out yet is
// void, and the next sample handed out is this run's first.
func (c *soundClock) push(t time.Time, n, rate int) (gap bool) {
	drift := t.Sub(c.base.Add(span(c.in, c.rate)))
	switch {
	case !c.started:
		*c = soundClock{started: true, base: t, rate: rate, origin: c.origin}
	case rate != c.rate || drift > mostDrift || drift < -mostDrift:
		gap = true
		pause := max(0, t.Sub(c.next())) // the timestamp never runs back
		*c = soundClock{started: true, base: t, rate: rate,
			origin: c.timestamp() + uint32(pause*opusRate/time.Second)}
	default:
		c.base = c.base.Add(drift / driftPull)
	}
	c.in += int64(n)
	return gap
}

// next is when the next sample to hand out was taken, timestamp its number.
func (c *soundClock) next() time.Time   { return c.base.Add(span(c.out, opusRate)) }
func (c *soundClock) timestamp() uint32 { return c.origin + uint32(c.out) }

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
