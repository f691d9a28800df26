package signaling

import (
	"net"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// BenchmarkIdleSocket tells what a joined viewer that says nothing costs the
// process, in bytes of heap and stacks; the bare net.Conn of the client's side,
// in the same process, is counted too.
func BenchmarkIdleSocket(b *testing.B) {
	s := startServer(b, ServerConfig{MaxPerAddress: -1})
	join := viewerJoin()
	const rooms = 500 // viewers a room
	memory := func() (bytes uint64) {
		for range 3 { // stacks shrink by half at each collection
			debug.FreeOSMemory()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	const n = 2000
	for b.Loop() {
		before, goroutines := memory(), runtime.NumGoroutine()
		idle := make([]net.Conn, n)
		for i := range idle {
			join.Room = "room" + string(rune('a'+i/rooms))
			c, _ := s.join(join)
			idle[i] = c.ws.NetConn()
		}
		b.ReportMetric(float64(memory()-before)/n, "B/socket")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/n, "goroutines/socket")
		for _, c := range idle {
			c.Close()
		}
		for s.Stats().Sockets > 0 {
			time.Sleep(time.Millisecond)
		}
	}
	b.ReportMetric(0, "ns/op")
}

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
