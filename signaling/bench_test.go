package signaling

import "testing"

// BenchmarkRelay sends candidates from a camera to a viewer, some always on
// their way, within the process: the server's own cost of a message.
func BenchmarkRelay(b *testing.B) {
	s := startServer(b, ServerConfig{})
	camera, _ := benchPeer(b, s.Server, openJoin())
	viewer, w := benchPeer(b, s.Server, Message{Type: TypeJoin, Version: 1, Role: RoleViewer, Room: "kitchen"})
	m := Message{Type: TypeCandidate, To: w.ID, Session: NewSession(),
		Candidate: []byte(`{"candidate":"candidate:1 1 udp 2130706431 192.0.2.1 40000 typ host","sdpMid":"0"}`)}
	const window = 32
	for range window {
		_ = camera.Send(m)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got, err := viewer.Receive(); err != nil || got.Type != TypeCandidate {
			b.Fatal(err, show(got))
		}
		_ = camera.Send(m)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

func benchPeer(b *testing.B, s *Server, join Message) (Conn, Message) {
	c, err := s.Connect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close("", ""); drain(c) })
	_ = c.Send(join)
	w, err := c.Receive()
	if err != nil || w.Type != TypeWelcome {
		b.Fatal(err, show(w))
	}
	return c, w
}
