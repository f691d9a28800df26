package signaling

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
)

// What goes by a channel arrives as it was sent, whatever its size, also when
// it comes in bursts and from several peers.
func TestTURNChannels(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			s := startTURN(t, TURNConfig{})
			cameras := []*net.UDPConn{udpSocket(t), udpSocket(t), udpSocket(t)}
			viewer := s.client(transport, "v1").allocate()
			var relay net.Addr
			for i, camera := range cameras {
				s.Admit("session", camera.LocalAddr().(*net.UDPAddr).AddrPort())
				if i == 2 { // by indications, in between
					relay = say(t, viewer.relay, camera.LocalAddr(), camera)
					continue
				}
				for range 3 { // the second asks for a channel, the third goes by it
					relay = say(t, viewer.relay, camera.LocalAddr(), camera)
				}
			}
			for round := range 20 {
				sent := map[string][]byte{}
				for i, camera := range cameras {
					packet := make([]byte, rand.IntN(1196)+5) // over TCP, pion's client waits with fewer for the next
					for j := range packet {
						packet[j] = byte(round + i + j)
					}
					sent[camera.LocalAddr().String()] = packet
					if _, err := camera.WriteTo(packet, relay); err != nil {
						t.Fatal(err)
					}
				}
				buf := make([]byte, 2000)
				for range cameras {
					_ = viewer.relay.SetReadDeadline(time.Now().Add(patience))
					n, from, err := viewer.relay.ReadFrom(buf)
					if err != nil {
						t.Fatalf("round %d: %v", round, err)
					}
					if !bytes.Equal(buf[:n], sent[from.String()]) {
						t.Fatalf("round %d: %d bytes from %v are not the %d that it sent", round, n, from, len(sent[from.String()]))
					}
				}
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			for r := range s.relays {
				if by := r.channels.Load(); (by != nil && len(by.number) > 0) != (transport == "udp") {
					t.Errorf("channels: %+v", by)
				}
			}
		})
	}
}

// batchScript is a socket that hands out packets of these sizes, and keeps what is
// sent; if single, it refuses runs.
type batchScript struct {
	sizes  []int
	single bool
	runs   [][]int // sizes of each message's packets
	bytes  []byte  // the first of each packet
}

func (s *batchScript) ReadBatch(ms []ipv4.Message, _ int) (int, error) {
	n := min(len(ms), len(s.sizes))
	for i, size := range s.sizes[:n] {
		ms[i].N, ms[i].Addr = size, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}
		ms[i].Buffers[0][0] = byte(i)
	}
	s.sizes = s.sizes[n:]
	return n, nil
}

func (s *batchScript) WriteBatch(ms []ipv4.Message, _ int) (int, error) {
	for i, m := range ms {
		if s.single && len(m.Buffers) > 1 {
			if i == 0 {
				return 0, errors.New("no runs")
			}
			return i, nil
		}
		var run []int
		for _, b := range m.Buffers {
			run = append(run, len(b)-channelHeader)
			s.bytes = append(s.bytes, b[channelHeader])
		}
		s.runs = append(s.runs, run)
	}
	return len(ms), nil
}

// What a system without runs refuses goes packet by packet, and none is lost or
// overtaken.
func TestTURNRuns(t *testing.T) {
	for name, c := range map[string]struct {
		sizes  []int
		runs   bool
		single bool
		want   [][]int
	}{
		"a frame":               {[]int{900, 900, 900, 300}, true, false, [][]int{{900, 900, 900, 300}}},
		"two frames":            {[]int{900, 900, 300, 800, 800}, true, false, [][]int{{900, 900, 300}, {800, 800}}},
		"growing":               {[]int{100, 200, 300}, true, false, [][]int{{100}, {200}, {300}}},
		"one":                   {[]int{100}, true, false, [][]int{{100}}},
		"a system without runs": {[]int{900, 900, 300}, false, false, [][]int{{900}, {900}, {300}}},
		"an interface without":  {[]int{50, 900, 900, 300, 400, 400}, true, true, [][]int{{50}, {900}, {900}, {300}, {400}, {400}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &batchScript{sizes: c.sizes, single: c.single}
			b := newBatch(s, c.runs)
			client := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7}
			for range len(c.sizes) {
				packet, _, err := b.take()
				if err != nil {
					t.Fatal(err)
				}
				b.forward(len(packet), 0x4000, client)
			}
			b.flush(s)
			if !slices.EqualFunc(s.runs, c.want, slices.Equal[[]int]) {
				t.Errorf("sent %v, want %v", s.runs, c.want)
			}
			if !slices.IsSorted(s.bytes) || len(s.bytes) != len(c.sizes) {
				t.Errorf("sent packets %v", s.bytes)
			}
		})
	}
}

// A burst of a camera, which may go as one message, arrives packet by packet.
func TestTURNBurst(t *testing.T) {
	s := startTURN(t, TURNConfig{})
	camera := udpSocket(t)
	s.Admit("session", camera.LocalAddr().(*net.UDPAddr).AddrPort())
	viewer := s.client("udp", "v1").allocate()
	var relay net.Addr
	for range 3 {
		relay = say(t, viewer.relay, camera.LocalAddr(), camera)
	}
	for round := range 20 {
		var sent [][]byte
		for i := range 12 {
			packet := bytes.Repeat([]byte{byte(round), byte(i)}, 500)
			if i%4 == 3 {
				packet = packet[:100+round]
			}
			sent = append(sent, packet)
			if _, err := camera.WriteTo(packet, relay); err != nil {
				t.Fatal(err)
			}
		}
		buf := make([]byte, 2000)
		for i, want := range sent {
			_ = viewer.relay.SetReadDeadline(time.Now().Add(patience))
			n, _, err := viewer.relay.ReadFrom(buf)
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if !bytes.Equal(buf[:n], want) {
				t.Fatalf("round %d: packet %d is not as it was sent: %d bytes, want %d", round, i, n, len(want))
			}
		}
	}
}
