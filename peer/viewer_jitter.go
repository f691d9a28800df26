package peer

import (
	"maps"
	"slices"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
)

const (
	jitterSize = 1024 // packets, a power of two: seconds of video
	// reorderTime is how long a packet may be behind its successors before it is
	// asked for.
	reorderTime = 10 * time.Millisecond
	maxAsks     = 10
	// A gap is waited for as long as an answer to some questions takes, within
	// these bounds; sound, which is not sent again, only as long as the least.
	leastPatience, mostPatience = 150 * time.Millisecond, time.Second
	// keyPause is the least time from one request for a key frame to the next.
	keyPause = 400 * time.Millisecond
)

// jitterBuffer puts packets of one stream in order and takes frames out, whole
// and decodable: what follows a gap that was not filled is dropped until a key
// frame. It is pure: it keeps no clock and sends nothing.
type jitterBuffer struct {
	video bool
	rtt   time.Duration

	slots   [jitterSize]*rtp.Packet
	started bool
	begun   bool             // something was taken out
	next    int64            // extended number of the packet to be taken next
	highest int64            // of those that came
	missing map[int64]*gap   // between the two
	hole    int64            // the packet that is waited for
	since   time.Time        // when its lack was noticed
	waitKey bool             // nothing can be decoded before a key frame
	keyAt   time.Time        // when one was asked for
	parse   codecs.VP8Packet // reused

	expected int64 // packets, by their numbers
	lost     int64 // of those, not there when they should; most are sent again
	late     int64 // came when they were given up
	skipped  int64 // gaps that were given up
}

// gap is a packet that has not come.
type gap struct {
	first, asked time.Time
	asks         int
}

// unit is a frame or packet as it comes out.
type unit struct {
	data  []byte
	first *rtp.Packet // its timestamp and extensions count
	key   bool
}

func newJitterBuffer(video bool) *jitterBuffer {
	return &jitterBuffer{video: video, waitKey: video, rtt: 100 * time.Millisecond, missing: map[int64]*gap{}}
}

// push takes a packet that came.
func (b *jitterBuffer) push(now time.Time, p *rtp.Packet) {
	if !b.started {
		b.started = true
		b.next, b.highest = int64(p.SequenceNumber), int64(p.SequenceNumber)-1
	}
	seq := b.highest + int64(int16(p.SequenceNumber-uint16(b.highest))) //nolint:gosec // wraps on purpose
	switch {
	case seq >= b.next+jitterSize: // the other end began anew, or we slept
		b.restart(seq)
	case seq < b.next && !b.begun && b.next-seq < jitterSize/2 && b.highest-seq < jitterSize:
		b.next = seq // the first ones came in disorder
	case seq < b.next:
		b.late++
		return
	}
	if b.slots[seq%jitterSize] != nil {
		return // twice
	}
	delete(b.missing, seq)
	for s := b.highest + 1; s < seq; s++ {
		b.missing[s] = &gap{first: now}
	}
	if seq > b.highest {
		b.expected += seq - b.highest
		b.highest = seq
	}
	b.slots[seq%jitterSize] = p
}

func (b *jitterBuffer) restart(seq int64) {
	clear(b.slots[:])
	clear(b.missing)
	b.skipped++
	b.next, b.highest = seq, seq-1
	b.hole, b.waitKey = 0, b.video
}

// pop takes the next unit out, if it is there.
func (b *jitterBuffer) pop(now time.Time) (unit, bool) {
	for b.started && b.next <= b.highest {
		p := b.slots[b.next%jitterSize]
		if p == nil {
			if !b.over(now, b.next) {
				return unit{}, false
			}
			continue
		}
		switch {
		case len(p.Payload) == 0: // padding
			b.drop()
		case !b.video:
			b.drop()
			return unit{data: p.Payload, first: p}, true
		case b.waitKey && !b.begins(p, true):
			b.drop()
		case !b.begins(p, false):
			b.waitKey = true // the middle of a frame whose beginning we never had
		default:
			end, whole := b.frame()
			if !whole {
				if end > b.highest || !b.over(now, end) {
					return unit{}, false
				}
				continue
			}
			if u, ok := b.assemble(end); ok {
				return u, true
			}
		}
	}
	return unit{}, false
}

// frame finds the last packet of the frame that begins at next, or else the
// first one that is not there.
func (b *jitterBuffer) frame() (at int64, whole bool) {
	stamp := b.slots[b.next%jitterSize].Timestamp
	for at = b.next; at <= b.highest; at++ {
		p := b.slots[at%jitterSize]
		switch {
		case p == nil:
			return at, false
		case p.Timestamp != stamp && len(p.Payload) > 0: // an end without its marker
			return at - 1, true
		case p.Marker:
			return at, true
		}
	}
	return at, false
}

// assemble takes the packets up to end for a frame; false if they make none.
func (b *jitterBuffer) assemble(end int64) (unit, bool) {
	first := b.slots[b.next%jitterSize]
	u := unit{first: first}
	broken := false
	for b.next <= end {
		p := b.slots[b.next%jitterSize]
		if len(p.Payload) > 0 {
			data, err := b.parse.Unmarshal(p.Payload)
			broken = broken || err != nil
			u.data = append(u.data, data...)
		}
		b.drop()
	}
	if broken || len(u.data) == 0 {
		b.skipped++
		b.waitKey = true
		return unit{}, false
	}
	u.key = isKeyFrame(u.data)
	if u.key {
		b.waitKey = false
	}
	return u, true
}

// begins tells whether a packet begins a frame, with key only a key frame
// (RFC 7741, section 4.2: S set, partition 0).
func (b *jitterBuffer) begins(p *rtp.Packet, key bool) bool {
	data, err := b.parse.Unmarshal(p.Payload)
	if err != nil || b.parse.S == 0 || b.parse.PID != 0 || len(data) == 0 {
		return false
	}
	return !key || isKeyFrame(data)
}

// isKeyFrame looks at the frame tag (RFC 6386, section 9.1).
func isKeyFrame(data []byte) bool { return len(data) > 0 && data[0]&1 == 0 }

// over tells whether a missing packet has been waited for long enough, and then
// passes over it: to the next key frame, or to nothing at all.
func (b *jitterBuffer) over(now time.Time, hole int64) bool {
	if b.hole != hole || b.since.IsZero() {
		b.hole, b.since = hole, now
	}
	if now.Sub(b.since) < b.patience() {
		return false
	}
	b.since = time.Time{}
	b.skipped++
	to := hole + 1
	for ; to <= b.highest; to++ {
		if p := b.slots[to%jitterSize]; p != nil && (!b.video || len(p.Payload) > 0 && b.begins(p, true)) {
			break
		}
	}
	b.waitKey = b.video
	for b.next < to {
		b.drop()
	}
	return true
}

func (b *jitterBuffer) patience() time.Duration {
	if !b.video {
		return leastPatience
	}
	return min(max(3*b.rtt+50*time.Millisecond, leastPatience), mostPatience)
}

// drop moves past the packet at next.
func (b *jitterBuffer) drop() {
	delete(b.missing, b.next)
	b.slots[b.next%jitterSize] = nil
	b.next++
	b.begun = true
}

// nacks are the numbers to be asked for now (RFC 4585, section 6.2.1).
func (b *jitterBuffer) nacks(now time.Time) []uint16 {
	var ask []uint16
	for _, seq := range slices.Sorted(maps.Keys(b.missing)) {
		g := b.missing[seq]
		if now.Sub(g.first) < reorderTime || g.asks == maxAsks || now.Sub(g.asked) < max(b.rtt, 2*reorderTime) {
			continue
		}
		if g.asks == 0 {
			b.lost++
		}
		g.asked = now
		g.asks++
		ask = append(ask, uint16(seq)) //nolint:gosec // wraps on purpose
	}
	return ask
}

// needsKey tells that a key frame is to be asked for now.
func (b *jitterBuffer) needsKey(now time.Time) bool {
	if !b.started || !b.waitKey || now.Sub(b.keyAt) < max(keyPause, 2*b.rtt) {
		return false
	}
	b.keyAt = now
	return true
}
