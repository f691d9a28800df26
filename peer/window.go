package peer

import (
	"sort"
	"time"
)

// flight counts what left: how much of it no feedback has spoken of yet, and
// how fast it left. Packets within flightSpan share an entry.
type flight struct {
	ring     [512]departure
	count    int   // ever put in
	sent     int64 // bytes
	resolved int64 // bytes of which feedback has spoken, or that were written off
	newest   time.Duration
}

type departure struct {
	at   time.Duration
	sent int64 // bytes until then
}

const flightSpan = 4 * time.Millisecond

func (f *flight) add(now time.Duration, size int) {
	f.sent += int64(size)
	f.newest = now
	if f.count > 0 {
		if last := &f.ring[(f.count-1)%len(f.ring)]; now-last.at < flightSpan {
			last.sent = f.sent
			return
		}
	}
	f.ring[f.count%len(f.ring)] = departure{now, f.sent}
	f.count++
}

// until is how many bytes left up to at.
func (f *flight) until(at time.Duration) int64 {
	n := min(f.count, len(f.ring))
	first := f.count - n
	i := sort.Search(n, func(i int) bool { return f.ring[(first+i)%len(f.ring)].at > at })
	if i == 0 {
		return 0
	}
	return f.ring[(first+i-1)%len(f.ring)].sent
}

// resolve says that what left up to at is no longer on the way.
func (f *flight) resolve(at time.Duration) { f.resolved = max(f.resolved, f.until(at)) }

func (f *flight) bytes() int { return int(f.sent - f.resolved) }

// rate is in bit/s over the last span.
func (f *flight) rate(now, span time.Duration) float64 {
	return float64(f.sent-max(f.until(now-span), 0)) * 8 / span.Seconds()
}

const (
	// firstWindow may go before anything is known of the link: about what
	// RFC 6928 lets TCP send, and a small key frame whole.
	firstWindow = 13 * maxPacket
	leastWindow = 4 * maxPacket
	// burstTime is how long a burst of our own may queue.
	burstTime = 100 * time.Millisecond
	// deafTime is that where the last that was heard was of no queue: what speaks of the
	// packets may be lost as they are, some in a row. Nothing heard for longer is silence.
	deafTime = 300 * time.Millisecond
	// drainTime is that while a queue drains.
	drainTime = 30 * time.Millisecond
	// silentWindow lets the trickle pass by which the return of a link is noticed.
	silentWindow = 2 * maxPacket
)

// InFlight is how many bytes left of which no feedback has spoken yet. What no
// feedback speaks of in time is written off.
func (e *Estimator) InFlight() int { return e.flight.bytes() }

// Window is how many bytes may be in flight before new video must wait. It is
// what the target puts on the way in a round trip and a feedback interval, plus
// a burst's worth: libwebrtc's congestion window pushback in spirit, but tighter
// while a queue drains, so that it drains by itself.
func (e *Estimator) Window() int {
	if e.silent {
		return silentWindow
	}
	slack := burstTime
	switch {
	case e.congested:
		slack = drainTime
	case e.queue < e.limit()/2 && e.feedbacks > 0:
		slack = deafTime
	}
	if e.tolerated > 0 {
		slack += e.tolerated
	}
	round := e.round() + e.interval + slack
	window := max(int(e.target/8*round.Seconds()), leastWindow)
	// At first what has arrived opens it, as in TCP's slow start.
	return int(min(int64(window), firstWindow+e.arrivals.received))
}
