package peer

import "time"

// arrivals is what came lately, by the viewer's clock: enough to tell how fast
// it came and how long the way took. Packets within arrivalSpan share an entry,
// so the ring holds half a second at any rate.
type arrivals struct {
	ring     [512]arrival
	count    int // ever put in
	oldest   int // the first that may be looked at
	received int64
	base     leastLately // one way, with the unknown offset between the two clocks
}

type arrival struct {
	at, sent time.Duration // of the newest packet
	received int64         // bytes until then
	delay    time.Duration // the least of its packets, one way with unknown offset
	foreign  time.Duration // the same, less what our own bursts explain
	packets  int
}

const (
	arrivalSpan = time.Millisecond
	overtakenBy = 200 * time.Millisecond // at most, on the way
)

// add takes a packet; they come in the order of sending. own is how long it
// waits for others of ours if the way carries what we think.
func (a *arrivals) add(sent, at time.Duration, size int, own time.Duration) {
	a.received += int64(size)
	delay := at - sent
	foreign := delay - own
	if a.count > a.oldest {
		last := &a.ring[(a.count-1)%len(a.ring)]
		switch d := at - last.at; {
		case d < -overtakenBy:
			a.forget() // no: the viewer's clock went back
		case d < arrivalSpan:
			// Overtaken packets count for the one that overtook them.
			last.sent = sent
			last.received = a.received
			last.delay = min(last.delay, delay)
			last.foreign = min(last.foreign, foreign)
			last.packets++
			return
		}
	}
	a.ring[a.count%len(a.ring)] = arrival{at, sent, a.received, delay, foreign, 1}
	a.count++
	a.oldest = max(a.oldest, a.count-len(a.ring))
}

// forget breaks the chain: something is not known of the packets between, so
// that no rate may be told across.
func (a *arrivals) forget() { a.oldest = a.count }

func (a *arrivals) get(i int) *arrival { return &a.ring[i%len(a.ring)] }

func (a *arrivals) newest() *arrival {
	if a.count == a.oldest {
		return nil
	}
	return a.get(a.count - 1)
}

// queue is how much longer than on an empty way the packets took that came in
// the last span, packets at least: the least of them, less what waits for one's own
// bursts, for jitter delays some packets, but a standing queue all.
func (a *arrivals) queue(span time.Duration, packets int) (time.Duration, bool) {
	newest := a.newest()
	if newest == nil {
		return 0, false
	}
	least, n := newest.foreign, 0
	for i := a.count - 1; i >= a.oldest; i-- {
		x := a.get(i)
		if n >= packets && newest.at-x.at > span {
			return max(least-a.base.least(), 0), true
		}
		n += x.packets
		least = min(least, x.foreign)
	}
	return max(least-a.base.least(), 0), n >= packets
}

// rates are the bit/s at which what came in the last span left and came; with
// above, only as far back as everything waited longer than that: the way was
// busy then, and what came is what it carries. False if that is too little.
func (a *arrivals) rates(span, above time.Duration, packets int) (sent, came float64, ok bool) {
	newest := a.newest()
	if newest == nil {
		return 0, 0, false
	}
	n, from := 0, -1
	for i := a.count - 1; i >= a.oldest; i-- {
		x := a.get(i)
		if newest.at-x.at > span || (above > 0 && x.delay-a.base.least() < above) {
			break
		}
		n += x.packets
		from = i
	}
	if from < 0 || n < packets {
		return 0, 0, false
	}
	first := a.get(from)
	arrived, left := newest.at-first.at, newest.sent-first.sent
	if arrived < max(span/5, 30*time.Millisecond) {
		return 0, 0, false
	}
	bits := float64(newest.received-first.received) * 8
	return bits / max(left, arrivalSpan).Seconds(), bits / arrived.Seconds(), true
}

// busy is the bit/s at which packets came, at least so many, of which every one
// had waited longer than above: what the way carries. It looks back as far as
// span. The longest break is left out, and the packet that ended it, for a machine
// that stalls makes one as well. enough tells that the stretch has lasted long enough for a low figure to
// be believed.
func (a *arrivals) busy(span, above time.Duration, packets int) (rate float64, enough, ok bool) {
	newest := a.newest()
	if newest == nil {
		return 0, false, false
	}
	n, from, longest := 0, -1, time.Duration(0)
	for i := a.count - 1; i >= a.oldest; i-- {
		x := a.get(i)
		if newest.at-x.at > span || x.foreign-a.base.least() < above {
			break
		}
		if from >= 0 {
			longest = max(longest, a.get(from).at-x.at)
		}
		n += x.packets
		from = i
	}
	if from < 0 || n < packets {
		return 0, false, false
	}
	first := a.get(from)
	arrived := newest.at - first.at
	bits := float64(newest.received-first.received) * 8
	bits -= bits / float64(n-1)
	return bits / max(arrived-longest, arrivalSpan).Seconds(), arrived >= lowSpan, true
}

// lowSpan is over how long packets must have come for a low rate to be believed.
const lowSpan = 40 * time.Millisecond

// leastLately is the least of what was seen in the last 20 to 25 s: clocks
// drift, routes change.
type leastLately struct {
	part  [5]time.Duration
	seen  [5]bool
	index int64
	now   time.Duration // the least
	any   bool
}

const leastPart = 5 * time.Second

func (l *leastLately) add(now, x time.Duration) {
	if i := int64(now / leastPart); i != l.index {
		// What a pause skipped is kept: nothing newer is known.
		l.index = i
		k := i % int64(len(l.part))
		l.part[k], l.seen[k] = x, true
		l.now = x
		for j, y := range l.part {
			if l.seen[j] {
				l.now = min(l.now, y)
			}
		}
		l.any = true
		return
	}
	k := l.index % int64(len(l.part))
	if !l.seen[k] || x < l.part[k] {
		l.part[k], l.seen[k] = x, true
	}
	if !l.any || x < l.now {
		l.now, l.any = x, true
	}
}

func (l *leastLately) least() time.Duration { return l.now }

func (l *leastLately) reset() { *l = leastLately{index: l.index} }

// lengthen adds to the least: the way has become longer.
func (l *leastLately) lengthen(now, by time.Duration) {
	least := l.now + by
	l.reset()
	l.add(now, least)
}
