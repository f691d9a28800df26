package peer

import (
	"time"

	"github.com/peercam/peercam/encode"
)

// historySize is how many video packets a session can send again: about three
// seconds at 1.5 Mbit/s. A power of two.
const historySize = 512

// sentPacket says what a sequence number carried. The frame is shared with
// the other sessions; only the reference is ours.
type sentPacket struct {
	frame     *encode.Frame // nil: empty
	seq       uint16
	pictureID uint16
	part      uint16
	parts     uint16
	timestamp uint32
	transport uint16 // transport-wide sequence number it went out with
	resent    time.Time
}

// history is the ring of packets that can still be sent again, each holding
// its frame.
type history struct {
	ring [historySize]sentPacket
}

func (h *history) put(p sentPacket) {
	slot := &h.ring[p.seq%historySize]
	p.frame.Retain()
	if slot.frame != nil {
		slot.frame.Release()
	}
	*slot = p
}

func (h *history) get(seq uint16) *sentPacket {
	p := &h.ring[seq%historySize]
	if p.frame == nil || p.seq != seq {
		return nil
	}
	return p
}

// clear lets go of every frame.
func (h *history) clear() {
	for i := range h.ring {
		if f := h.ring[i].frame; f != nil {
			f.Release()
		}
		h.ring[i] = sentPacket{}
	}
}
