package peer

import "time"

// playout decides how long a viewer is asked to hold pictures before it shows
// them. Not at all, as long as all arrive at once. On a link that loses packets a
// picture is whole a round trip after its fellows; shown as they come they would
// jerk: so all wait for about as long. On a link that has just the rate, large pictures
// arrive late and small ones soon after them, and of two in one refresh of the screen
// one is never seen: a little patience shows both. It is told the time.
type playout struct {
	delay time.Duration
	calm  time.Time // since when nothing worth mentioning is lost
	// narrow is since when the link has carried less than is asked for, narrowed when
	// it last did.
	narrow, narrowed time.Time
}

const (
	lossyLink, calmLink = 0.01, 0.003 // of the packets
	holdTime            = 5 * time.Second
	// repairTime is what noticing a loss and the packet's way through two queues
	// take beyond the round trip.
	repairTime                = 30 * time.Millisecond
	shortestHold, longestHold = 50 * time.Millisecond, 250 * time.Millisecond
	// protectedHold is for links on which parity packets repair most of the losses.
	protectedHold = 50 * time.Millisecond
	// narrowHold is for links that have been the limit for narrowTime.
	narrowHold = 20 * time.Millisecond
	narrowTime = 1500 * time.Millisecond
	// A change is seen as a jerk of its own.
	holdStep = 30 * time.Millisecond
)

// way is what a viewer's pictures come by.
type way struct {
	loss      float64 // 0 to 1
	round     time.Duration
	protected bool // by parity packets
	narrow    bool // it carries less than the viewer asks for
}

// next is the delay for that way.
func (p *playout) next(now time.Time, w way) time.Duration {
	if w.narrow {
		p.narrowed = now
		if p.narrow.IsZero() {
			p.narrow = now
		}
	} else if now.Sub(p.narrowed) >= holdTime {
		p.narrow = time.Time{}
	}
	hold := p.repair(now, w)
	if !p.narrow.IsZero() && p.narrowed.Sub(p.narrow) >= narrowTime {
		hold = max(hold, narrowHold)
	}
	return hold
}

// repair is the delay for what is lost.
func (p *playout) repair(now time.Time, w way) time.Duration {
	switch {
	case w.loss >= lossyLink:
		p.calm = time.Time{}
		want := min(max((w.round+repairTime).Round(10*time.Millisecond), shortestHold), longestHold)
		if w.protected {
			want = protectedHold
		}
		if p.delay == 0 || (want-p.delay).Abs() >= holdStep {
			p.delay = want
		}
	case w.loss > calmLink || p.delay == 0:
		p.calm = time.Time{}
	case p.calm.IsZero():
		p.calm = now
	case now.Sub(p.calm) >= holdTime:
		p.delay = 0
	}
	return p.delay
}

// playoutUnit is that of the header extension.
const playoutUnit = 10 * time.Millisecond

// playoutDelay is the playout-delay extension: least and most delay in units of
// 10 ms, twelve bits each. Browsers take 0 to anything up to 500 ms for low-latency
// rendering, which waits for nothing; beyond, pictures may wait for the sound.
func playoutDelay(least time.Duration, synced bool) [3]byte {
	most := least
	if synced {
		most = 10 * time.Second
	}
	a, b := uint16(least/playoutUnit), uint16(most/playoutUnit) //nolint:gosec // at most 1000
	return [3]byte{byte(a >> 4), byte(a<<4) | byte(b>>8), byte(b)}
}
