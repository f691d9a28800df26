package signaling

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(benchServerEnv) != "" {
		benchServer()
		return
	}
	goleak.VerifyTestMain(m)
}

// patience bounds waits for what must come; nothing is asserted about time.
const patience = time.Minute

type testServer struct {
	*Server
	t    testing.TB
	http *httptest.Server
	stop func()
}

// startServer runs a server in which, unless cfg says otherwise, nobody gives up
// waiting before the test does.
func startServer(t testing.TB, cfg ServerConfig) *testServer {
	t.Helper()
	cfg.WHEPPatience = cmp.Or(cfg.WHEPPatience, patience)
	cfg.WHEPTimeout = cmp.Or(cfg.WHEPTimeout, patience)
	s := NewServer(cfg)
	mux := http.NewServeMux()
	mux.Handle("/ws", s)
	mux.Handle("/whep/", s.WHEP())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	h := httptest.NewServer(mux)
	stop := func() {
		cancel()
		if err, ok := <-ended; ok && err != nil {
			t.Error(err)
		}
		close(ended)
		h.Close()
	}
	ts := &testServer{Server: s, t: t, http: h}
	ts.stop = func() { stop(); ts.stop = func() {} }
	t.Cleanup(func() { ts.stop() })
	return ts
}

func (s *testServer) wsURL() string { return "ws" + strings.TrimPrefix(s.http.URL, "http") + "/ws" }

// socket is a client that knows nothing of Conn: what a stranger's program sees.
type socket struct {
	t  testing.TB
	ws *websocket.Conn
}

func (s *testServer) socket() *socket { return s.socketFrom(nil) }

func (s *testServer) socketFrom(h http.Header) *socket {
	s.t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(s.wsURL(), h)
	if err != nil {
		s.t.Fatal(err)
	}
	if t, ok := s.t.(*testing.T); ok { // a benchmark closes its own, and has too many to keep
		t.Cleanup(func() { ws.Close() })
	}
	return &socket{s.t, ws}
}

func (c *socket) send(m any) {
	c.t.Helper()
	if err := c.ws.WriteJSON(m); err != nil {
		c.t.Fatal(err)
	}
}

func (c *socket) raw(kind int, data string) {
	// The server may have hung up already: what it said then is what counts.
	_ = c.ws.WriteMessage(kind, []byte(data))
}

func (c *socket) receive() Message {
	c.t.Helper()
	_ = c.ws.SetReadDeadline(time.Now().Add(patience))
	var m Message
	if err := c.ws.ReadJSON(&m); err != nil {
		c.t.Fatalf("nothing came: %v", err)
	}
	return m
}

// want receives a message of that type.
func (c *socket) want(kind string) Message {
	c.t.Helper()
	m := c.receive()
	if m.Type != kind {
		c.t.Fatalf("got %s, want %s", show(m), kind)
	}
	return m
}

func (c *socket) wantError(code string, fatal bool) Message {
	c.t.Helper()
	m := c.want(TypeError)
	if m.Code != code || m.Fatal != fatal || m.Message == "" {
		c.t.Fatalf("got %s, want an error %s, fatal %v", show(m), code, fatal)
	}
	if fatal {
		c.wantEnd()
	}
	return m
}

// wantEnd receives the end, with a proper goodbye.
func (c *socket) wantEnd() {
	c.t.Helper()
	_ = c.ws.SetReadDeadline(time.Now().Add(patience))
	if _, data, err := c.ws.ReadMessage(); err == nil {
		c.t.Fatalf("got %s after a fatal error", data)
	} else if !websocket.IsCloseError(err, websocket.ClosePolicyViolation, websocket.CloseNormalClosure) {
		c.t.Fatalf("the connection ended with %v", err)
	}
	c.ws.Close()
}

// silent checks that nothing came before the answer to a ping.
func (c *socket) silent() {
	c.t.Helper()
	c.send(Message{Type: TypePing})
	c.want(TypePong)
}

func show(m Message) string {
	text, _ := json.Marshal(m)
	return string(text)
}

var (
	testKey   = mustKey("AAECAwQFBgcICQoLDA0ODw")
	otherKey  = mustKey("_____________________w")
	testToken = testKey.Token()
)

func mustKey(s string) Key {
	k, err := ParseKey(s)
	if err != nil {
		panic(err)
	}
	return k
}

func cameraJoin(name string) Message {
	return Message{Type: TypeJoin, Version: 1, Role: RoleCamera, Room: "kitchen", Token: testToken, Name: name, Nonce: NewNonce()}
}

func viewerJoin() Message {
	return Message{Type: TypeJoin, Version: 1, Role: RoleViewer, Room: "kitchen", Token: testToken}
}

// join joins and returns the socket and what it was welcomed with.
func (s *testServer) join(m Message) (*socket, Message) {
	s.t.Helper()
	c := s.socket()
	c.send(m)
	return c, c.want(TypeWelcome)
}

// cameraIDs of a welcome, sorted.
func cameraIDs(m Message) []string {
	var ids []string
	for _, c := range m.Cameras {
		ids = append(ids, c.ID)
	}
	slices.Sort(ids)
	return ids
}

// await polls what the server says about itself: for what no message tells of.
func (s *testServer) await(what string, ok func(Stats) bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok(s.Stats()) {
			return
		}
	}
	s.t.Fatalf("never: %s (%+v)", what, s.Stats())
}
