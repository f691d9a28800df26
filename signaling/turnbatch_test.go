package signaling

import (
	"bytes"
	"math/rand/v2"
	"net"
	"testing"
	"time"
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
					packet := make([]byte, rand.IntN(1200)+1)
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
