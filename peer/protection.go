package peer

import (
	"math"
	"time"
)

// protection decides how many parity packets go along with a picture.
type protection struct {
	on           bool
	roomy        bool    // the link carries more than is asked for
	loss         float64 // of the link, 0 to 1
	media, extra int     // bytes of pictures and of parity packets since share was last asked
	percent      int
}

const (
	// parityFactor is how many parity packets there are for each that will be lost:
	// one that is lost with another of its group is not recovered. roomyFactor is that
	// where the room would be left empty else: with 5 % of packets lost a quarter fewer
	// pictures come too late.
	parityFactor, roomyFactor = 2.5, 5.
	// shortRound is a round trip after which a packet sent again is not missed yet.
	shortRound = 25 * time.Millisecond
	// longBurst is how many packets are lost in a row where parity is of no use: it
	// would have to be as much as the picture.
	longBurst = 2.
	mostShare = 40
)

// worth tells whether parity packets repair better than asking again, on a link that
// loses so many packets at a time. It does not change its mind for a little.
func (p *protection) worth(burst float64, round time.Duration) bool {
	if p.on {
		return round >= shortRound*3/4 && burst < longBurst*5/4.
	}
	return round >= shortRound && burst < longBurst
}

// parities is how many parity packets protect so many packets.
func (p *protection) parities(packets int) int {
	if !p.on {
		return 0
	}
	packets = min(packets, maxProtected)
	factor := parityFactor
	if p.roomy {
		factor = roomyFactor
	}
	n := int(math.Ceil(factor * p.loss * float64(packets)))
	return min(max(n, 1), max(packets/2, 1), maxParities)
}

// sent counts bytes that went out.
func (p *protection) sent(media, parity int) {
	p.media += media
	p.extra += parity
}

// share is what parity adds to the picture, in percent. Where next to nothing is sent
// that is no measure of what more would take.
func (p *protection) share() int {
	if p.media > 0 {
		p.percent = min(100*p.extra/p.media, mostShare)
		p.media, p.extra = 0, 0
	}
	if !p.on {
		p.percent = 0
	}
	return p.percent
}
