package capture

import "math"

// limiter makes sound louder by a fixed gain, less where that would clip: it
// turns down within a millisecond before a peak of the run at hand, and up
// again slowly, so that it is not heard.
type limiter struct {
	gain float64 // as asked
	now  float64 // as reached
}

const (
	limiterCeiling = 0.95 * math.MaxInt16
	limiterAttack  = 1000 // parts of a second: how fast it turns down
	limiterRelease = 12.0 // dB a second: how fast it comes back
)

// newLimiter is for a gain in dB.
func newLimiter(db float64) limiter {
	gain := math.Pow(10, db/20)
	return limiter{gain, gain}
}

// apply changes pcm in place.
func (l *limiter) apply(pcm []int16, channels, rate int) {
	if l.gain == 1 {
		return
	}
	peak := 1.0
	for _, s := range pcm {
		peak = max(peak, math.Abs(float64(s)))
	}
	n := len(pcm) / channels
	target := min(l.gain, limiterCeiling/peak, l.now*math.Pow(10, limiterRelease/20*float64(n)/float64(rate)))
	ramp := n
	if target < l.now {
		ramp = min(n, rate/limiterAttack)
	}
	for i := range n {
		g := target
		if i < ramp {
			g = l.now + (target-l.now)*float64(i+1)/float64(ramp)
		}
		for c := range channels {
			v := math.Round(float64(pcm[i*channels+c]) * g)
			pcm[i*channels+c] = int16(max(math.MinInt16, min(math.MaxInt16, v)))
		}
	}
	l.now = target
}
