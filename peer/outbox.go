package peer

import (
	"time"

	"github.com/peercam/peercam/encode"
)

// outbox holds a session's frames until the pacer lets them out. It keeps what
// goes out decodable: a frame goes in only if all that it refers to did.
type outbox struct {
	frames  [outboxSize]*encode.Frame // a ring
	head, n int
	part    int // packets of the first frame that are out
	bytes   int // of all frames, whether partly out or not
	// live tells for each layer whether its pictures have gone in without a gap,
	// so that the next one can be decoded.
	live [allLayers + 1]bool
}

// outboxSize is the most frames waiting: what comes then is dropped.
const outboxSize = 32

const (
	// With a backlog of so long, layer 2, layer 1, and everything are dropped.
	dropLayer2, dropLayer1, dropAll = 60 * time.Millisecond, 120 * time.Millisecond, 400 * time.Millisecond
	// A key frame takes the place of what waits longer than this.
	dropForKey = 80 * time.Millisecond
)

// add takes a frame in, which it retains, or tells that it was left out. layer
// is the highest that the viewer gets, backlog how long what waits will take.
func (o *outbox) add(f *encode.Frame, layer int, backlog time.Duration) bool {
	if f.Key {
		if backlog > dropForKey {
			o.cut()
		}
	} else if !o.takes(f, layer, backlog) {
		// What refers to this frame cannot be decoded either.
		for l := f.Layer; l < len(o.live); l++ {
			o.live[l] = false
		}
		return false
	}
	if o.n == outboxSize {
		o.live = [allLayers + 1]bool{}
		return false
	}
	switch {
	case f.Key:
		// The layers above begin anew, each with a picture of its own.
		for l := range o.live {
			o.live[l] = true
		}
	case f.Sync:
		o.live[f.Layer] = true
	}
	f.Retain()
	o.frames[(o.head+o.n)%outboxSize] = f
	o.n++
	o.bytes += len(f.Data)
	return true
}

func (o *outbox) takes(f *encode.Frame, layer int, backlog time.Duration) bool {
	if f.Layer > layer || f.Layer >= len(o.live) || !o.live[0] {
		return false
	}
	if backlog > dropAll || f.Layer >= 1 && backlog > dropLayer1 || f.Layer >= 2 && backlog > dropLayer2 {
		return false
	}
	if f.Sync {
		return true
	}
	for l := range f.Layer + 1 {
		if !o.live[l] {
			return false
		}
	}
	return true
}

// starved tells that nothing but a key frame helps.
func (o *outbox) starved() bool { return !o.live[0] }

// holdsKey tells that a key frame waits.
func (o *outbox) holdsKey() bool {
	for i := range o.n {
		if o.frames[(o.head+i)%outboxSize].Key {
			return true
		}
	}
	return false
}

// first is the frame to be sent, and how many of its packets are out. nil:
// nothing waits.
func (o *outbox) first() (*encode.Frame, int) {
	if o.n == 0 {
		return nil, 0
	}
	return o.frames[o.head], o.part
}

// sent tells that a packet of the first frame is out, the last one or not.
func (o *outbox) sent(last bool) {
	o.part++
	if last {
		o.drop()
	}
}

func (o *outbox) drop() {
	f := o.frames[o.head]
	o.frames[o.head] = nil
	o.head = (o.head + 1) % outboxSize
	o.n--
	o.part = 0
	o.bytes -= len(f.Data)
	f.Release()
}

// cut drops what has not begun to go out.
func (o *outbox) cut() {
	keep := 0
	if o.part > 0 {
		keep = 1
	}
	for o.n > keep {
		o.n--
		i := (o.head + o.n) % outboxSize
		o.bytes -= len(o.frames[i].Data)
		o.frames[i].Release()
		o.frames[i] = nil
	}
}

// clear drops everything.
func (o *outbox) clear() {
	for o.n > 0 {
		o.drop()
	}
	o.live = [allLayers + 1]bool{}
}
