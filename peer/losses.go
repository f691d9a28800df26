package peer

import (
	"math"
	"time"
)

// losses tells loss that comes from sending too much from the link's own.
// The first falls when less is sent, the second does not: that is tried.
type losses struct {
	sent, lost, runs int // of the window
	queued           int // of lost: while a queue stood
	inRun            bool
	burst            float64 // packets lost in a row, smoothed
	begun            time.Duration
	recent           float64 // smoothed
	usual            float64 // what the link loses whatever is sent
	bad              int     // windows in a row with more
	trying           bool
	tryFrom, tryTo   time.Duration
	before, excess   float64 // target and loss before trying
	trySent, tryLost int
	ceiling          float64 // bit/s that lost little, found by trying
	ceilingUntil     time.Duration
	clean            int // windows in a row above the ceiling without loss of its kind
}

const (
	lossWindow   = 400 * time.Millisecond
	lossPackets  = 20
	lossExcess   = 0.06
	lossSmall    = 0.02
	ceilingTime  = 10 * time.Second
	staleCeiling = 5 // windows above it that lost no more than usual
	usualMost    = 0.3
	reportedHigh = 0.10
	reportedLow  = 0.02
)

func (l *losses) add(a *Ack, queued bool) {
	if a.Late {
		l.lost = max(l.lost-1, 0)
		return
	}
	l.sent++
	if a.Received {
		l.inRun = false
		return
	}
	l.lost++
	if queued {
		l.queued++
	}
	if !l.inRun {
		l.runs++ // a burst is one event, however long
	}
	l.inRun = true
}

// high says that more is lost than usual.
func (l *losses) high() bool { return l.bad > 0 }

// Loss is the fraction of packets lost lately, 0 to 1.
func (e *Estimator) Loss() float64 { return e.losses.recent }

// Burst is how many packets are lost in a row when some are.
func (e *Estimator) Burst() float64 { return e.losses.burst }

// byLoss yields to loss that yielding cures: a policer or a queue too short
// for its delay to be seen. draft-ietf-rmcat-gcc-02, section 6 yields to more
// than a tenth whatever its cause.
func (e *Estimator) byLoss(t time.Duration) {
	l := &e.losses
	if l.sent < lossPackets || t-l.begun < lossWindow {
		return
	}
	n := float64(l.sent)
	p := float64(l.lost) / n
	ownQueue := l.queued*2 > l.lost
	runs := l.runs
	sent, lost := l.sent, l.lost
	l.sent, l.lost, l.runs, l.queued, l.begun = 0, 0, 0, 0, t
	l.recent += 0.3 * (p - l.recent)
	if runs > 0 {
		l.burst += 0.3 * (float64(lost)/float64(runs) - l.burst)
	}

	if l.trying {
		if t < l.tryFrom {
			return
		}
		l.trySent += sent
		l.tryLost += lost
		if t < l.tryTo || l.trySent < 2*lossPackets {
			return
		}
		l.trying, l.bad = false, 0
		if after := float64(l.tryLost) / float64(l.trySent); after > l.usual+0.5*(l.excess-l.usual) {
			l.usual = min(after, usualMost)
			if after < usualMost {
				e.target = max(e.target, l.before)
			}
			return
		}
		if e.capacity > 0 {
			l.ceiling, l.ceilingUntil = 0.97*e.capacity, t+ceilingTime
		}
		return
	}
	if p < l.usual {
		l.usual += 0.2 * (p - l.usual)
	} else if e.capacity == 0 || e.target < 0.9*e.capacity {
		l.usual = min(l.usual+0.05*(p-l.usual), usualMost)
	}
	if e.tolerated > 0 && runs >= 2 && p > l.usual+lossSmall {
		// Beside others that fill the queue until it overflows: as they do.
		e.target = max(0.85*e.target, e.least)
		e.lastGrow = t
		e.prober.failed(t)
		return
	}
	if e.target < l.ceiling || p > l.usual+lossSmall {
		l.clean = 0
	} else if l.clean++; l.clean == staleCeiling {
		l.ceilingUntil = 0 // more has passed since
	}
	if t < l.ceilingUntil && e.target > l.ceiling && runs >= 2 && p > l.usual+lossSmall {
		e.target = max(l.ceiling, e.least)
		e.lastCut, e.lastGrow = t, t
		l.bad = 0
		l.ceilingUntil = t + ceilingTime
		e.prober.failed(t)
		return
	}
	// Few events prove little, for some links lose in bursts.
	if p < l.usual+lossExcess || float64(lost-runs) > 3*float64(runs)+8 || runs < 2 || ownQueue {
		l.bad = 0
		return
	}
	l.bad++
	if l.bad < 2 && p < 0.25 {
		return
	}
	if p > usualMost+lossExcess {
		// Whatever the cause: so much cannot be repaired.
		e.target *= 1 - 0.5*p
	}
	_, came, ok := e.arrivals.rates(rateSpan, 0, 10)
	if !ok {
		came = e.target * (1 - p)
	}
	l.trying, l.before, l.excess = true, e.target, p
	l.trySent, l.tryLost = 0, 0
	l.tryFrom = t + e.round() + e.interval
	l.tryTo = l.tryFrom + time.Second
	e.capacity, e.found = came/(1-l.usual), t
	e.target = max(min(e.target, 0.95*e.capacity), e.least)
	e.lastCut, e.lastGrow = t, t
	e.prober.failed(t)
}

// Report takes the fraction lost of a receiver report, 0 to 1, from a viewer
// that gives no transport-wide feedback: loss alone then decides
// (draft-ietf-rmcat-gcc-02, section 6).
func (e *Estimator) Report(now time.Time, lost float64) {
	t := e.time(now)
	if math.IsNaN(lost) {
		return
	}
	lost = min(max(lost, 0), 1)
	e.losses.recent = lost
	dt := min(t-e.lastGrow, 2*time.Second).Seconds()
	e.lastGrow = t
	switch {
	case lost > reportedHigh:
		e.target = max(e.target*(1-0.5*lost), e.least)
	case lost < reportedLow:
		e.raise(e.target * math.Pow(1.08, dt))
	}
}
