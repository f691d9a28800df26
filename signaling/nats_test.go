package signaling

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startNATS runs a NATS server in this process; port -1 is any.
func startNATS(t testing.TB, opts server.Options) *server.Server {
	t.Helper()
	opts.Host, opts.NoSigs, opts.NoLog = "127.0.0.1", true, true
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	return s
}

// natsServer starts a server in the cluster. die cuts it off the others without
// a word, as a killed process would be.
func natsServer(t testing.TB, urls string, log *slog.Logger) (s *testServer, die func()) {
	t.Helper()
	if log == nil {
		log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	c, err := NATS(urls, log)
	if err != nil {
		t.Fatal(err)
	}
	m := &mortal{Cluster: c}
	return startServer(t, ServerConfig{Cluster: m, Log: log, MaxPerAddress: -1}), func() { m.dead.Store(true) }
}

// mortal is a Cluster until it is dead.
type mortal struct {
	Cluster
	dead atomic.Bool
}

func (m *mortal) Send(to string, data []byte) error {
	if m.dead.Load() {
		return nil
	}
	return m.Cluster.Send(to, data)
}

func (s *testServer) awaitServers(n int) {
	s.t.Helper()
	s.await(fmt.Sprintf("%d other servers", n), func(st Stats) bool { return st.Servers == n })
}

// inRoom is a join to a room of that name, without a key.
func inRoom(name string, m Message) Message {
	m.Room, m.Token, m.Nonce = name, "", ""
	return m
}

func TestThreeServersOverNATS(t *testing.T) {
	urls := startNATS(t, server.Options{}).ClientURL()
	a, killA := natsServer(t, urls, nil)
	b, _ := natsServer(t, urls, nil)
	c, _ := natsServer(t, urls, nil)
	for _, s := range []*testServer{a, b, c} {
		s.awaitServers(2)
	}
	viewer, w := b.join(viewerJoin())
	viewerID := w.ID

	// A camera that knows all three.
	ctx, cancel := context.WithCancel(t.Context())
	next := atomic.Int32{}
	var dials []func(context.Context) (Conn, error)
	for _, s := range []*testServer{a, c} {
		dial, err := DialURL(s.wsURL())
		if err != nil {
			t.Fatal(err)
		}
		dials = append(dials, dial)
	}
	camera := &Client{
		Dial: func(ctx context.Context) (Conn, error) { return dials[next.Add(1)%2](ctx) },
		Join: func() Message { return cameraJoin("Door") },
		Log:  slog.New(slog.DiscardHandler),
	}
	camera.Handle = func(m Message) {
		if m.Type == TypeOffer {
			_ = camera.Send(Message{Type: TypeAnswer, To: m.From, Session: m.Session, SDP: "answer to " + m.SDP})
		}
	}
	next.Store(1) // the first is a
	ran := make(chan error)
	go func() { ran <- camera.Run(ctx) }()
	defer func() { cancel(); <-ran }()

	talk := func(to string) {
		t.Helper()
		session := NewSession()
		viewer.send(Message{Type: TypeOffer, To: to, Session: session, SDP: "offer"})
		if m := viewer.want(TypeAnswer); m.From != to || m.Session != session || m.SDP != "answer to offer" {
			t.Fatalf("%s", show(m))
		}
	}
	first := viewer.want(TypeCameraJoined).Camera.ID
	talk(first)
	_, w = c.join(viewerJoin())
	if ids := cameraIDs(w); len(ids) != 1 || ids[0] != first {
		t.Fatalf("at a third server: %s", show(w))
	}
	for _, s := range []*testServer{a, b, c} {
		s.await("the room is there once", func(st Stats) bool { return st.Rooms == 1 })
	}
	// Whoever is at a alone loses a socket; the camera comes back at c.
	killA()
	a.stop()
	second := viewer.want(TypeCameraJoined).Camera.ID
	talk(second)
	if m := viewer.want(TypeCameraLeft); m.Camera.ID != first {
		t.Fatalf("%s", show(m))
	}
	talk(second)
	b.awaitServers(1)
	if st := b.Stats(); st.Viewers != 1 || st.Rooms != 1 {
		t.Errorf("%+v", st)
	}
	if viewerID == "" || len(viewerID) > maxShort {
		t.Errorf("id %q", viewerID)
	}
}

func TestWHEPAtAnotherServer(t *testing.T) {
	urls := startNATS(t, server.Options{}).ClientURL()
	a, _ := natsServer(t, urls, nil)
	b, _ := natsServer(t, urls, nil)
	a.awaitServers(1)
	b.awaitServers(1)
	camera, _ := a.join(inRoom("cellar", cameraJoin("x")))
	b.await("the room is there", func(st Stats) bool { return st.Rooms == 1 })
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		m := camera.receive()
		_ = camera.ws.WriteJSON(Message{Type: TypeAnswer, To: m.From, Session: m.Session, SDP: "v=0 answer"})
	})
	resp, err := http.Post(b.http.URL+"/whep/cellar", "application/sdp", strings.NewReader("v=0 offer"))
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated || string(answer) != "v=0 answer" {
		t.Fatalf("%s: %s", resp.Status, answer)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodDelete, b.http.URL+resp.Header.Get("Location"), nil)
	done, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	done.Body.Close()
	if m := camera.want(TypeBye); m.Code != CodeLeft {
		t.Errorf("%s", show(m))
	}
}

// Without NATS rooms of one server go on; with it again all is as before.
func TestNATSGoneAndBack(t *testing.T) {
	first := startNATS(t, server.Options{})
	urls := first.ClientURL()
	port := first.Addr().(*net.TCPAddr).Port
	a, _ := natsServer(t, urls, nil)
	b, _ := natsServer(t, urls, nil)
	a.awaitServers(1)
	b.awaitServers(1)
	far, _ := b.join(viewerJoin())
	camera, w := a.join(cameraJoin("x"))
	cameraID := w.ID
	near, w := a.join(viewerJoin())
	nearID := w.ID
	far.want(TypeCameraJoined)
	first.Shutdown()
	first.WaitForShutdown()
	if m := far.want(TypeCameraLeft); m.Camera.ID != cameraID {
		t.Fatalf("%s", show(m))
	}
	session := NewSession()
	near.send(Message{Type: TypeOffer, To: cameraID, Session: session, SDP: "v=0"})
	camera.want(TypeOffer)
	camera.send(Message{Type: TypeAnswer, To: nearID, Session: session, SDP: "v=0"})
	near.want(TypeAnswer)
	far.send(Message{Type: TypeOffer, To: cameraID, Session: session, SDP: "v=0"})
	far.wantError(CodeNoSuchPeer, false)
	second, _ := a.join(cameraJoin("while it was away"))
	near.want(TypeCameraJoined)
	if a.Stats().Dropped == 0 {
		t.Error("nothing is said to be lost")
	}

	startNATS(t, server.Options{Port: port})
	for range 2 {
		if m := far.want(TypeCameraJoined); m.Camera.Name != "x" && m.Camera.Name != "while it was away" {
			t.Errorf("%s", show(m))
		}
	}
	far.send(Message{Type: TypeOffer, To: cameraID, Session: session, SDP: "v=0"})
	camera.want(TypeOffer)
	second.ws.Close()
	far.want(TypeCameraLeft)
}

// A server starts without NATS, and joins the others when that comes.
func TestNATSComesLater(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	url := fmt.Sprintf("nats://127.0.0.1:%d", port)
	a, _ := natsServer(t, url, nil)
	b, _ := natsServer(t, url, nil)
	a.join(cameraJoin("x"))
	a.join(viewerJoin())
	viewer, _ := b.join(viewerJoin())
	startNATS(t, server.Options{Port: port})
	viewer.want(TypeCameraJoined)
}

// stuckProxy is a way to NATS that can be stopped: then nothing is read.
type stuckProxy struct {
	l     net.Listener
	stuck atomic.Bool
	wg    sync.WaitGroup
}

func startProxy(t *testing.T, to string) *stuckProxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &stuckProxy{l: l}
	stop := make(chan struct{})
	carry := func(dst, src net.Conn) {
		defer dst.Close()
		defer src.Close()
		buf := make([]byte, 4096)
		for {
			n, err := src.Read(buf)
			if err != nil {
				return
			}
			for p.stuck.Load() {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	var mu sync.Mutex
	var conns []net.Conn
	p.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, in, out)
			mu.Unlock()
			p.wg.Go(func() { carry(out, in) })
			p.wg.Go(func() { carry(in, out) })
		}
	})
	t.Cleanup(func() {
		close(stop)
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		p.wg.Wait()
	})
	return p
}

// NATS that reads nothing any more holds nobody up: what it should carry is
// dropped and counted, and told again when it reads.
func TestNATSIsSlow(t *testing.T) {
	natsd := startNATS(t, server.Options{})
	proxy := startProxy(t, natsd.Addr().String())
	a, _ := natsServer(t, "nats://"+proxy.l.Addr().String(), nil)
	b, _ := natsServer(t, natsd.ClientURL(), nil)
	a.awaitServers(1)
	b.awaitServers(1)
	joined := func(c Conn, name string) string {
		t.Helper()
		return awaitMessage(t, c, name+" joins", func(m Message) bool { return m.Type == TypeCameraJoined && m.Camera.Name == name }).Camera.ID
	}
	viewer, _ := a.ownPeer(viewerJoin())
	far, _ := b.ownPeer(viewerJoin())
	b.ownPeer(cameraJoin("x"))
	cameraID := joined(viewer, "x")
	joined(far, "x")
	proxy.stuck.Store(true)
	session, sdp := NewSession(), strings.Repeat("x", 60<<10)
	offers := func(from Conn, to, sdp string, every time.Duration) (stop func()) {
		var wg sync.WaitGroup
		done := make(chan struct{})
		wg.Go(func() {
			for tick := time.Tick(every); ; {
				_ = from.Send(Message{Type: TypeOffer, To: to, Session: session, SDP: sdp})
				select {
				case <-done:
					return
				case <-tick:
				}
			}
		})
		return func() { close(done); wg.Wait() }
	}
	stop := offers(viewer, cameraID, sdp, 25*time.Millisecond)
	local, _ := a.ownPeer(cameraJoin("local")) // is let in, and heard, all the while
	a.await("messages are dropped", func(st Stats) bool { return st.Dropped > 0 })
	near, w := a.ownPeer(viewerJoin())
	i := slices.IndexFunc(w.Cameras, func(c Camera) bool { return c.Name == "local" })
	if i < 0 {
		t.Fatalf("%s", show(w))
	}
	localID := w.Cameras[i].ID
	_ = near.Send(Message{Type: TypeOffer, To: localID, Session: session, SDP: "v=0"})
	awaitMessage(t, local, "an offer", func(m Message) bool { return m.SDP == "v=0" })
	stop()
	proxy.stuck.Store(false)
	if joined(far, "local") != localID {
		t.Error("another camera of that name")
	}
	b.ownPeer(cameraJoin("after"))
	joined(near, "after")
	// What is on its way while the link breaks is lost, so a viewer tries again.
	again, _ := b.ownPeer(viewerJoin())
	stop = offers(again, localID, "again", 100*time.Millisecond)
	defer stop()
	awaitMessage(t, local, "an offer over NATS", func(m Message) bool { return m.SDP == "again" })
}

// What other programs say on the subjects does no harm.
func TestNonsenseOverNATS(t *testing.T) {
	urls := startNATS(t, server.Options{}).ClientURL()
	a, _ := natsServer(t, urls, nil)
	b, _ := natsServer(t, urls, nil)
	a.awaitServers(1)
	b.awaitServers(1)
	nc, err := nats.Connect(urls)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nonsense := []string{"", "{", "null", "[]", `{"kind":"beat"}`, `{"kind":"x","from":"aaaaaaaa"}`, `{"kind":"room","from":"aaaaaaaa"}`,
		`{"kind":"peer","from":"aaaaaaaa"}`, `{"kind":"peer","from":"aaaaaaaa","message":{"type":"offer"}}`,
		`{"kind":"room","from":"aaaaaaaa","rooms":[{"name":"a/b"}]}`, `{"kind":"room","from":"aaaaaaaa","rooms":[{"name":"a","cameras":[{"id":"c1"}]}]}`,
		`{"kind":"room","from":"aaaaaaaa","rooms":[{"name":"a","claim":{"token":"AAAA","since":1}}]}`, strings.Repeat("x", 1<<20)}
	for _, text := range nonsense {
		if err := nc.Publish(natsAll, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*testServer{a, b} {
		s.await("all are refused", func(st Stats) bool { return st.Refused[CodeBadMessage] == uint64(len(nonsense)) })
	}
	viewer, _ := a.join(viewerJoin())
	b.join(cameraJoin("x"))
	viewer.want(TypeCameraJoined)
	if st := a.Stats(); st.Servers != 1 {
		t.Errorf("%+v", st)
	}
}

// Neither password nor token is ever shown, be they right, wrong or misplaced.
func TestNATSCredentialsAreNotLogged(t *testing.T) {
	for name, c := range map[string]struct {
		opts server.Options
		user string
		ok   bool
	}{
		"password":       {server.Options{Username: "u", Password: "s3cret"}, "u:s3cret@", true},
		"wrong password": {server.Options{Username: "u", Password: "other"}, "u:s3cret@", false},
		"token":          {server.Options{Authorization: "s3cret"}, "s3cret@", true},
		"wrong token":    {server.Options{Authorization: "other"}, "s3cret@", false},
	} {
		t.Run(name, func(t *testing.T) {
			var text lockedBuffer
			log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
			natsd := startNATS(t, c.opts)
			url := "nats://" + c.user + natsd.Addr().String()
			a, _ := natsServer(t, url, log)
			if c.ok {
				b, _ := natsServer(t, url, log)
				a.awaitServers(1)
				b.awaitServers(1)
			} else {
				text.await(t, "Authorization")
				a.join(viewerJoin())
			}
			a.stop()
			natsd.Shutdown()
			if got := text.String(); got == "" || strings.Contains(got, "s3cret") {
				t.Errorf("logged:\n%s", got)
			}
		})
	}
}

func TestBadNATSURLs(t *testing.T) {
	for _, url := range []string{"", "localhost:4222", "10.0.0.5:4222", "http://u:s3cret@x", "nats://", "nats://u:s3cret@", "nats://u:s3cret@x:port", "nats://s3cret@x,,", "nats://a b", "nats://x,mqtt://s3cret@y"} {
		_, err := NATS(url, slog.New(slog.DiscardHandler))
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "nats://10.0.0.5:4222") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// What is queued while NATS does not read has an end.
func TestNATSQueueIsBounded(t *testing.T) {
	c, err := NATS("nats://127.0.0.1:1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	n := c.(*natsCluster)
	if err := n.Send("", nil); !errors.Is(err, ErrAway) {
		t.Errorf("away: %v", err)
	}
	n.up.Store(true)
	for i := range natsQueue {
		if err := n.Send("", []byte("x")); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if err := n.Send("", []byte("x")); !errors.Is(err, ErrSlow) || n.Dropped() != 2 {
		t.Errorf("%v, %d dropped", err, n.Dropped())
	}
	for range natsQueue {
		n.queued.Add(-int64(len((<-n.out).data)))
	}
	big := make([]byte, natsQueueBytes/2)
	_, _ = n.Send("", big), n.Send("", big)
	if err := n.Send("x", []byte("x")); !errors.Is(err, ErrSlow) || n.queued.Load() != natsQueueBytes {
		t.Errorf("%v, %d bytes", err, n.queued.Load())
	}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *lockedBuffer) await(t *testing.T, what string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if strings.Contains(b.String(), what) {
			return
		}
	}
	t.Fatalf("never logged: %s:\n%s", what, b.String())
}
