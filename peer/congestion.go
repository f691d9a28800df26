package peer

import "time"

const (
	// demandRoom is how far the target may go beyond what is wanted: room for
	// pacing and for bursts, and nothing to probe for above it.
	demandRoom = 1.4
	// gain is the part of what the link carries that is used after it was found
	// full, drainGain that while the queue drains.
	gain      = 0.92
	drainGain = 0.8

	// A standing queue longer than queueLimit is congestion, noise and the
	// packets' own length apart.
	queueLimit = 12 * time.Millisecond
	noiseMost  = 0.020 // s

	// standingSpan spans two frames at 30 a second: between them a queue of our
	// own making is gone. briefSpan is for one that grows too fast to wait so long.
	standingSpan = 70 * time.Millisecond
	briefSpan    = 25 * time.Millisecond
	// Rates are measured over rateSpan; while a queue stands over as much of
	// busySpan as it stood, or over lateSpan if the link has just become slower.
	rateSpan = 500 * time.Millisecond
	busySpan = 400 * time.Millisecond
	lateSpan = 100 * time.Millisecond

	rememberTime = 7 * time.Second        // where the link was full
	calmTime     = 5 * time.Second        // after a cut growth is careful
	patience     = 250 * time.Millisecond // with what may be a stall
	trialTime    = 400 * time.Millisecond
	trialMost    = 3 * time.Second
	trialDrain   = 0.06 // s of queue that should have drained, before it is judged
	tolerateTime = 10 * time.Second
	goneTime     = 1500 * time.Millisecond
)

// trial looks whether yielding drains the queue.
type trial struct {
	looking bool
	at      time.Duration // when it began to be looked at
	queue   time.Duration // then
	first   float64       // what the link carried when it was found full
	rate    float64       // and lately
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
	if standing < e.limit()/2+e.tolerated/2 {
		e.clear = t
	}
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
			e.noise = min(e.noise+(min(standing, limit/4).Seconds()-e.noise)/64, noiseMost)
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
	above := max(e.limit()/3, e.tolerated)
	rate, enough, busy := e.arrivals.busy(busySpan, above, 4)
	if late, enough, ok := e.arrivals.busy(lateSpan, above, 4); ok && enough && late < rate {
		rate = late // it has just become slow
	}
	if entering {
		wait := patience + e.interval
		if e.target > 0.8*rate {
			wait = patience/2 + e.interval // so full a link would be long about it
		}
		patient := t-e.clear < wait
		switch {
		case busy && patient && (rate > 1.05*e.target || !enough):
			// The link carries it: something stalled, and is catching up. If
			// it does not, the queue is drained.
			return
		case left < 1.02*came && !(busy && rate > 1.05*e.target):
			return // it came as fast as it left: an old queue, that drains or stands
		}
		e.congested, e.since = true, t
		if t-e.lastCut > calmTime {
			e.trouble = came
		}
	}
	if busy && enough {
		came = max(came, 0.95*rate)
	}
	if entering {
		e.trial = trial{first: came, rate: came}
	}
	known := e.capacity > 0 && came > 0.8*e.capacity
	carried := came
	if sent < e.target/2 && came < 0.7*e.target {
		// So little tells more of the encoder than of the link. If the queue
		// is the link's, it will still be there in a moment.
		if !entering && t-e.lastCut < e.round()+150*time.Millisecond {
			return
		}
		carried = 0.7 * e.target
	} else {
		e.capacity, e.found = came, t
	}
	// Later it is only corrected while the figure is the link's: once the queue
	// shrinks or stands, what comes is what was sent, and to follow that down
	// would be to starve.
	next := drainGain * carried
	if entering || left > 1.03*came || next > e.target && t-e.since < 600*time.Millisecond {
		e.target = max(min(next, e.target*1.1), e.least)
	}
	e.lastCut = t
	switch {
	case !entering:
	case known:
		e.prober.failed(t) // full where it was full before
	default:
		e.prober.soon(t) // to be looked at again as soon as the queue is gone
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
	if t-e.since > trialMost+queue && sent < 0.5*max(r.first, e.trouble) && queue > r.queue*9/10 {
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
	if t-e.found > rememberTime {
		e.capacity = 0
	}
	rise := 0.15
	switch {
	case e.capacity > 0 && e.target > 0.88*e.capacity && e.target < 1.1*e.capacity:
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
