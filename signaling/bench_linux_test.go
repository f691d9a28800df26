package signaling

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// raiseFileLimit lets this process open n files, or as many as it may, and
// returns how many that are.
func raiseFileLimit(n int) int {
	most := syscall.Rlimit{Cur: uint64(n), Max: uint64(n)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &most) == nil {
		return n
	}
	var now syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now) // never fails for oneself
	now.Cur = now.Max
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now)
	return int(now.Max)
}

// benchDial connects from one of 16 addresses, each of which has ports enough.
func benchDial(addr string, i int) (*websocket.Conn, error) {
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%16))}
	d := websocket.Dialer{
		ReadBufferSize: 512, WriteBufferSize: 512, HandshakeTimeout: time.Minute,
		NetDialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: from, KeepAlive: -1}).DialContext(ctx, network, to)
		},
	}
	ws, _, err := d.Dial("ws://"+addr+"/ws", nil)
	return ws, err
}

// BenchmarkIdleSockets tells what joined viewers that say nothing cost a server
// with one core: resident bytes each, as the system counts them, and how much of
// the core the pings of 20 s take.
func BenchmarkIdleSockets(b *testing.B) {
	n := min(20_000, raiseFileLimit(1<<20)-50)
	for b.Loop() {
		addr, pid := startBenchServer(b)
		viewer := func(i int) (*websocket.Conn, error) {
			ws, err := benchDial(addr, i)
			if err != nil {
				return nil, err
			}
			m := viewerJoin()
			m.Room = fmt.Sprint("room", i/500)
			if err := ws.WriteJSON(m); err != nil {
				return nil, err
			}
			return ws, ws.ReadJSON(&m)
		}
		first, err := viewer(-1000) // warms up
		if err != nil {
			b.Fatal(err)
		}
		defer first.Close()
		before := resident(b, pid)
		idle := make([]*websocket.Conn, n)
		var wg sync.WaitGroup
		for k := range 16 {
			wg.Go(func() {
				for i := k; i < n; i += 16 {
					ws, err := viewer(i)
					if err != nil {
						b.Error(i, err)
						return
					}
					idle[i] = ws
				}
			})
		}
		wg.Wait()
		if b.Failed() {
			return
		}
		var lost sync.Map
		for i, ws := range idle {
			wg.Go(func() {
				_, _, err := ws.ReadMessage() // answers pings
				lost.Store(i, err)
			})
		}
		busy := cpuTime(b, pid)
		time.Sleep(2 * pingEvery)
		load := (cpuTime(b, pid) - busy).Seconds() / (2 * pingEvery).Seconds()
		b.ReportMetric(float64(n), "sockets")
		b.ReportMetric(float64(resident(b, pid)-before)/float64(n), "B/socket")
		b.ReportMetric(100*load, "%core")
		lost.Range(func(i, err any) bool {
			b.Errorf("viewer %v was lost: %v", i, err)
			return false
		})
		for _, ws := range idle {
			ws.Close()
		}
		wg.Wait()
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkJoinStorm has 1000 viewers connect, join and offer at once, as browsers
// do: with candidates that follow. A camera answers each at once. It tells how long
// the answers took, from the first byte to the server on, and what each took of the
// server's core.
func BenchmarkJoinStorm(b *testing.B) {
	const viewers, candidates = 1000, 5
	raiseFileLimit(1 << 20)
	var took []time.Duration
	var cost time.Duration
	sdp := "v=0\r\n" + strings.Repeat("a=rtpmap:96 VP8/90000\r\n", 200) // some 4.5 KB
	candidate := []byte(`{"candidate":"candidate:1 1 udp 2130706431 192.0.2.1 40000 typ host","sdpMid":"0","sdpMLineIndex":0}`)
	for b.Loop() {
		addr, pid := startBenchServer(b)
		camera, err := benchDial(addr, 0)
		if err != nil {
			b.Fatal(err)
		}
		var w Message
		if err := camera.WriteJSON(cameraJoin("x")); err != nil {
			b.Fatal(err)
		}
		if err := camera.ReadJSON(&w); err != nil {
			b.Fatal(err)
		}
		cameraID := w.ID
		var answering sync.WaitGroup
		answering.Go(func() {
			for {
				var m Message
				if camera.ReadJSON(&m) != nil {
					return
				}
				if m.Type == TypeOffer {
					_ = camera.WriteJSON(Message{Type: TypeAnswer, To: m.From, Session: m.Session, SDP: sdp})
					_ = camera.WriteJSON(Message{Type: TypeCandidate, To: m.From, Session: m.Session, Candidate: candidate})
				}
			}
		})
		one := func(i int) (time.Duration, error) {
			began := time.Now()
			ws, err := benchDial(addr, i)
			if err != nil {
				return 0, err
			}
			defer ws.Close()
			_ = ws.SetReadDeadline(time.Now().Add(time.Minute))
			session := NewSession()
			var m Message
			_ = ws.WriteJSON(viewerJoin()) // errors show when it reads
			if err := ws.ReadJSON(&m); err != nil || len(m.Cameras) != 1 {
				return 0, fmt.Errorf("%s, %w", show(m), err)
			}
			_ = ws.WriteJSON(Message{Type: TypeOffer, To: cameraID, Session: session, SDP: sdp})
			for range candidates {
				_ = ws.WriteJSON(Message{Type: TypeCandidate, To: cameraID, Session: session, Candidate: candidate})
			}
			m = Message{}
			if err := ws.ReadJSON(&m); err != nil || m.Type != TypeAnswer || m.Session != session {
				return 0, fmt.Errorf("%s, %w", show(m), err)
			}
			return time.Since(began), nil
		}
		times := make([]time.Duration, viewers)
		start := make(chan struct{})
		used := cpuTime(b, pid)
		var wg sync.WaitGroup
		for i := range times {
			wg.Go(func() {
				<-start
				var err error
				if times[i], err = one(i); err != nil {
					b.Errorf("viewer %d is lost: %v", i, err)
				}
			})
		}
		close(start)
		wg.Wait()
		cost += cpuTime(b, pid) - used
		camera.Close()
		answering.Wait()
		took = append(took, times...)
	}
	b.ReportMetric(float64(cost.Microseconds())/float64(len(took)), "µs-cpu/join")
	slices.Sort(took)
	at := func(q float64) float64 {
		return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000
	}
	b.ReportMetric(at(0.5), "ms-p50")
	b.ReportMetric(at(0.95), "ms-p95")
	b.ReportMetric(at(1), "ms-max")
	b.ReportMetric(0, "ns/op")
}

// resident is the memory of a process that is not the kernel's, in bytes.
func resident(b *testing.B, pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range bytes.Lines(status) {
		if f := strings.Fields(string(line)); f[0] == "VmRSS:" {
			kib, _ := strconv.Atoi(f[1])
			return kib << 10
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

// cpuTime is what a process has used, its system calls too.
func cpuTime(b *testing.B, pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}
