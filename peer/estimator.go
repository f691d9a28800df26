package peer

import "time"

// Estimator guesses how many bit/s the way to one viewer carries, from
// transport-wide feedback. It keeps no clock and allocates nothing.
//
// It keeps to the frame of draft-ietf-rmcat-gcc-02 (a sender decides by delay
// and by loss, within bounds) and differs where that is slow:
//
//   - Not the gradient of the delay decides but the delay itself: the least of
//     the last packets above the least of the last 20 s is a standing queue,
//     seen after tens of milliseconds, and jitter cannot fake it.
//   - While a queue stands, what arrives is what the link carries: the target
//     goes there at once, instead of down in steps of 0.85.
//   - Whether yielding helped is looked at afterwards. A queue that stays is
//     somebody else's (or a longer way), a loss that stays is the link's nature:
//     neither is yielded to again.
//   - Probes go on for the whole session, so that the target rises though the
//     encoder sends less.
type Estimator struct {
	least, most float64
	target      float64
	demand      float64

	epoch, last time.Time // of the caller's clock, less its jumps
	flight      flight
	arrivals    arrivals
	bursts      bursts
	roundTrips  leastLately
	reportedRTT time.Duration
	heard       time.Duration // when feedback last came
	interval    time.Duration // between feedbacks
	newest      time.Duration // sending time of the newest packet spoken of
	feedbacks   int

	silent      bool
	silentSince time.Duration
	deafUntil   time.Duration // what left before is not counted as lost

	queue          time.Duration // standing, newest figure
	noise          float64       // of queue, in s
	congested      bool
	since          time.Duration // congested
	clear          time.Duration // when the queue was last short
	lastCut        time.Duration
	lastGrow       time.Duration
	found          time.Duration // capacity
	capacity       float64       // where the link was last found full; 0: not known
	trial          trial
	trouble        float64       // what came when the present troubles began
	tolerated      time.Duration // a queue that is not ours
	toleratedSince time.Duration
	stood          time.Duration // when it was last a good part of that
	notOurs        time.Duration // when a queue was last found to be somebody else's

	losses losses
	prober prober
}

// idleTime without a packet ends what only packets would end.
const idleTime = 3 * time.Second

// NewEstimator begins at start bit/s and stays within [least, most].
func NewEstimator(start, least, most int) *Estimator {
	return &Estimator{
		least: float64(least), most: float64(most), target: float64(min(max(start, least), most)),
		interval: 100 * time.Millisecond, prober: prober{wait: firstProbeWait},
	}
}

// Target is the estimate in bit/s.
func (e *Estimator) Target() int { return int(e.target) }

// Congested says that a queue builds on the way, or was found and has not
// drained: no time for more layers or key frames.
func (e *Estimator) Congested() bool { return e.congested || e.silent }

// SetRTT tells the round trip time of receiver reports, for viewers of whom
// nothing better is known.
func (e *Estimator) SetRTT(d time.Duration) { e.reportedRTT = d }

// SetDemand tells the bit/s that the session would send if the link carried it,
// sound included: the target grows to demandRoom times that at most.
func (e *Estimator) SetDemand(bps int) { e.demand = float64(bps) }

// time is the caller's clock since the first call, never going back: after a
// jump backwards it goes on from where it was. A little backwards is no jump,
// but two callers that read the clock in another order than they call.
func (e *Estimator) time(now time.Time) time.Duration {
	if e.epoch.IsZero() {
		e.epoch, e.last = now, now
	}
	switch d := now.Sub(e.last); {
	case d < -50*time.Millisecond:
		e.epoch = e.epoch.Add(d)
		e.last = now
	case d > 0:
		e.last = now
	}
	return e.last.Sub(e.epoch)
}

// round is the round trip time on an empty way.
func (e *Estimator) round() time.Duration {
	if e.roundTrips.any {
		return min(e.roundTrips.least(), time.Second)
	}
	if e.reportedRTT > 0 {
		return min(e.reportedRTT, time.Second)
	}
	return 100 * time.Millisecond
}

// Sent tells of a packet of size bytes that left with a transport-wide number.
func (e *Estimator) Sent(now time.Time, size int) {
	t := e.time(now)
	if e.flight.bytes() == 0 && e.feedbacks > 0 {
		e.heard = max(e.heard, t-e.interval) // nothing was to be heard of
	}
	e.flight.add(t, size)
}

// Tick lets time pass; called some 20 to 40 times a second, and before
// decisions: silence is an answer as well.
func (e *Estimator) Tick(now time.Time) {
	t := e.time(now)
	if e.feedbacks == 0 {
		e.flight.resolve(t - time.Second)
		return
	}
	patience := e.round() + 200*time.Millisecond + 2*e.interval
	if !e.silent && e.flight.bytes() > 0 && t-e.heard > patience && e.flight.until(t-e.round()-e.interval) > e.flight.resolved {
		e.silent, e.silentSince = true, e.heard
	}
	if e.silent {
		// Written off soon, for each lets another one try the link.
		e.flight.resolve(t - 150*time.Millisecond)
		return
	}
	e.flight.resolve(t - e.round() - 2*time.Second)
	if e.flight.bytes() > 0 {
		return
	}
	if e.congested && t-e.heard > time.Second {
		e.congested, e.trial = false, trial{} // what stood on the way has long arrived
	}
	if t-e.heard > idleTime {
		e.queue = 0 // nor would anything else tell
		e.losses.idle()
	}
}

// Feedback takes what a feedback message says, in the order of sending.
func (e *Estimator) Feedback(now time.Time, acks []Ack) {
	if len(acks) == 0 {
		return
	}
	t := e.time(now)
	if e.silent {
		e.wake(t)
	} else if e.feedbacks > 0 {
		gap := min(t-e.heard, 300*time.Millisecond)
		e.interval += (gap - e.interval) / 8
	}
	e.heard = t
	e.feedbacks++
	news := false
	for i := range acks {
		a := &acks[i]
		sent := a.Sent.Sub(e.epoch)
		if sent > t+50*time.Millisecond || sent < 0 {
			continue // the caller's clock jumped meanwhile
		}
		if sent >= e.deafUntil {
			e.losses.add(a, e.queue > e.limit()/2)
		}
		if sent < e.newest {
			continue // overtaken; what it could tell is known
		}
		e.newest = sent
		if a.Skipped > 0 {
			e.arrivals.forget()
			e.prober.lost(a.Skipped)
		}
		e.prober.add(a, sent)
		own := e.bursts.add(sent, a.Size, burstDrain*e.target)
		if a.Received {
			e.checkClock(t, sent, a.Arrived)
			e.arrivals.base.add(t, a.Arrived-sent)
			e.arrivals.add(sent, a.Arrived, a.Size, own)
			news = true
		}
	}
	e.flight.resolve(e.newest)
	if !news {
		e.byLoss(t)
		return
	}
	e.roundTrips.add(t, t-e.newest)
	e.byDelay(t)
	e.byLoss(t)
	e.byProbe(t)
	e.target = min(max(e.target, e.least), e.most)
}

// checkClock compares the queue that an arrival tells with the round trip,
// which only our own clock measures: no queue is longer. If it seems so, the
// viewer's clock jumped.
func (e *Estimator) checkClock(t, sent, arrived time.Duration) {
	const slack = 300 * time.Millisecond
	delay := arrived - sent
	if e.arrivals.base.any && delay-e.arrivals.base.least() > t-sent+slack {
		e.arrivals.forget()
		e.arrivals.base.reset()
	}
}

// wake ends a silence. The link that comes back is most often the one that
// went, or near to it.
func (e *Estimator) wake(t time.Duration) {
	away := t - e.silentSince
	e.silent = false
	e.deafUntil = t
	e.arrivals.forget()
	e.congested = false
	e.trial = trial{}
	if away > 10*time.Second {
		e.arrivals.base.reset()
		e.roundTrips.reset()
	}
	if away > time.Second {
		e.losses.idle()
		e.losses.ceilingUntil = 0
		e.capacity = 0
		e.target = max(0.7*e.target, e.least)
		e.prober.soon(t + e.round())
	}
	e.lastGrow = t
}
