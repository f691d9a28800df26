package signaling

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoff(t *testing.T) {
	for attempt := range 100 {
		least, most := backoff(attempt, 0), backoff(attempt, 0.999999)
		if least < 250*time.Millisecond || most > 15*time.Second || least >= most {
			t.Errorf("attempt %d: %v to %v", attempt, least, most)
		}
		if attempt > 0 && least < backoff(attempt-1, 0) {
			t.Errorf("attempt %d waits less than the one before", attempt)
		}
	}
	if backoff(0, 0) != 250*time.Millisecond || backoff(99, 0) != 7500*time.Millisecond {
		t.Error("the ends are not 0.25 s and half of 15 s")
	}
}

func TestDialURL(t *testing.T) {
	secret := strings.TrimPrefix(testKey.Fragment(), "k=")
	for _, raw := range []string{
		"", "example.org", "ftp://example.org", "ws://", "ws:///ws", "://", "ws://exa mple", "ws://example.org:port", "ws://[::1",
		"https://user:" + secret + "@example.org", "http://example.org/kitchen#" + testKey.Fragment(), "ftp://user:" + secret + "@h",
		"ws://h\x7f", "http://%zz", "#" + testKey.Fragment(),
	} {
		dial, err := DialURL(raw)
		if err == nil || dial != nil {
			t.Errorf("%q is accepted", raw)
		} else if strings.Contains(err.Error(), secret) || !strings.HasPrefix(err.Error(), "signaling URL") {
			t.Errorf("%q: unclear, or shows a secret: %v", raw, err)
		}
	}
}

func TestDialURLReaches(t *testing.T) {
	var asked atomic.Value
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.RequestURI())
		http.Error(w, "no", http.StatusTeapot)
	}))
	defer h.Close()
	host := strings.TrimPrefix(h.URL, "http://")
	for raw, want := range map[string]string{
		"ws://" + host: "/ws", "http://" + host + "/": "/ws", " http://" + host + "/cam/ws?x=1 ": "/cam/ws?x=1",
	} {
		dial, err := DialURL(raw)
		if err != nil {
			t.Fatal(err)
		}
		_, err = dial(t.Context())
		if err == nil || !strings.Contains(err.Error(), "HTTP 418") || asked.Load() != want {
			t.Errorf("%q asked for %v and says %v", raw, asked.Load(), err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	dial, _ := DialURL("ws://" + l.Addr().String())
	if _, err := dial(t.Context()); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("nobody listens: %v", err)
	}
}

// logText is what was logged.
type logText struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// testClient runs a Client until the test ends. What it handles comes out of
// the channel.
func testClient(t *testing.T, dial func(context.Context) (Conn, error), join func() Message) (*Client, chan Message, *logText) {
	t.Helper()
	got := make(chan Message, 100)
	log := new(logText)
	c := &Client{Dial: dial, Join: join, Handle: func(m Message) { got <- m }, Log: slog.New(slog.NewTextHandler(log, nil))}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c, got, log
}

func TestClientComesBackToAServerThatWasAway(t *testing.T) {
	var url atomic.Value
	first := startServer(t, ServerConfig{})
	url.Store(first.http.URL)
	dial := func(ctx context.Context) (Conn, error) {
		d, err := DialURL(url.Load().(string))
		if err != nil {
			return nil, err
		}
		return d(ctx)
	}
	join := func() Message { return cameraJoin("x") }
	c, got, _ := testClient(t, dial, join)
	if m := <-got; m.Type != TypeWelcome || !c.Connected() {
		t.Fatal(show(m))
	}
	_, w := first.join(viewerJoin())
	nonce := w.Cameras[0].Nonce
	first.stop()
	if m := <-got; m.Code != CodeClosing {
		t.Fatal(show(m))
	}
	if err := c.Send(Message{Type: TypePing}); !errors.Is(err, ErrAway) || c.Connected() {
		t.Errorf("Send while away: %v", err)
	}
	second := startServer(t, ServerConfig{})
	url.Store(second.http.URL)
	m := <-got
	for m.Code == CodeClosing { // came back while the first was still about to stop
		m = <-got
	}
	if m.Type != TypeWelcome {
		t.Fatal(show(m))
	}
	if err := c.Send(Message{Type: TypePing}); err != nil {
		t.Error(err)
	}
	if m := <-got; m.Type != TypePong {
		t.Fatal(show(m))
	}
	if _, w := second.join(viewerJoin()); len(w.Cameras) != 1 || w.Cameras[0].Nonce == nonce {
		t.Errorf("the second welcome tells of %+v: the nonce must be new", w.Cameras)
	}
}

// runServer runs a server without sockets, in a bubble of synctest.
func runServer(t *testing.T) (s *Server, stop func()) {
	s = NewServer(ServerConfig{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	return s, func() { cancel(); <-ended }
}

func TestClientSaysAnOutageOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var server atomic.Pointer[Server]
		var dials atomic.Int64
		c, got, log := testClient(t, func(ctx context.Context) (Conn, error) {
			dials.Add(1)
			if s := server.Load(); s != nil {
				return s.Connect(ctx)
			}
			return nil, errors.New("connection refused")
		}, func() Message { return cameraJoin("x") })
		for outage := range 3 {
			before := dials.Load()
			time.Sleep(10 * time.Hour)
			synctest.Wait()
			if n := strings.Count(log.String(), "level=WARN"); n != outage+1 {
				t.Errorf("an outage was told %d times:\n%s", n-outage, log)
			}
			if n := dials.Load() - before; n < 10*60*4 || n > 10*60*8+10 {
				t.Errorf("%d tries in ten hours", n)
			}
			s, stop := runServer(t)
			server.Store(s)
			if m := <-got; m.Type != TypeWelcome {
				t.Fatal(show(m))
			}
			if n := strings.Count(log.String(), "again\""); n != outage+1 {
				t.Errorf("the recovery was not told once:\n%s", log)
			}
			time.Sleep(time.Minute)
			server.Store(nil)
			stop()
			if m := <-got; m.Code != CodeClosing {
				t.Fatal(show(m))
			}
			synctest.Wait()
			if c.Connected() {
				t.Error("connected to a server that has stopped")
			}
		}
	})
}

func TestClientIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := runServer(t)
		defer stop()
		owner, err := s.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = owner.Send(cameraJoin("owner"))
		if m, err := owner.Receive(); err != nil || m.Type != TypeWelcome {
			t.Fatal(err, show(m))
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		log := new(bytes.Buffer)
		tries, welcome := 0, make(chan time.Time, 1)
		c := &Client{Log: slog.New(slog.NewTextHandler(log, nil)), Dial: s.Connect,
			Join: func() Message { tries++; m := cameraJoin("x"); m.Token = otherKey.Token(); return m },
			Handle: func(m Message) {
				if m.Type == TypeWelcome {
					welcome <- time.Now()
				}
			}}
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "--room") || tries < 119 || tries > 121 {
			t.Errorf("%d tries in an hour, told %d times:\n%s", tries, n, log)
		}
		left := time.Now()
		owner.Close("", "")
		drain(owner)
		if waited := (<-welcome).Sub(left); waited < claimFor || waited > claimFor+refusedWait {
			t.Errorf("let in %v after the owner left", waited)
		}
		cancel()
		<-ended
	})
}

// What was sent before Run's context ends still arrives.
func TestClientSendsItsLastWords(t *testing.T) {
	s := startServer(t, ServerConfig{})
	dial, err := DialURL(s.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	welcome := make(chan Message, 10)
	c := &Client{Dial: dial, Join: func() Message { return cameraJoin("x") }, Handle: func(m Message) { welcome <- m }, Log: slog.New(slog.DiscardHandler)}
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	<-welcome
	v, w := s.join(viewerJoin())
	session := NewSession()
	for range 50 {
		if err := c.Send(Message{Type: TypeBye, To: w.ID, Session: session, Code: CodeEnded}); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	for range 50 {
		v.want(TypeBye)
	}
	v.want(TypeCameraLeft)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A server that does not read makes the client come back, not wait.
func TestClientLeavesAServerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		c, got, _ := testClient(t, func(context.Context) (Conn, error) {
			dials++
			client, server := pipe()
			_ = server.Send(Message{Type: TypeWelcome, ID: "c1"})
			return client, nil
		}, func() Message { return cameraJoin("x") })
		<-got
		for n := 0; c.Send(Message{Type: TypePing}) == nil; n++ {
			if n > cameraQueue.messages {
				t.Fatal("the queue has no end")
			}
		}
		if m := <-got; m.Type != TypeWelcome || dials != 2 {
			t.Errorf("%s after %d dials", show(m), dials)
		}
		if err := c.Send(Message{Type: TypePing}); err != nil {
			t.Error(err)
		}
	})
}

// A camera whose address is gone has another socket at once, whatever the old one
// still believes; any other socket is asked, and kept.
func TestAMoveOfTheNetwork(t *testing.T) {
	s := startServer(t, ServerConfig{})
	dial, err := DialURL(s.wsURL())
	if err != nil {
		t.Fatal(err)
	}
	welcomes := make(chan Message, 10)
	c := &Client{Dial: dial, Join: func() Message { return cameraJoin("x") }, Log: slog.New(slog.DiscardHandler), Handle: func(m Message) {
		if m.Type == TypeWelcome {
			welcomes <- m
		}
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	defer func() { cancel(); <-done }()
	first := <-welcomes
	c.Moved(func(netip.Addr) bool { return false })
	v, _ := s.join(viewerJoin())
	v.send(Message{Type: TypeBye, To: first.ID, Session: NewSession()})
	v.silent() // no error: the camera is there still
	c.Moved(func(a netip.Addr) bool { return a.IsLoopback() })
	if c.Connected() {
		t.Error("the socket from the address that is gone counts as a connection")
	}
	if second := <-welcomes; second.ID == first.ID {
		t.Error("no new socket")
	}
}

// What waits for the next try, or for an answer that will not come, waits no longer.
func TestAMoveHurries(t *testing.T) {
	dialed := make(chan struct{}, 10)
	c := &Client{Join: openJoin, Log: slog.New(slog.DiscardHandler), Handle: func(Message) {}}
	c.Dial = func(ctx context.Context) (Conn, error) {
		dialed <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	defer func() { cancel(); <-done }()
	for range 3 {
		<-dialed
		c.Moved(func(netip.Addr) bool { return true })
	}
}
