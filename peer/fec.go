package peer

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
	"slices"
	"time"

	"github.com/pion/rtp"
)

// Forward error correction of the picture: FlexFEC, as browsers speak it
// (draft-ietf-payload-flexible-fec-scheme-03, with a flexible mask). A parity packet
// is the XOR of several media packets, from which a viewer makes again the one of
// them that it misses, without the round trip that asking for it takes.

const (
	// fecHeaderSize is the FEC header for one stream, with the shortest mask.
	fecHeaderSize = 20
	// maxProtected is how many packets that mask can name.
	maxProtected = 15
	// maxParities is how many parity packets are made at a time.
	maxParities = 6
	rtpFixed    = 12 // bytes of an RTP header without extensions
)

// fec gathers packets until there are enough of them for parity packets. Each packet
// is in several of these, and few others are in the same ones: two losses are made
// good if they are not, and one is even where a parity packet is lost with it.
type fec struct {
	parities [maxParities]parity
	n        int    // parity packets to be made of what is taken in; 0: nothing is
	taken    int    // packets
	base     uint16 // number of the first
	opened   time.Time
	due      int // parity packets finished and not sent: the last ones of n
	scratch  [maxPacket + rtpFixed]byte
}

// parity is a FEC packet in the making.
type parity struct {
	mask   uint16
	first  [2]byte // XOR of the two first octets of the RTP headers
	time   uint32  // of the timestamps
	length uint16  // of the lengths after the fixed header
	body   [maxPacket]byte
	size   int // of the longest
}

// memberships has, for each number of parity packets, the sets of them that one packet
// after the other is in, as bits: those of two and three, as long as there are so many;
// first those that reach all of them soonest.
var memberships = func() (all [maxParities][]uint8) {
	all[0], all[1] = []uint8{0b1}, []uint8{0b11, 0b10, 0b01}
	for n := 3; n <= maxParities; n++ {
		sets := &all[n-1]
		for i := range n {
			*sets = append(*sets, 1<<i|1<<((i+1)%n))
		}
		for in := range uint8(1 << n) {
			if k := bits.OnesCount8(in); (k == 2 || k == 3) && !slices.Contains(*sets, in) {
				*sets = append(*sets, in)
			}
		}
	}
	return all
}()

// begin says that a packet comes that n parity packets are to protect, those that wait
// for company with it.
func (c *fec) begin(now time.Time, seq uint16, n int) {
	if c.due > 0 || n <= c.n {
		return
	}
	if c.n == 0 {
		c.base, c.opened = seq, now
	}
	for n = min(n, maxParities); c.n < n; c.n++ {
		p := &c.parities[c.n]
		clear(p.body[:p.size])
		p.mask, p.first, p.time, p.length, p.size = 0, [2]byte{}, 0, 0, 0
	}
}

// takes tells whether packets are taken in.
func (c *fec) takes() bool { return c.n > 0 && c.due == 0 }

// add takes in a packet: h with those extensions zero that change under way.
func (c *fec) add(h *rtp.Header, payload []byte) {
	n, err := h.MarshalTo(c.scratch[:])
	if err != nil {
		return // it cannot be sent either
	}
	b := c.scratch[:n+copy(c.scratch[n:], payload)]
	in := memberships[c.n-1][c.taken%len(memberships[c.n-1])]
	for i := range c.n {
		if in>>i&1 == 0 {
			continue
		}
		p := &c.parities[i]
		p.mask |= 1 << (maxProtected - 1 - c.taken)
		p.first[0] ^= b[0]
		p.first[1] ^= b[1]
		p.time ^= h.Timestamp
		p.length ^= uint16(len(b) - rtpFixed) //nolint:gosec // at most maxPacket
		p.size = max(p.size, len(b)-rtpFixed)
		subtle.XORBytes(p.body[:], p.body[:], b[rtpFixed:])
	}
	if c.taken++; c.taken == maxProtected {
		c.close()
	}
}

// finish ends a picture, where they come a gap apart. Parity packets are due when enough
// packets have come together, or when the next picture comes so late that its would be
// of no use.
func (c *fec) finish(now time.Time, gap time.Duration) {
	if c.takes() && c.taken > 0 && (c.taken >= leastProtected || now.Add(gap).Sub(c.opened) > protectedHold) {
		c.close()
	}
}

const leastProtected = 3

// close makes the parity packets due that protect any.
func (c *fec) close() {
	for i := 0; i < c.n; {
		if p := &c.parities[i]; p.mask != 0 {
			i++
			continue
		}
		c.n--
		c.parities[i], c.parities[c.n] = c.parities[c.n], c.parities[i]
	}
	c.due = c.n
}

// drop forgets what was taken in and what is due: its pictures have been given up.
func (c *fec) drop() { c.n, c.taken, c.due = 0, 0, 0 }

// next writes the payload of the next parity packet for the stream ssrc, and returns
// its length.
func (c *fec) next(b []byte, ssrc uint32) int {
	p := &c.parities[c.n-c.due]
	if c.due--; c.due == 0 {
		c.drop()
	}
	b[0] = p.first[0] & 0x3f // R and F are 0: a mask follows; P, X and CC
	b[1] = p.first[1]
	binary.BigEndian.PutUint16(b[2:], p.length)
	binary.BigEndian.PutUint32(b[4:], p.time)
	binary.BigEndian.PutUint32(b[8:], 1<<24) // streams protected
	binary.BigEndian.PutUint32(b[12:], ssrc)
	binary.BigEndian.PutUint16(b[16:], c.base)
	binary.BigEndian.PutUint16(b[18:], lastMask|p.mask)
	return fecHeaderSize + copy(b[fecHeaderSize:], p.body[:p.size])
}

// lastMask is the bit k: no longer mask follows.
const lastMask = 1 << 15
