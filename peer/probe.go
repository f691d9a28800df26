package peer

import "time"

// Probe asks for packets beyond the media, to learn whether the link carries
// more: old packets again on the RTX stream, or padding.
type Probe struct {
	ID            int // from 1; to be told to transport.sent with each packet
	Rate          int // bit/s to pace it at
	Packets, Size int // Size in bytes, with headers
}

const (
	firstProbeWait  = 800 * time.Millisecond
	probeWaitMost   = 3500 * time.Millisecond
	probeAfter      = 3 * maxPacket // bytes have arrived
	probeAfterDrain = 300 * time.Millisecond
	probeTime       = 20 * time.Millisecond
	probeLeast      = 5  // packets
	probeMost       = 40 // packets
	trickleTime     = 50 * time.Millisecond
	tricklePacket   = 200 // bytes
	// A probe asks for so many times the target.
	firstStep, probeStep = 3., 2.
)

// prober is a packet train at a time: what arrives more slowly than it left
// tells what the link carries, what does not that it carries more. libwebrtc's
// probe controller does the same at the start of a call, rarely later.
type prober struct {
	id        int
	next      time.Duration // no probe before
	wait      time.Duration // after the next failure
	longer    int           // the last came in lumps: this many times the length
	underway  bool
	hasFailed bool // once
	asked     Probe
	deadline  time.Duration

	got, missed         int // packets of the probe
	bytes, late         int // of everything between its first packet and its last; late: up to now
	firstSent, lastSent time.Duration
	firstCame, lastCame time.Duration
}

// Probe returns what is to be sent now, if anything; asked after each Tick and
// Feedback. While a link is silent it asks for a packet twenty times a second, by
// which its return is noticed.
func (e *Estimator) Probe(now time.Time) (Probe, bool) {
	t := e.time(now)
	p := &e.prober
	if e.silent {
		if t < p.next {
			return Probe{}, false
		}
		p.underway = false
		p.next = t + trickleTime
		p.id++
		return Probe{ID: p.id, Rate: int(e.least), Packets: 1, Size: tricklePacket}, true
	}
	if p.underway && t > p.deadline {
		p.underway = false
		p.failed(t)
	}
	if e.congested {
		p.next = max(p.next, t+probeAfterDrain)
	}
	if p.underway || e.arrivals.received < probeAfter || t < p.next || e.demand <= 0 {
		return Probe{}, false
	}
	top := min(e.most, demandRoom*e.demand, e.losses.roof(t))
	if e.target > 0.95*top || e.congested || e.losses.high() || e.queue > e.limit()/2+e.tolerated/2 {
		return Probe{}, false
	}
	// Behind a burst of ours it would measure the burst.
	if float64(e.flight.bytes()) > e.target/8*(e.round()+e.interval+probeTime).Seconds() {
		return Probe{}, false
	}
	step := probeStep
	if e.lastCut == 0 && !p.hasFailed {
		step = firstStep // nothing is known of the link but that it carries the target
	}
	rate := min(step*e.target, 1.1*top)
	length := probeTime + min(time.Duration(2*e.noise*1e9), probeTime)
	length <<= p.longer
	bytes := rate / 8 * length.Seconds()
	p.id++
	p.underway = true
	p.deadline = t + e.round() + 2*e.interval + length + 300*time.Millisecond
	p.asked = Probe{ID: p.id, Rate: int(rate), Packets: min(max(int(bytes)/maxPacket+1, probeLeast), probeMost)}
	p.asked.Size = min(max(int(bytes)/p.asked.Packets, tricklePacket), maxPacket)
	p.got, p.missed, p.bytes, p.late = 0, 0, 0, 0
	return p.asked, true
}

func (p *prober) soon(t time.Duration) { p.next, p.wait = t, firstProbeWait }

// failed waits longer from time to time: each probe delays what follows it.
func (p *prober) failed(t time.Duration) {
	p.hasFailed = true
	p.next = t + p.wait
	p.wait = min(p.wait*3/2, probeWaitMost)
	p.longer = 0
}

// lost takes packets of which feedback itself was lost.
func (p *prober) lost(int) {
	if p.underway && p.got > 0 {
		p.got = 0 // begin anew with what is left
	}
}

// add takes what feedback says of any packet, in the order of sending: media
// among the probe's packets took their share of the link.
func (p *prober) add(a *Ack, sent time.Duration) {
	if !p.underway {
		return
	}
	if a.Probe != p.asked.ID {
		if p.got > 0 && a.Received {
			p.late += a.Size
		}
		return
	}
	if !a.Received {
		p.missed++
		return
	}
	p.got++
	if p.got == 1 {
		p.firstSent, p.firstCame, p.lastCame = sent, a.Arrived, a.Arrived
		p.bytes, p.late = 0, 0
	} else {
		p.bytes += p.late + a.Size
		p.late = 0
	}
	p.lastSent = sent
	p.lastCame = max(p.lastCame, a.Arrived)
}

// byProbe draws the conclusion when all of a probe was spoken of.
func (e *Estimator) byProbe(t time.Duration) {
	p := &e.prober
	if !p.underway || p.got+p.missed < p.asked.Packets || p.got < 3 {
		return
	}
	p.underway = false
	left := float64(p.bytes) * 8 / max(p.lastSent-p.firstSent, arrivalSpan).Seconds()
	came := float64(p.bytes) * 8 / max(p.lastCame-p.firstCame, twccUnit).Seconds()
	left = min(left, 1.2*float64(p.asked.Rate), e.losses.roof(t))
	switch {
	case e.congested || p.missed > p.asked.Packets/3:
		p.failed(t)
	case came > 2*left && p.longer < 2:
		// It came in a lump: that tells of the last hop's manners only.
		p.longer++
		p.next = t + e.round()
	case came > 0.85*left && left > e.target:
		e.raise(0.95 * min(left, came))
		e.capacity = 0
		p.longer = 0
		p.soon(t + e.round())
	case came > 1.2*e.target:
		e.raise(min(0.85*came, e.losses.roof(t)))
		p.failed(t)
	default:
		p.failed(t)
	}
}
