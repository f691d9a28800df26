package peer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// recoverLost makes the packet with the number seq from a parity packet's payload
// and the others, as draft-ietf-payload-flexible-fec-scheme-03, section 6.3 says.
// nil: that parity packet does not make it.
func recoverLost(t *testing.T, parity []byte, got map[uint16][]byte, seq uint16) []byte {
	t.Helper()
	if parity[0]>>6 != 0 || parity[8] != 1 || parity[18]&0x80 == 0 {
		t.Fatalf("header %x: want a mask for one stream, and no longer one", parity[:fecHeaderSize])
	}
	base, mask := binary.BigEndian.Uint16(parity[16:]), binary.BigEndian.Uint16(parity[18:])
	if mask&0x7fff == 0 {
		t.Fatal("a parity packet that protects none")
	}
	if at := seq - base; at >= maxProtected || mask>>(maxProtected-1-at)&1 == 0 {
		return nil
	}
	made := make([]byte, rtpFixed+maxPacket)
	copy(made[:2], parity[:2])
	copy(made[4:8], parity[4:8])
	copy(made[rtpFixed:], parity[fecHeaderSize:])
	length := binary.BigEndian.Uint16(parity[2:])
	for i := range uint16(15) {
		if mask>>(14-i)&1 == 0 {
			continue
		}
		if base+i == seq {
			continue
		}
		p := got[base+i]
		if p == nil {
			return nil
		}
		for k := range 2 {
			made[k] ^= p[k]
		}
		for k := 4; k < 8; k++ {
			made[k] ^= p[k]
		}
		for k := rtpFixed; k < len(p); k++ {
			made[k] ^= p[k]
		}
		length ^= uint16(len(p) - rtpFixed)
	}
	made[0] = made[0]&0x3f | 0x80
	binary.BigEndian.PutUint16(made[2:], seq)
	copy(made[8:], parity[12:16])
	return made[:rtpFixed+int(length)]
}

// protect runs pictures of so many packets each through an encoder; what a
// parity packet was sent for comes with it.
func protect(t *testing.T, c *fec, rng *rand.Rand, seq uint16, pictures []int, parities func(int) int) (media map[uint16][]byte, parity [][]byte) {
	t.Helper()
	media = map[uint16][]byte{}
	const gap = time.Second / 30
	b := make([]byte, maxPacket)
	for i, n := range pictures {
		for part := range n {
			h := rtp.Header{Version: 2, PayloadType: 96, SSRC: 0xfeedbac4, SequenceNumber: seq, Timestamp: 3000 * uint32(i), Marker: part == n-1}
			if err := h.SetExtension(3, []byte{0, 0}); err != nil {
				t.Fatal(err)
			}
			if part == 0 {
				if err := h.SetExtension(13, []byte{1, 2, 3, 4, 5, 6, 7, byte(i)}); err != nil {
					t.Fatal(err)
				}
			}
			payload := make([]byte, 1+rng.IntN(descriptorSize+maxChunk))
			for k := range payload {
				payload[k] = byte(rng.Uint32())
			}
			now := time.Unix(1000, 0).Add(time.Duration(i) * gap)
			c.begin(now, seq, parities(n-part))
			if c.takes() {
				c.add(&h, payload)
			}
			raw, err := h.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			media[seq] = append(raw, payload...)
			seq++
			if part == n-1 {
				c.finish(now, gap)
			}
			for c.due > 0 {
				parity = append(parity, bytes.Clone(b[:c.next(b, h.SSRC)]))
			}
		}
	}
	return media, parity
}

// repaired makes of what came all that can be made.
func repaired(t *testing.T, parity [][]byte, got map[uint16][]byte, lost []uint16) map[uint16][]byte {
	t.Helper()
	made := map[uint16][]byte{}
	for again := true; again; {
		again = false
		for _, seq := range lost {
			for _, p := range parity {
				if got[seq] == nil {
					if b := recoverLost(t, p, got, seq); b != nil {
						got[seq], made[seq], again = b, b, true
					}
				}
			}
		}
	}
	return made
}

func TestParityMakesLostPacketsAgain(t *testing.T) {
	for _, c := range []struct {
		pictures []int
		parities int
		burst    int // in a row that are made again
		spare    int // parity packets that may be lost with one packet
	}{
		{[]int{1, 1}, 1, 1, 0},
		{[]int{3}, 1, 1, 0},
		{[]int{9, 8, 10}, 2, 2, 0},
		{[]int{15, 15}, 3, 2, 1},
		{[]int{40}, 6, 2, 1},
		{[]int{10}, 5, 2, 1},
		{[]int{12}, 6, 2, 1},
		{[]int{1, 14}, 4, 1, 0},
		{[]int{4, 7}, 2, 2, 0},
		{[]int{5}, 9, 2, 1}, // no more than packets
	} {
		t.Run(fmt.Sprint(c.pictures, c.parities), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			const first = 65530 // numbers wrap
			media, parity := protect(t, &fec{}, rng, first, c.pictures, func(int) int { return c.parities })
			check := func(lost []uint16, parity [][]byte) {
				got := maps.Clone(media)
				for _, seq := range lost {
					delete(got, seq)
				}
				made := repaired(t, parity, got, lost)
				for _, seq := range lost {
					if !bytes.Equal(made[seq], media[seq]) {
						t.Fatalf("packet %d is not made again with %v lost, by %d parity packets", seq, lost, len(parity))
					}
				}
			}
			for i := range len(media) - c.burst + 1 {
				var lost []uint16
				for k := range c.burst {
					lost = append(lost, first+uint16(i+k))
				}
				check(lost, parity)
				for k := range parity {
					if c.spare > 0 {
						check(lost[:1], slices.Delete(slices.Clone(parity), k, k+1))
					}
				}
			}
		})
	}
}

// However pictures and protection change, a parity packet never makes a wrong one.
func TestParityIsNeverWrong(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var c fec
	var pictures []int
	for range 100 {
		pictures = append(pictures, 1+rng.IntN(40))
	}
	media, parity := protect(t, &c, rng, 100, pictures, func(int) int { return rng.IntN(maxParities + 2) })
	made := 0
	for seq, want := range media {
		delete(media, seq)
		for _, p := range parity {
			if got := recoverLost(t, p, media, seq); got != nil {
				made++
				if !bytes.Equal(got, want) {
					t.Fatalf("packet %d is made wrong", seq)
				}
			}
		}
		media[seq] = want
	}
	if made < len(media)/2 {
		t.Errorf("%d of %d packets can be made again", made, len(media))
	}
}

func TestProtection(t *testing.T) {
	for _, c := range []struct {
		on      bool
		loss    float64
		packets int
		want    int
		roomy   bool
	}{
		{false, 0.5, 9, 0, true},
		{true, 0.01, 1, 1, false},
		{true, 0.02, 9, 1, false},
		{true, 0.05, 9, 2, false},
		{true, 0.05, 100, 2, false}, // of fifteen at a time
		{true, 0.10, 15, 4, false},
		{true, 0.5, 9, 4, false}, // half as many as packets at most
		{true, 0.5, 15, 6, false},
		{true, 0.05, 9, 3, true},
		{true, 0.05, 2, 1, true},
		{true, 0.10, 15, 6, true},
	} {
		p := protection{on: c.on, loss: c.loss, roomy: c.roomy}
		if got := p.parities(c.packets); got != c.want {
			t.Errorf("%+v: %d parity packets", c, got)
		}
	}
	// What is sent for having room takes none of it away.
	demand := linkDemand(2_500_000, audioBitrate, 0)
	for _, share := range []int{0, 10, 25, mostShare} {
		demand, least := linkDemand(2_500_000, audioBitrate, share), linkDemand(2_500_000, audioBitrate, mostShare)
		if !hasRoom(least+100_000, demand, share) || hasRoom(least-100_000, demand, share) {
			t.Errorf("with %d %% of parity it depends on that whether there is room for %d bit/s", share, least)
		}
	}
	if hasRoom(demand, demand, 0) {
		t.Error("a link that carries the demand has room for parity")
	}
	for _, c := range []struct {
		on    bool
		burst float64
		round time.Duration
		want  bool
	}{
		{false, 1.1, 10 * time.Millisecond, false}, // asking again is as quick
		{false, 5, 60 * time.Millisecond, false},   // it would have to be as much as the picture
		{false, 1.1, 60 * time.Millisecond, true},
		{false, 2.1, 60 * time.Millisecond, false},
		{true, 2.1, 60 * time.Millisecond, true}, // not for so little
		{true, 1.1, 20 * time.Millisecond, true},
		{true, 3, 60 * time.Millisecond, false},
	} {
		p := protection{on: c.on}
		if got := p.worth(c.burst, c.round); got != c.want {
			t.Errorf("%+v: worth %v", c, got)
		}
	}
	p := protection{on: true}
	p.sent(900, 0)
	p.sent(100, 250)
	if got := p.share(); got != 25 {
		t.Errorf("share %d %%, want 25", got)
	}
	if got := p.share(); got != 25 {
		t.Errorf("share %d %% with nothing sent since, want 25 still", got)
	}
	p.sent(100, 100)
	if got := p.share(); got != mostShare {
		t.Errorf("share %d %% of next to nothing, want %d", got, mostShare)
	}
	p.on = false
	if got := p.share(); got != 0 {
		t.Errorf("share %d %% when there is no parity any more", got)
	}
}
