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
	baseID    uint8 // TL0PICIDX
	part      uint16
	parts     uint16
	timestamp uint32
	transport uint16 // transport-wide sequence number it went out with
	newest    uint16 // the one it last went out with, as itself or in RTX
	resent    time.Time
	resends   int
}

// size is about what the packet takes on the way, bytes.
func (p *sentPacket) size() int {
	return maxHeader + descriptorSize + len(p.frame.Data)/int(p.parts)
}

const (
	// maxResends is how often a packet is sent again. Some viewers never notice
	// that it came as RTX, and ask until it has left their window.
	maxResends = 4
	// resendPause is the least time between two sendings of a packet.
	resendPause = 10 * time.Millisecond
)

// lost notes that it is sent again at once, its last sending being lost.
func (p *sentPacket) lost(now time.Time) {
	p.resent = now
	p.resends++
}

// again tells whether the packet should be sent again now, and notes that it
// is: once a round trip at first, then more and more rarely.
func (p *sentPacket) again(now time.Time, rtt time.Duration) bool {
	if p.resends == maxResends || now.Sub(p.resent) < max(rtt, resendPause)<<max(0, p.resends-1) {
		return false
	}
	p.resent = now
	p.resends++
	return true
}

// repairBudget keeps retransmissions from crowding out what they repair: half
// of what is sent may be spent on them, in bursts of at most repairBurst bytes.
type repairBudget struct{ bytes int }

const (
	repairBurst = 96 << 10
	// firstRepair is there from the beginning, when little was sent: what is lost of
	// the first pictures is all that there is to see.
	firstRepair = 24 << 10
)

// sent adds to the budget for n bytes of new media.
func (b *repairBudget) sent(n int) { b.bytes = min(b.bytes+n/2, repairBurst) }

// spend takes n bytes out, or tells that there is not enough.
func (b *repairBudget) spend(n int) bool {
	if b.bytes < n {
		return false
	}
	b.bytes -= n
	return true
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
