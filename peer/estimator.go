package peer

import (
	"math"
	"time"
)

// Estimator guesses how many bit/s the way to one viewer carries, from
// transport-wide feedback: delay gradient by a trend line, loss, and the
// dispersion of the bursts that key frames are. It follows
// draft-ietf-rmcat-gcc-02, with libwebrtc's trend line in place of the Kalman
// filter. It keeps no clock.
type Estimator struct {
	least, most float64
	target      float64

	group, previous burst
	trend           trendline
	sent, acked     windowRate
	epoch           time.Time // of sent
	lossSent        int
	lossLost        int
	lastLossCut     time.Time
	lastCut         time.Time
	lastGrow        time.Time
	lastProbe       time.Time
	capacity        float64 // where overuse was last met; 0: not known
	rtt             time.Duration
	loss            float64
	demand          float64
}

// burst is the packets that left within burstSpan: the encoder hands over
// whole frames, whose packets queue behind each other.
type burst struct {
	firstSent, lastSent       time.Time
	firstArrived, lastArrived time.Duration
	firstSize, size, packets  int
}

const (
	burstSpan   = 5 * time.Millisecond
	probeBytes  = 4000
	probePacket = 5
)

// NewEstimator begins at start bit/s and stays within [least, most].
func NewEstimator(start, least, most int) *Estimator {
	return &Estimator{least: float64(least), most: float64(most), target: float64(min(max(start, least), most)), trend: newTrendline()}
}

// Target is the estimate in bit/s.
func (e *Estimator) Target() int { return int(e.target) }

// Loss is the fraction of packets lost lately, 0 to 1.
func (e *Estimator) Loss() float64 { return e.loss }

// SetRTT tells the round trip time, from receiver reports.
func (e *Estimator) SetRTT(d time.Duration) { e.rtt = d }

// Sent tells of a packet of size bytes that left with a transport-wide number.
func (e *Estimator) Sent(now time.Time, size int) {}

// SetDemand tells the bit/s that the session would send if the link carried it,
// sound included.
func (e *Estimator) SetDemand(bps int) { e.demand = float64(bps) }

// Tick lets time pass, some 20 to 40 times a second.
func (e *Estimator) Tick(now time.Time) {}

// Congested says that a queue builds on the way, or was found and has not drained.
func (e *Estimator) Congested() bool { return e.trend.state == overusing }

// InFlight is how many bytes left of which no feedback has spoken yet.
func (e *Estimator) InFlight() int { return 0 }

// Window is how many bytes may be in flight.
func (e *Estimator) Window() int { return 1 << 20 }

// Probe asks for packets beyond the media, to learn whether the link carries more.
type Probe struct {
	ID            int // from 1; each packet's, in transport.sent
	Rate          int // bit/s to pace it at
	Packets, Size int // Size in bytes
}

// Probe returns what is to be sent now, if anything; asked after each Tick and Feedback.
func (e *Estimator) Probe(now time.Time) (Probe, bool) { return Probe{}, false }

// Feedback takes what a feedback message says, in the order of sending.
func (e *Estimator) Feedback(now time.Time, acks []Ack) {
	overuse, underuse := false, false
	for i := range acks {
		a := &acks[i]
		e.lossSent++
		if e.epoch.IsZero() {
			e.epoch = a.Sent
		}
		e.sent.add(a.Sent.Sub(e.epoch), a.Size)
		if !a.Received {
			e.lossLost++
			continue
		}
		e.acked.add(a.Arrived, a.Size)
		if e.group.packets > 0 && (a.Sent.Sub(e.group.firstSent) > burstSpan) {
			e.closeBurst(now)
		}
		if e.group.packets == 0 {
			e.group = burst{firstSent: a.Sent, firstArrived: a.Arrived, firstSize: a.Size}
		}
		e.group.lastSent = a.Sent
		e.group.lastArrived = max(e.group.lastArrived, a.Arrived)
		e.group.size += a.Size
		e.group.packets++
		switch e.trend.state {
		case overusing:
			overuse = true
		case underusing:
			underuse = true
		}
	}
	switch {
	case overuse:
		e.cut(now)
	case underuse:
		e.lastGrow = now // the queue drains: hold
	default:
		e.grow(now)
	}
	e.lossControl(now)
}

// Report takes the fraction lost of a receiver report, 0 to 1, from a viewer
// that gives no transport-wide feedback: loss alone then decides
// (draft-ietf-rmcat-gcc-02, section 6).
func (e *Estimator) Report(now time.Time, lost float64) {
	e.loss = lost
	dt := min(max(now.Sub(e.lastGrow), 0), 2*time.Second)
	e.lastGrow = now
	switch {
	case lost > 0.10:
		e.target *= 1 - 0.5*lost
	case lost < 0.02:
		e.target *= math.Pow(1.08, dt.Seconds())
	}
	e.target = min(max(e.target, e.least), e.most)
}

// closeBurst feeds a finished burst to the trend line and to the probe.
func (e *Estimator) closeBurst(now time.Time) {
	g, p := e.group, e.previous
	if p.packets > 0 {
		sent := g.lastSent.Sub(p.lastSent)
		arrived := g.lastArrived - p.lastArrived
		e.trend.update(now, sent, arrived)
		if arrived < 0 {
			g.lastSent, g.lastArrived = p.lastSent, p.lastArrived
		}
	}
	e.probe(now, e.group)
	e.previous, e.group = g, burst{}
}

// probe takes a burst as a packet train: it left at once, so the time over
// which it arrived tells how fast the narrowest link is. Links that hand over
// packets in lumps make it look faster than it is, so it at most doubles the
// target, and never soon after a cut.
func (e *Estimator) probe(now time.Time, g burst) {
	if g.packets < probePacket || g.size < probeBytes || now.Sub(e.lastCut) < 3*time.Second || now.Sub(e.lastProbe) < 100*time.Millisecond {
		return
	}
	if e.trend.state != normal || e.loss > 0.02 {
		return
	}
	span := max(g.lastArrived-g.firstArrived, twccUnit)
	rate := 0.75 * float64(g.size-g.firstSize) * 8 / span.Seconds()
	if rate > e.target {
		e.target = min(rate, 2*e.target, e.most)
		e.lastProbe = now
	}
}

// cut answers overuse: below what really arrived, so that the queue drains.
func (e *Estimator) cut(now time.Time) {
	if now.Sub(e.lastCut) < max(e.rtt, 100*time.Millisecond)+100*time.Millisecond {
		return
	}
	base := e.target
	sent, known := e.sent.rate()
	switch arrived, ok := e.acked.rate(); {
	case known && sent < e.least:
		// So little does not fill a link that we could serve at all: the delay is
		// the viewer's own, a machine that is busy opening the page perhaps.
		return
	case known && ok && sent < e.target/2:
		// What arrived tells what the encoder made, not what the link carries. If
		// the delay is the link's, the next cut follows in a moment.
		base = max(arrived, 0.7*e.target)
	case ok:
		base = min(base, arrived)
		e.capacity = arrived
	}
	e.target = min(max(0.85*base, e.least), e.most)
	e.lastCut, e.lastGrow = now, now
}

// calmTime is how long after a cut the estimate grows carefully.
const calmTime = 5 * time.Second

// grow raises the target: by 8 % a second far from the known capacity, by 25 %
// when nothing has been wrong for a while, by one packet a round trip near to
// the capacity, and never past 1.5 times what arrived.
func (e *Estimator) grow(now time.Time) {
	dt := now.Sub(e.lastGrow)
	e.lastGrow = now
	if dt <= 0 || dt > time.Second {
		dt = min(max(dt, 0), 100*time.Millisecond)
	}
	rise := 1.08
	if now.Sub(e.lastCut) > calmTime {
		rise = 1.25
	}
	step := e.target * (math.Pow(rise, dt.Seconds()) - 1)
	if e.capacity > 0 && e.target > 0.9*e.capacity && e.target < 1.1*e.capacity {
		perRound := maxPacket * 8.0
		round := e.rtt + 100*time.Millisecond
		step = max(perRound*dt.Seconds()/round.Seconds(), 4000*dt.Seconds())
	}
	next := e.target + step
	if rate, ok := e.acked.rate(); ok {
		next = min(next, 1.5*rate+10_000)
	}
	// What has been reached is kept while the encoder needs less.
	e.target = min(max(next, e.target), e.most)
}

// lossControl lowers the target when more than a tenth of the packets is
// lost: less is the link's own nature and is repaired, not yielded to.
func (e *Estimator) lossControl(now time.Time) {
	if e.lossSent < 20 {
		return
	}
	e.loss = float64(e.lossLost) / float64(e.lossSent)
	e.lossSent, e.lossLost = 0, 0
	if e.loss > 0.10 && now.Sub(e.lastLossCut) > 300*time.Millisecond+e.rtt {
		e.target = max(e.target*(1-0.5*e.loss), e.least)
		e.lastLossCut, e.lastCut = now, now
	}
}

// windowRate is the rate of bytes over the last half second of a clock.
type windowRate struct {
	at   [512]time.Duration
	size [512]int
	head int
	n    int
	sum  int
}

const rateWindow = 500 * time.Millisecond

func (r *windowRate) add(at time.Duration, size int) {
	if r.n == len(r.at) {
		r.drop()
	}
	i := (r.head + r.n) % len(r.at)
	r.at[i], r.size[i] = at, size
	r.n++
	r.sum += size
	for r.n > 1 && at-r.at[r.head] > rateWindow {
		r.drop()
	}
}

func (r *windowRate) drop() {
	r.sum -= r.size[r.head]
	r.head = (r.head + 1) % len(r.at)
	r.n--
}

// rate is in bit/s; false until there is enough to tell.
func (r *windowRate) rate() (float64, bool) {
	if r.n < 10 {
		return 0, false
	}
	last := (r.head + r.n - 1) % len(r.at)
	span := r.at[last] - r.at[r.head]
	if span < rateWindow/4 {
		return 0, false
	}
	return float64(r.sum-r.size[r.head]) * 8 / span.Seconds(), true
}
