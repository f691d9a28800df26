package peer

import (
	"time"
)

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
	lastCut        time.Duration
	lastGrow       time.Duration
	capacity       float64 // where the link was last found full; 0: not known
	trial          trial
	trouble        float64       // what came when the present troubles began
	tolerated      time.Duration // a queue that is not ours
	toleratedSince time.Duration
	stood          time.Duration // when it was last a good part of that
	notOurs        time.Duration // when a queue was last found to be somebody else's

	losses losses
	prober prober
}

// trial looks whether yielding drains the queue.
type trial struct {
	looking bool
	at      time.Duration // when it began to be looked at
	queue   time.Duration // then
	first   float64       // what the link carried when it was found full
	rate    float64       // and lately
}

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

const (
	demandRoom = 1.4

	// gain is the part of what the link carries that is used after it was found
	// full.
	gain      = 0.92
	drainGain = 0.8

	// A queue longer than this is congestion, plus what noise and the packets'
	// own length explain.
	queueLimit = 12 * time.Millisecond
	noiseMost  = 0.020 // s

	standingSpan = 70 * time.Millisecond
	briefSpan    = 25 * time.Millisecond
	calmTime     = 5 * time.Second
	trialTime    = 400 * time.Millisecond
	trialMost    = 3 * time.Second
	trialDrain   = 0.06 // s
	tolerateTime = 10 * time.Second
	goneTime     = 1500 * time.Millisecond
	busySpan     = 400 * time.Millisecond
	lateSpan     = 100 * time.Millisecond
	rateSpan     = 500 * time.Millisecond
)

// time is the caller's clock since the first call, never going back: after a
// jump backwards it goes on from where it was.
func (e *Estimator) time(now time.Time) time.Duration {
	if e.epoch.IsZero() {
		e.epoch, e.last = now, now
	}
	if d := now.Sub(e.last); d < 0 {
		e.epoch = e.epoch.Add(d)
	}
	e.last = now
	return now.Sub(e.epoch)
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
		if sent > t || sent < 0 {
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
		if a.Received {
			e.checkClock(t, sent, a.Arrived)
			e.arrivals.base.add(t, a.Arrived-sent)
			e.arrivals.add(sent, a.Arrived, a.Size)
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
		e.capacity = 0
		e.target = max(0.7*e.target, e.least)
		e.prober.soon(t + e.round())
	}
	e.lastGrow = t
}

// limit is how long a standing queue may be before it is congestion.
func (e *Estimator) limit() time.Duration {
	// A packet's own length on a thin link is not a queue.
	own := min(time.Duration(maxPacket/2*8/e.target*1e9), 40*time.Millisecond)
	return queueLimit + own + time.Duration(2*e.noise*1e9) + e.tolerated
}

// byDelay yields to a queue and grows where there is none.
func (e *Estimator) byDelay(t time.Duration) {
	standing, ok := e.arrivals.queue(standingSpan, 4)
	brief, okBrief := e.arrivals.queue(briefSpan, 4)
	if !ok || !okBrief {
		return
	}
	e.queue = standing
	if e.tolerated > 0 {
		if standing > e.tolerated/4 {
			e.stood = t
		}
		switch {
		case t-e.stood > goneTime, t-e.toleratedSince > tolerateTime:
			e.tolerated = 0 // who filled it is gone, perhaps
		case standing > e.tolerated:
			e.tolerated = standing + standing/4
		}
	}
	limit := e.limit()
	switch {
	case standing > limit || brief > 2*limit+20*time.Millisecond:
		e.yield(t, max(standing, brief))
	case e.congested && standing > (limit+e.tolerated)/2:
		e.yield(t, standing)
	default:
		if e.congested {
			e.congested = false
			e.trial = trial{}
			if e.capacity > 0 {
				e.target = max(e.target, min(gain*e.capacity, e.target/drainGain*gain))
			}
			e.lastGrow = t
		}
		if e.tolerated == 0 {
			e.noise = min(e.noise+(standing.Seconds()-e.noise)/64, noiseMost)
		}
		if standing < max(limit/2+e.tolerated/2, e.tolerated*9/10) {
			e.grow(t)
		} else {
			e.lastGrow = t
		}
	}
}

// yield goes to what the link carries, less what drains the queue.
func (e *Estimator) yield(t, queue time.Duration) {
	e.lastGrow = t
	sent := e.flight.rate(t, rateSpan)
	if sent < e.least && !e.congested {
		// So little does not fill a link that we could serve at all: the delay is
		// the viewer's own, a machine that is busy opening the page perhaps.
		return
	}
	left, came, ok := e.arrivals.rates(busySpan, max(e.limit()/3, e.tolerated), 5)
	if !ok {
		left, came, ok = e.arrivals.rates(busySpan/2, 0, 5)
	}
	// A link that has just become slow was busy before as well, at its old rate.
	if l, c, now := e.arrivals.rates(lateSpan, 0, 5); ok && now && l > 1.4*c && c < came {
		left, came = l, max(c, 0.4*came) // but so few packets may deceive
	}
	if !ok {
		return
	}
	entering := !e.congested
	if entering {
		if left < 1.02*came {
			return // it came as fast as it left: an old queue, that drains or stands
		}
		e.congested, e.since = true, t
		if t-e.lastCut > calmTime {
			e.trouble = came
		}
		e.trial = trial{first: came, rate: came}
	}
	carried := came
	if sent < e.target/2 && came < 0.7*e.target {
		// So little tells more of the encoder than of the link. If the queue
		// is the link's, it will still be there in a moment.
		if !entering && t-e.lastCut < e.round()+150*time.Millisecond {
			return
		}
		carried = 0.7 * e.target
	} else {
		e.capacity = came
	}
	// Later it is only corrected while the figure is the link's: once the queue
	// shrinks or stands, what comes is what was sent, and to follow that down
	// would be to starve.
	next := drainGain * carried
	if entering || left > 1.03*came || next > e.target && t-e.since < 600*time.Millisecond {
		if entering && next < 0.7*e.target {
			e.prober.wait = firstProbeWait / 2 // another link than before
		}
		e.target = max(min(next, e.target*1.1), e.least)
	}
	e.lastCut = t
	if entering {
		e.prober.failed(t)
	}
	e.tryDraining(t, queue, came)
}

// tryDraining looks whether the queue shrinks though we send less than the
// link carried. If it does not, it is somebody else's, or the way has become
// longer: then it is tolerated for a while, for who yields for ever starves.
func (e *Estimator) tryDraining(t, queue time.Duration, came float64) {
	r := &e.trial
	if !r.looking {
		if t-e.since > min(queue, time.Second)+e.round()+e.interval {
			r.looking, r.at, r.queue = true, t, queue
		}
		return
	}
	if t-r.at < trialTime {
		return
	}
	sent := e.flight.rate(t, t-r.at)
	expected := (t - r.at).Seconds() * (1 - sent/r.rate)
	if expected < trialDrain && t-r.at < trialMost {
		return
	}
	stands := expected > trialDrain && sent < 0.85*r.rate && (r.queue-queue).Seconds() < 0.4*expected && came > 0.7*sent
	if t-e.since > trialMost+queue && sent < 0.5*r.first && queue > r.queue*9/10 {
		// What comes has followed what is sent all the way down.
		stands, r.first, e.trouble = true, came, came
	}
	if stands {
		if t-e.notOurs > tolerateTime*3/2 || e.notOurs == 0 {
			// Once, it is taken for a longer way: the strict rule goes on from there.
			e.arrivals.base.lengthen(t, queue)
			e.roundTrips.lengthen(t, queue)
		} else {
			e.tolerated, e.toleratedSince, e.stood = queue+queue/4, t, t
		}
		e.notOurs = t
		e.capacity = 0
		e.target = max(e.target, 0.6*r.first, 0.35*e.trouble)
		e.congested = false
		e.trial = trial{}
		return
	}
	r.at, r.queue, r.rate = t, queue, max(came, 0.8*r.rate)
}

// grow raises the target: quickly far from where the link was last full, by
// some percent a second near to it, and never past 1.5 times what arrived.
func (e *Estimator) grow(t time.Duration) {
	dt := min(t-e.lastGrow, 200*time.Millisecond).Seconds()
	e.lastGrow = t
	_, came, ok := e.arrivals.rates(rateSpan, 0, 10)
	if !ok || e.losses.high() || came < 0.6*e.target {
		return
	}
	rise := 0.15
	switch {
	case e.capacity > 0 && e.target > 0.85*e.capacity && e.target < 1.1*e.capacity:
		rise = 0.025
	case e.lastCut == 0 || t-e.lastCut > calmTime:
		rise = 0.4
	}
	e.raise(min(e.target*(1+rise*dt), 1.5*came+10_000))
}

// raise goes up to rate, but not past what is of use.
func (e *Estimator) raise(rate float64) {
	top := e.most
	if e.demand > 0 {
		top = min(top, demandRoom*e.demand)
	}
	// What has been reached is kept while the encoder needs less.
	e.target = max(e.target, min(rate, top))
}
