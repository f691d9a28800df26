package peer

import (
	"math"
	"time"
)

// losses tells loss that comes from sending too much from the link's own.
// The first falls when less is sent, the second does not: that is tried, and
// judged by how likely either is. A few packets prove little.
type losses struct {
	window
	begun   time.Duration // of the window
	inRun   bool
	burst   float64 // packets lost in a row, smoothed
	recent  float64 // smoothed
	usual   float64 // what the link loses whatever is sent
	bad     int     // windows in a row with more
	suspect window  // all of them

	trying         bool
	tryTo, judged  time.Duration
	tryFrom        time.Duration
	before, excess float64 // target and loss before trying
	tried          window

	ceiling      float64 // bit/s that lost little, found by trying
	ceilingUntil time.Duration
	clean        int // windows in a row above the ceiling without loss of its kind
}

// window counts the packets of a time.
type window struct {
	sent, lost, runs int // a run is a burst of any length: one event
	queued           int // of lost: while a queue stood
}

func (w *window) add(o window) {
	w.sent += o.sent
	w.lost += o.lost
	w.runs += o.runs
	w.queued += o.queued
}

// share is the fraction that was lost.
func (w *window) share() float64 { return float64(w.lost) / float64(max(w.sent, 1)) }

const (
	lossWindow   = 400 * time.Millisecond
	lossPackets  = 20
	lossExcess   = 0.06
	lossSmall    = 0.02
	lossHuge     = 0.25
	ceilingTime  = 10 * time.Second
	staleCeiling = 5 // windows above it that lost no more than usual
	roofPart     = 1.1
	roofLeast    = 3 * resumeRate // bit/s: below there is no picture that would find out
	usualMost    = 0.3
	usualLeast   = 0.01 // nothing is sure
	reportedHigh = 0.10
	reportedLow  = 0.02

	// lossDeviations is how far beyond chance a window is.
	lossDeviations = 2.0
	// retryTime is after how long it is tried again whether much loss is the link's own.
	retryTime = 20 * time.Second
	// A trial is of tryPart of what came through, and lasts tryTime at most.
	tryPart, tryTime = 0.88, 4 * time.Second
	// The logarithms of the odds that end it: to keep less for long takes more.
	sameOdds, helpedOdds = 2.5, -4.
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
		l.runs++
	}
	l.inRun = true
}

// high says that more is lost than usual.
func (l *losses) high() bool { return l.bad > 0 || l.trying }

// roof is what a probe may raise the target to: a policer lets a short one pass, and
// what lost much a while ago is approached step by step.
func (l *losses) roof(t time.Duration) float64 {
	if t < l.ceilingUntil {
		return max(roofPart*l.ceiling, roofLeast)
	}
	return math.Inf(1)
}

// idle forgets what it was about to find out.
func (l *losses) idle() {
	l.trying, l.bad = false, 0
	l.window, l.suspect, l.tried = window{}, window{}, window{}
}

// Loss is the fraction of packets lost lately, 0 to 1.
func (e *Estimator) Loss() float64 { return e.losses.recent }

// Burst is how many packets are lost in a row when some are.
func (e *Estimator) Burst() float64 { return e.losses.burst }

// events is how many independent ones some packets are, where losses come in bursts.
func (l *losses) events(packets int) float64 { return float64(packets) / max(l.burst, 1) }

// more tells that a window lost more than usual, by so much and beyond chance.
func (l *losses) more(w window, by float64) bool {
	if w.runs < 2 || w.share() < l.usual+by {
		return false
	}
	u, n := max(l.usual, usualLeast), l.events(w.sent)
	return l.events(w.lost) > n*u+lossDeviations*math.Sqrt(n*u*(1-u))
}

// byLoss yields to loss that yielding cures: a policer or a queue too short
// for its delay to be seen. draft-ietf-rmcat-gcc-02, section 6 yields to more
// than a tenth whatever its cause.
func (e *Estimator) byLoss(t time.Duration) {
	l := &e.losses
	if l.trying && t >= l.tryTo { // so little was sent that nothing is clear
		l.tried.add(l.window)
		l.window, l.begun = window{}, t
		e.judge(t)
		return
	}
	if l.sent < lossPackets || t-l.begun < lossWindow {
		return
	}
	w := l.window
	l.window, l.begun = window{}, t
	p := w.share()
	l.recent += 0.3 * (p - l.recent)
	if w.runs > 0 {
		l.burst += 0.3 * (float64(w.lost)/float64(w.runs) - l.burst)
	}
	if l.trying {
		l.tried.add(w)
		e.judge(t)
		return
	}
	more := l.more(w, lossSmall)
	if e.tolerated > 0 && more {
		// Beside others that fill the queue until it overflows: as they do.
		e.target = max(0.85*e.target, e.least)
		e.lastGrow = t
		e.prober.failed(t)
		return
	}
	if t < l.ceilingUntil && e.target > l.ceiling {
		if more { // so soon: as was found, or it was found by chance
			l.suspect, l.clean = w, 0
			e.tryLess(t, p)
			return
		}
		if l.clean++; l.clean == staleCeiling {
			l.ceilingUntil = 0 // more has passed since
		}
	} else {
		l.clean = 0
	}
	if l.usual > lossExcess && p > lossExcess && t-l.judged > retryTime && e.flight.rate(t, rateSpan) > 0.7*e.target {
		l.usual, l.suspect = 0, w // a verdict by chance would stand for ever
		e.tryLess(t, p)
		return
	}
	if !l.more(w, lossExcess) {
		l.bad, l.suspect = 0, window{}
		l.usual = min(l.usual+0.1*(p-l.usual), usualMost)
		return
	}
	if w.queued*2 > w.lost { // it overflowed a queue that is seen: the delay decides
		l.bad, l.suspect = 0, window{}
		return
	}
	l.bad++
	l.suspect.add(w)
	if l.bad >= 2 || p >= lossHuge && w.sent >= 2*lossPackets {
		e.tryLess(t, p)
	}
}

// tryLess goes to somewhat less than what came through, to see whether less is lost
// then.
func (e *Estimator) tryLess(t time.Duration, p float64) {
	l := &e.losses
	if p > usualMost+lossExcess {
		// Whatever the cause: so much cannot be repaired.
		e.target *= 1 - 0.5*p
	}
	_, came, ok := e.arrivals.rates(rateSpan, 0, 10)
	if !ok {
		came = e.target * (1 - p)
	}
	e.capacity, e.found = came/(1-l.usual), t
	next := tryPart * e.capacity
	if e.flight.rate(t, rateSpan) < e.target/2 && p < usualMost {
		next = max(next, 0.7*e.target) // an encoder or a machine that pauses tells little of the link
	}
	l.trying, l.before, l.excess = true, e.target, l.suspect.share()
	l.suspect, l.tried = window{}, window{}
	e.deafUntil = t // what left before tells nothing of the trial
	l.tryFrom, l.tryTo = t, t+e.round()+tryTime
	e.target = max(min(e.target, next), e.least)
	e.lastCut, e.lastGrow = t, t
	e.prober.failed(t)
}

// judge ends a trial when it is clear whether it has helped: by the sequential
// probability ratio of losing as much as before to losing what is usual (Wald, 1945).
func (e *Estimator) judge(t time.Duration) {
	l := &e.losses
	helped := max(l.usual, usualLeast)
	same := min(max(l.excess, 2*helped), 0.9)
	burst := max(1, l.burst, float64(l.tried.lost)/float64(max(l.tried.runs, 1)))
	lost, came := float64(l.tried.lost)/burst, float64(l.tried.sent-l.tried.lost)/burst
	odds := lost*math.Log(same/helped) + came*math.Log((1-same)/(1-helped))
	if t < l.tryTo && (odds > helpedOdds && odds < sameOdds || l.tried.sent < lossPackets) {
		return
	}
	l.trying, l.bad, l.judged = false, 0, t
	after := l.tried.share()
	if odds < 0 && l.tried.sent >= lossPackets {
		l.ceiling, l.ceilingUntil = 0.97*e.capacity, t+ceilingTime
		return
	}
	l.ceilingUntil = 0
	if l.tried.sent >= lossPackets {
		l.usual = min(after, l.excess, usualMost)
	}
	if after < usualMost && e.lastCut <= l.tryFrom { // else a queue was found meanwhile
		e.target = max(e.target, l.before)
		e.capacity = 0
	}
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
