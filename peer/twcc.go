package peer

import (
	"encoding/binary"
	"errors"
	"time"
)

// Transport-wide congestion control: draft-holmer-rmcat-transport-wide-cc-extensions-01.

// sentRing remembers packets by transport-wide sequence number until their
// feedback comes. A power of two, two seconds at 2000 packets a second.
const sentRing = 4096

type sentRecord struct {
	at     time.Time
	size   int
	seq    uint16
	probe  int
	valid  bool
	missed bool // was reported missing
	video  bool // it carries the video packet with the number media
	media  uint16
}

// Ack is what feedback says of one packet that was sent.
type Ack struct {
	// Sent is when it left, by the local clock.
	Sent time.Time
	// Arrived is when it came, by the viewer's clock with an unknown origin.
	Arrived time.Duration
	// Size is its length in bytes.
	Size int
	// Received is false for a packet reported missing.
	Received bool
	// Probe is the id of the probe that it belonged to; 0: none.
	Probe int
	// Late says that it was reported missing before.
	Late bool
	// Seq is its transport-wide sequence number; Media that of the video packet which
	// it carries, if Video.
	Seq   uint16
	Video bool
	Media uint16
	// Skipped is how many packets just before it no feedback spoke of.
	Skipped int
}

// transport numbers packets across all streams of a session and matches
// feedback to them.
type transport struct {
	next     uint16
	ring     []sentRecord
	acks     []Ack  // reused
	heard    bool   // any feedback
	expected uint16 // after the newest packet spoken of

	lastReference uint32
	base          time.Duration // of the unwrapped reference time
	started       bool
}

func newTransport() *transport { return &transport{ring: make([]sentRecord, sentRing)} }

// sent takes the next sequence number for a packet of size bytes; probe is the
// id of the Probe that it belongs to, 0 for none.
func (t *transport) sent(now time.Time, size, probe int) uint16 {
	seq := t.next
	t.next++
	t.ring[seq%sentRing] = sentRecord{at: now, size: size, seq: seq, probe: probe, valid: true}
	return seq
}

// carries says which video packet went out with a number.
func (t *transport) carries(seq, media uint16) {
	if r := &t.ring[seq%sentRing]; r.valid && r.seq == seq {
		r.video, r.media = true, media
	}
}

var errFeedback = errors.New("malformed transport-wide feedback")

const (
	twccUnit      = 250 * time.Microsecond
	twccReference = 64 * time.Millisecond
)

// feedback reads the body of a transport-wide feedback packet (after the RTCP
// header and the two SSRCs) and returns what it says of packets that we sent,
// in the order of sending. The slice is valid until the next call.
func (t *transport) feedback(b []byte) ([]Ack, error) {
	if len(b) < 8 {
		return nil, errFeedback
	}
	base := binary.BigEndian.Uint16(b)
	count := int(binary.BigEndian.Uint16(b[2:]))
	reference := uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
	if count > sentRing {
		return nil, errFeedback
	}
	at := t.unwrap(reference)
	b = b[8:]

	// The status chunks come first, then one delta for each packet received:
	// two cursors walk them together.
	chunks := 0
	for n := 0; n < count; chunks++ {
		if len(b) < 2*(chunks+1) {
			return nil, errFeedback
		}
		_, k := symbol(binary.BigEndian.Uint16(b[2*chunks:]), 0)
		if k == 0 {
			return nil, errFeedback
		}
		n += k
	}
	deltas := b[2*chunks:]
	t.acks = t.acks[:0]
	seq := base
	for c, left := 0, count; c < chunks; c++ {
		word := binary.BigEndian.Uint16(b[2*c:])
		_, k := symbol(word, 0)
		for i := range min(k, left) {
			s, _ := symbol(word, i)
			received := false
			switch s {
			case 1: // small delta, unsigned byte
				if len(deltas) < 1 {
					return nil, errFeedback
				}
				at += time.Duration(deltas[0]) * twccUnit
				deltas, received = deltas[1:], true
			case 2: // large or negative delta, signed 16 bit
				if len(deltas) < 2 {
					return nil, errFeedback
				}
				at += time.Duration(int16(binary.BigEndian.Uint16(deltas))) * twccUnit //nolint:gosec // signed on the wire
				deltas, received = deltas[2:], true
			}
			if r := &t.ring[seq%sentRing]; r.valid && r.seq == seq {
				if r.missed && !received {
					seq++
					continue // said before
				}
				skipped := 0
				if d := int16(seq - t.expected); !t.heard || d >= 0 { //nolint:gosec // the sign tells older from newer
					if t.heard {
						skipped = int(d)
					}
					t.expected, t.heard = seq+1, true
				}
				t.acks = append(t.acks, Ack{Sent: r.at, Arrived: at, Size: r.size, Received: received, Probe: r.probe, Late: r.missed, Skipped: skipped,
					Seq: seq, Video: r.video, Media: r.media})
				// A missing packet may still be reported as received later.
				r.valid, r.missed = !received, true
			}
			seq++
		}
		left -= min(k, left)
	}
	return t.acks, nil
}

// symbol returns the i-th status symbol of a chunk and how many it holds.
func symbol(word uint16, i int) (s, count int) {
	switch {
	case word&0x8000 == 0: // run length
		return int(word >> 13 & 3), int(word & 0x1fff)
	case word&0x4000 == 0: // fourteen symbols of one bit
		return int(word >> (13 - i) & 1), 14
	default: // seven symbols of two bits
		return int(word >> (12 - 2*i) & 3), 7
	}
}

// unwrap extends the 24 bit reference time.
func (t *transport) unwrap(reference uint32) time.Duration {
	if !t.started {
		t.started, t.lastReference = true, reference
		t.base = time.Duration(reference) * twccReference
		return t.base
	}
	d := int32((reference-t.lastReference)<<8) >> 8 //nolint:gosec // sign extension of 24 bits
	t.lastReference = reference
	t.base += time.Duration(d) * twccReference
	return t.base
}
