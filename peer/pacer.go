package peer

import "time"

// pacer spreads what is sent over time: a key frame sent at once would wait in
// the narrowest queue of the way, or not fit in. It is told the time.
type pacer struct {
	rate  int           // bit/s
	burst time.Duration // how far sending may run ahead of the rate
	free  time.Time     // when all that was sent will have been paid for
}

const (
	// paceFactor is how much faster than the estimate one sends: the estimate
	// is of a mean, and frames come in lumps.
	paceFactor = 2.5
	// paceBurst lets most frames out at once.
	paceBurst = 40 * time.Millisecond
	// With a queue on the way nothing is gained by running ahead.
	congestedFactor = 1.1
	congestedBurst  = 10 * time.Millisecond
)

// set adjusts the pacer to an estimate in bit/s.
func (p *pacer) set(estimate int, congested bool) {
	p.rate, p.burst = int(paceFactor*float64(estimate)), paceBurst
	if congested {
		p.rate, p.burst = int(congestedFactor*float64(estimate)), congestedBurst
	}
}

// sent accounts for size bytes. Before the first set nothing is known that it
// could cost: sound may be sent by then, and the picture must not wait for it.
func (p *pacer) sent(now time.Time, size int) {
	if p.rate == 0 {
		return
	}
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(size) * 8 * time.Second / time.Duration(p.rate))
}

// wait is how long nothing may be sent; 0: go.
func (p *pacer) wait(now time.Time) time.Duration {
	if !p.free.After(now) {
		return 0
	}
	return max(0, p.free.Sub(now)-p.burst)
}
