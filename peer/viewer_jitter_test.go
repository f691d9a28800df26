package peer

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// packetScript feeds a buffer; each letter of a script is a packet: K begins a key
// frame and ends it, k begins one, P and p the same of others, m is a middle,
// e an end, . one that is lost, and n nothing but padding.
type packetScript struct {
	b     *jitterBuffer
	now   time.Time
	seq   uint16
	stamp uint32
}

func newPacketScript(video bool, seq uint16) *packetScript {
	return &packetScript{b: newJitterBuffer(video), now: time.Unix(1000, 0), seq: seq}
}

func (a *packetScript) packets(script string) []*rtp.Packet {
	var all []*rtp.Packet
	for _, c := range script {
		p := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: a.seq, Timestamp: a.stamp}}
		a.seq++
		descriptor := byte(0x10)
		tag := byte(1)
		switch c {
		case 'K', 'k':
			tag = 0
		case 'm', 'e':
			descriptor = 0
		}
		p.Marker = c == 'K' || c == 'P' || c == 'e'
		if p.Marker || c == 'q' {
			a.stamp += 3000
		}
		p.Payload = []byte{descriptor, tag, byte(c)}
		if c == 'n' {
			p.Payload = nil
		}
		if c != '.' {
			all = append(all, p)
		}
	}
	return all
}

func (a *packetScript) push(packets []*rtp.Packet) (got string) {
	for _, p := range packets {
		a.b.push(a.now, p)
		got += a.pop()
	}
	return got
}

// pop is the frames that come out: the letter of the first packet.
func (a *packetScript) pop() (got string) {
	for {
		u, ok := a.b.pop(a.now)
		if !ok {
			return got
		}
		if a.b.video {
			got += string(rune(u.data[1]))
		} else {
			got += string(rune(u.data[2]))
		}
	}
}

func TestWhatComesOutCanBeDecoded(t *testing.T) {
	for _, c := range []struct {
		script, atOnce, later string
		asks                  bool // for a key frame in the end
	}{
		{"KPPP", "KPPP", "", false},
		{"kmePpe", "kPp", "", false},
		{"PPKP", "KP", "", false},     // joined between key frames
		{"mePKP", "KP", "", false},    // ... in the middle of a frame
		{"KP.PPP", "KP", "", true},    // what follows a gap cannot be decoded
		{"KP.PKP", "KP", "KP", false}, // until the next key frame
		{"Kkm.eKP", "K", "KP", false}, // a key frame with a hole
		{"KnPnnP", "KPP", "", false},  // padding is no gap
		{"Kp.pe.K", "K", "K", false},  // two holes
		{".K.P", "K", "", true},       // what never came before the first is no gap
		{"KPqKP", "KPqKP", "", false}, // an end without a marker
	} {
		t.Run(c.script, func(t *testing.T) {
			a := newPacketScript(true, 65533)
			if got := a.push(a.packets(c.script)); got != c.atOnce {
				t.Errorf("%q came out, want %q", got, c.atOnce)
			}
			got := ""
			for range 4 { // a hole after the other
				got += a.pop()
				a.now = a.now.Add(mostPatience)
			}
			if got += a.pop(); got != c.later {
				t.Errorf("later %q came out, want %q", got, c.later)
			}
			if asks := a.b.needsKey(a.now); asks != c.asks {
				t.Errorf("a key frame is asked for: %v", asks)
			}
		})
	}
}

func TestDisorderIsPutRight(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		a := newPacketScript(true, uint16(random.Uint32()))
		script := "K"
		for range 60 {
			script += []string{"P", "pe", "pme", "kme"}[random.IntN(4)]
		}
		packets := a.packets(script)
		for i := 2; i+4 < len(packets); i++ { // the first may be no key frame's else
			if random.IntN(4) == 0 {
				j := i + random.IntN(4)
				packets[i], packets[j] = packets[j], packets[i]
			}
		}
		// Some come twice.
		packets = slices.Insert(packets, len(packets)/2, packets[len(packets)/3])
		want := ""
		for _, c := range script {
			if c == 'K' || c == 'k' || c == 'P' || c == 'p' {
				want += string(c)
			}
		}
		if got := a.push(packets); got != want {
			t.Fatalf("%q came out of %q", got, script)
		}
	}
}

func TestMissingPacketsAreAskedForInTime(t *testing.T) {
	a := newPacketScript(true, 65534)
	a.b.rtt = 40 * time.Millisecond
	packets := a.packets("KPPPP")
	a.push(slices.Concat(packets[:1], packets[3:]))
	if got := a.b.nacks(a.now); got != nil {
		t.Errorf("%v are asked for at once: they may be late", got)
	}
	a.now = a.now.Add(reorderTime)
	if got, want := a.b.nacks(a.now), []uint16{65535, 0}; !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
	a.now = a.now.Add(reorderTime)
	if got := a.b.nacks(a.now); got != nil {
		t.Errorf("%v are asked for again within a round trip", got)
	}
	a.now = a.now.Add(a.b.rtt)
	if got := a.b.nacks(a.now); len(got) != 2 {
		t.Errorf("%v are asked for again", got)
	}
	if got := a.push(packets[1:3]); got != "PPPP" {
		t.Errorf("%q came out when they had come", got)
	}
	if len(a.b.missing) != 0 || a.b.nacks(a.now.Add(time.Second)) != nil {
		t.Error("they are asked for although they came")
	}
}

func TestSoundWaitsLittle(t *testing.T) {
	a := newPacketScript(false, 65535)
	if got := a.push(a.packets("ab.cd")); got != "ab" {
		t.Errorf("%q came out before the gap", got)
	}
	a.now = a.now.Add(leastPatience)
	if got := a.pop(); got != "cd" {
		t.Errorf("%q came out after the gap", got)
	}
}

// A sender that begins anew elsewhere, or hours of sleep.
func TestAJumpBeginsAnew(t *testing.T) {
	a := newPacketScript(true, 10)
	a.push(a.packets("KP"))
	a.seq += 5000
	if got := a.push(a.packets("PPKP")); got != "KP" {
		t.Errorf("%q came out", got)
	}
}

func FuzzJitterBuffer(f *testing.F) {
	f.Add([]byte("\x00K\x01P\x02p\x04e\x03m"), true)
	f.Add([]byte("\x00a\x80b\x7fc"), false)
	f.Fuzz(func(t *testing.T, b []byte, video bool) {
		a := newPacketScript(video, 0)
		for i := 0; i+2 < len(b); i += 3 {
			p := &rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(b[i]) << (b[i+1] % 9), Timestamp: uint32(b[i+1]), Marker: b[i+1]&1 == 0}, Payload: b[i+2 : min(i+2+int(b[i])%7, len(b))]}
			a.b.push(a.now, p)
			for {
				u, ok := a.b.pop(a.now)
				if !ok {
					break
				}
				if len(u.data) == 0 {
					t.Fatal("an empty unit came out")
				}
			}
			a.now = a.now.Add(time.Duration(b[i+1]) * time.Millisecond)
			a.b.nacks(a.now)
			a.b.needsKey(a.now)
			if len(a.b.missing) > jitterSize {
				t.Fatalf("%d packets are missed", len(a.b.missing))
			}
		}
	})
}
