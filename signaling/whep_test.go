package signaling

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const sdpOffer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n"

// ownCamera joins a camera within the process.
func (s *testServer) ownCamera(join Message) Conn {
	s.t.Helper()
	c, _ := s.ownPeer(join)
	return c
}

// ownPeer joins within the process: unlike a socket, it need not be read to live.
func (s *testServer) ownPeer(join Message) (Conn, Message) {
	s.t.Helper()
	c, err := s.Connect(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close("", ""); drain(c) })
	_ = c.Send(join)
	m, err := c.Receive()
	if err != nil || m.Type != TypeWelcome {
		s.t.Fatalf("%v, %s", err, show(m))
	}
	return c, m
}

// awaitMessage receives until what it waits for.
func awaitMessage(t testing.TB, c Conn, what string, is func(Message) bool) Message {
	t.Helper()
	late := time.AfterFunc(patience, func() { c.Close("", "") })
	defer late.Stop()
	for {
		m, err := c.Receive()
		if err != nil {
			t.Fatalf("never came: %s: %v", what, err)
		}
		if is(m) {
			return m
		}
	}
}

// request asks, and returns what came with the body read.
func (s *testServer) request(method, path, bearer, body string) (*http.Response, string) {
	s.t.Helper()
	req, _ := http.NewRequest(method, s.http.URL+path, strings.NewReader(body))
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/sdp; charset=utf-8")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := s.http.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		s.t.Errorf("%s %s: a page elsewhere cannot read the answer", method, path)
	}
	return resp, string(text)
}

// A page from elsewhere must not watch an open room through the browser of
// somebody near the camera.
func TestWHEPAsksWhereAPageComesFrom(t *testing.T) {
	for _, c := range []struct {
		origin  string
		allowed bool
	}{{"https://evil.example", false}, {"https://friend.example", true}, {"", true}} {
		s := startServer(t, ServerConfig{AllowedOrigins: []string{"https://friend.example"}, WHEPPatience: time.Millisecond})
		req, _ := http.NewRequest(http.MethodPost, s.http.URL+"/whep/x", strings.NewReader(sdpOffer))
		req.Header.Set("Content-Type", "application/sdp")
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		resp, err := s.http.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if refused := resp.StatusCode == http.StatusForbidden; refused == c.allowed {
			t.Errorf("origin %q: %s", c.origin, resp.Status)
		}
	}
}

// A bearer that says nothing does not let a page of another origin in.
func TestAForeignPageNeedsTheToken(t *testing.T) {
	for _, c := range []struct {
		what   string
		join   Message
		bearer string
		status int
	}{
		{"open room, some bearer", openJoin(), "whatever", http.StatusUnauthorized},
		{"open room, a real token", openJoin(), testToken, http.StatusUnauthorized},
		{"keyed room, its token", cameraJoin("x"), testToken, http.StatusCreated},
	} {
		s := startServer(t, ServerConfig{})
		camera := s.ownCamera(c.join)
		go func() {
			for {
				m, err := camera.Receive()
				if err != nil {
					return
				}
				if m.Type == TypeOffer {
					_ = camera.Send(Message{Type: TypeAnswer, To: m.From, Session: m.Session, SDP: "v=0 answer"})
				}
			}
		}()
		req, _ := http.NewRequest(http.MethodPost, s.http.URL+"/whep/kitchen", strings.NewReader(sdpOffer))
		req.Header.Set("Content-Type", "application/sdp")
		req.Header.Set("Origin", "https://evil.example")
		req.Header.Set("Authorization", "Bearer "+c.bearer)
		resp, err := s.http.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s: %s, want %d", c.what, resp.Status, c.status)
		}
	}
}

func openJoin() Message {
	m := cameraJoin("x")
	m.Token, m.Nonce = "", ""
	return m
}

func TestWHEP(t *testing.T) {
	for name, c := range map[string]struct {
		join   Message
		bearer string
	}{
		"with the token":             {cameraJoin("x"), testToken},
		"open room":                  {openJoin(), ""},
		"open room and some bearer":  {openJoin(), "whatever"},
		"open room and a real token": {openJoin(), testToken},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, ServerConfig{ICEServers: FixedICE(ICEServer{URLs: []string{"stun:a", "turn:b"}, Username: `u"`, Credential: "c"})})
			camera := s.ownCamera(c.join)
			offers := make(chan Message, 2)
			go func() {
				m, _ := camera.Receive()
				_ = camera.Send(Message{Type: TypeAnswer, To: m.From, Session: m.Session, SDP: "v=0 answer"})
				offers <- m
				m, _ = camera.Receive()
				offers <- m
			}()
			resp, body := s.request(http.MethodPost, "/whep/kitchen", c.bearer, sdpOffer)
			if resp.StatusCode != http.StatusCreated || body != "v=0 answer" || resp.Header.Get("Content-Type") != "application/sdp" || resp.Header.Get("ETag") == "" {
				t.Fatalf("%s %v %s", resp.Status, resp.Header, body)
			}
			offer := <-offers
			if offer.Type != TypeOffer || offer.SDP != sdpOffer || offer.Trickle == nil || *offer.Trickle || !offer.Bearer {
				t.Fatalf("the camera got %s, bearer %v", show(offer), offer.Bearer)
			}
			if links := resp.Header.Values("Link"); len(links) != 2 || links[1] != `<turn:b>; rel="ice-server"; username="u\""; credential="c"; credential-type="password"` {
				t.Errorf("ICE servers: %v", links)
			}
			location := resp.Header.Get("Location")
			if location != "/whep/kitchen/"+offer.Session {
				t.Fatalf("location %s", location)
			}
			if resp, _ := s.request(http.MethodDelete, strings.Replace(location, "kitchen", "cellar", 1), "", ""); resp.StatusCode != http.StatusNotFound {
				t.Errorf("deleted in another room: %s", resp.Status)
			}
			if resp, _ := s.request(http.MethodPatch, location, "", ""); resp.StatusCode != http.StatusUnsupportedMediaType || resp.Header.Get("Accept-Patch") != fragmentType {
				t.Errorf("PATCH of nothing: %s", resp.Status)
			}
			if resp, _ := s.request(http.MethodDelete, location, "", ""); resp.StatusCode != http.StatusOK {
				t.Fatalf("DELETE: %s", resp.Status)
			}
			if m := <-offers; m.Type != TypeBye || m.Session != offer.Session || m.Code != CodeLeft {
				t.Errorf("after DELETE the camera got %s", show(m))
			}
			s.await("nothing is left of it", func(st Stats) bool { return st.Viewers == 0 && st.Sockets == 1 })
			if resp, _ := s.request(http.MethodDelete, location, "", ""); resp.StatusCode != http.StatusNotFound {
				t.Errorf("DELETE twice: %s", resp.Status)
			}
		})
	}
}

func TestWHEPRefuses(t *testing.T) {
	s := startServer(t, ServerConfig{})
	camera := s.ownCamera(cameraJoin("x"))
	replies := make(chan Message, 1)
	go func() {
		for {
			m, err := camera.Receive()
			if err != nil {
				return
			}
			if m.Type == TypeOffer {
				reply := <-replies
				reply.To, reply.Session = m.From, m.Session
				_ = camera.Send(reply)
			}
		}
	}()
	bye := func(code string) Message { return Message{Type: TypeBye, Code: code, Message: "because"} }
	for name, c := range map[string]struct {
		method, path, bearer, body string
		reply                      Message
		status                     int
		header, value              string
	}{
		"no token":            {path: "/whep/kitchen", status: 401, header: "WWW-Authenticate", value: `Bearer realm="kitchen"`},
		"another token":       {path: "/whep/kitchen", bearer: otherKey.Token(), status: 401, header: "WWW-Authenticate", value: `Bearer realm="kitchen", error="invalid_token"`},
		"no token at all":     {path: "/whep/kitchen", bearer: "x", status: 401, header: "WWW-Authenticate", value: `Bearer realm="kitchen", error="invalid_token"`},
		"no room's name":      {path: "/whep/.x", status: 404},
		"no room":             {path: "/whep/", status: 404},
		"GET":                 {method: "GET", path: "/whep/kitchen", status: 405, header: "Allow", value: "POST, OPTIONS"},
		"OPTIONS":             {method: "OPTIONS", path: "/whep/kitchen", status: 204, header: "Accept-Post", value: "application/sdp"},
		"POST to a session":   {path: "/whep/kitchen/x", status: 405, header: "Allow", value: "PATCH, DELETE, OPTIONS"},
		"no SDP":              {path: "/whep/kitchen", bearer: testToken, body: "hello", status: 400},
		"a section twice":     {path: "/whep/kitchen", bearer: testToken, body: sdpOffer + strings.Repeat("a=mid:0\r\n", 2), status: 400},
		"too large":           {path: "/whep/kitchen", bearer: testToken, body: "v=0" + strings.Repeat("x", 64<<10), status: 413},
		"the camera says no":  {path: "/whep/kitchen", bearer: testToken, reply: bye(CodeBadOffer), status: 422},
		"the camera is busy":  {path: "/whep/kitchen", bearer: testToken, reply: bye(CodeBusy), status: 503, header: "Retry-After", value: "2"},
		"the camera distrust": {path: "/whep/kitchen", bearer: testToken, reply: bye(CodeProof), status: 403, header: "WWW-Authenticate", value: `Bearer realm="kitchen", error="insufficient_scope"`},
	} {
		t.Run(name, func(t *testing.T) {
			if c.method == "" {
				c.method = http.MethodPost
			}
			if c.body == "" {
				c.body = sdpOffer
			}
			if c.reply.Type != "" {
				replies <- c.reply
			}
			resp, body := s.request(c.method, c.path, c.bearer, c.body)
			if resp.StatusCode != c.status || c.header != "" && resp.Header.Get(c.header) != c.value {
				t.Errorf("%s, %s %q: %s", resp.Status, c.header, resp.Header.Get(c.header), body)
			}
			if c.reply.Message != "" && c.status == 422 && !strings.Contains(body, "because") {
				t.Errorf("the camera's reason is lost: %s", body)
			}
			s.await("nothing is left of it", func(st Stats) bool { return st.Viewers == 0 && st.Sockets == 1 })
		})
	}
	t.Run("another type", func(t *testing.T) {
		resp, err := s.http.Client().Post(s.http.URL+"/whep/kitchen", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("%s", resp.Status)
		}
	})
}

func TestWHEPWithoutACamera(t *testing.T) {
	s := startServer(t, ServerConfig{WHEPPatience: 10 * time.Millisecond})
	if resp, body := s.request(http.MethodPost, "/whep/cellar", testToken, sdpOffer); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%s %s", resp.Status, body)
	}
	s.await("nothing is left of it", func(st Stats) bool { return st.Viewers == 0 && st.Sockets == 0 })
}

func TestWHEPOfACameraThatSleeps(t *testing.T) {
	s := startServer(t, ServerConfig{WHEPTimeout: 10 * time.Millisecond})
	s.ownCamera(cameraJoin("x"))
	if resp, body := s.request(http.MethodPost, "/whep/kitchen", testToken, sdpOffer); resp.StatusCode != http.StatusGatewayTimeout || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%s %s", resp.Status, body)
	}
	s.await("nothing is left of it", func(st Stats) bool { return st.Viewers == 0 && st.Sockets == 1 })
}

// A camera elsewhere is not told that a token was right: the server could lie.
func TestWHEPBearerCrossesNoWire(t *testing.T) {
	s := startServer(t, ServerConfig{})
	camera, _ := s.join(cameraJoin("x"))
	go func() {
		_, raw, _ := camera.ws.ReadMessage()
		m, _ := decode(raw)
		reply := Message{Type: TypeBye, To: m.From, Session: m.Session, Code: CodeProof}
		if m.Bearer || strings.Contains(strings.ToLower(string(raw)), "bearer") {
			reply.Code = CodeBusy
		}
		_ = camera.ws.WriteJSON(reply)
	}()
	if resp, body := s.request(http.MethodPost, "/whep/kitchen", testToken, sdpOffer); resp.StatusCode != http.StatusForbidden {
		t.Errorf("%s %s", resp.Status, body)
	}
}

func TestWHEPWaitsForTheCamera(t *testing.T) {
	s := startServer(t, ServerConfig{})
	go func() {
		s.await("the player waits", func(st Stats) bool { return st.Viewers == 1 })
		c, w := s.join(openJoin())
		_ = w
		m := c.want(TypeOffer)
		c.send(Message{Type: TypeAnswer, To: m.From, Session: m.Session, SDP: "v=0 answer"})
	}()
	if resp, body := s.request(http.MethodPost, "/whep/kitchen", "", sdpOffer); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s", resp.Status, body)
	}
}

func TestWHEPEndsWithTheCamera(t *testing.T) {
	s := startServer(t, ServerConfig{MaxPerAddress: 1})
	camera := s.ownCamera(cameraJoin("x"))
	offers := make(chan Message, 1)
	go func() {
		m, _ := camera.Receive()
		_ = camera.Send(Message{Type: TypeAnswer, To: m.From, Session: m.Session, SDP: "v=0 answer"})
		offers <- m
	}()
	resp, _ := s.request(http.MethodPost, "/whep/kitchen", testToken, sdpOffer)
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status)
	}
	if resp, _ := s.request(http.MethodPost, "/whep/kitchen", testToken, sdpOffer); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the second player of one address: %s", resp.Status)
	}
	m := <-offers
	_ = camera.Send(Message{Type: TypeBye, To: m.From, Session: m.Session, Code: CodeFailed})
	s.await("the player is gone", func(st Stats) bool { return st.Viewers == 0 })
	if resp, _ := s.request(http.MethodDelete, resp.Header.Get("Location"), "", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("%s", resp.Status)
	}
}

func FuzzWHEP(f *testing.F) {
	f.Add("POST", "/whep/kitchen", "application/sdp", "Bearer x", sdpOffer)
	f.Add("DELETE", "/whep/kitchen/x", "", "", "")
	f.Add("OPTIONS", "/whep/", "", "", "")
	f.Add("POST", "/whep/kitchen/../../x", "application/sdp; =", "bearer", "v=0")
	s := NewServer(ServerConfig{WHEPPatience: time.Millisecond, WHEPTimeout: time.Millisecond, MaxPerAddress: -1})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	f.Cleanup(func() { cancel(); <-ended })
	f.Fuzz(func(t *testing.T, method, path, kind, auth, body string) {
		r := httptest.NewRequest(http.MethodPost, "/whep/", strings.NewReader(body))
		r.Method, r.URL.Path = method, path
		r.Header = http.Header{"Content-Type": {kind}, "Authorization": {auth}}
		w := httptest.NewRecorder()
		s.WHEP().ServeHTTP(w, r)
		if w.Code == http.StatusCreated || w.Code == http.StatusInternalServerError {
			t.Fatalf("status %d without a camera", w.Code)
		}
		for _, values := range w.Header() {
			if strings.ContainsAny(strings.Join(values, ""), "\r\n") {
				t.Fatalf("a header with a line end: %v", w.Header())
			}
		}
	})
}
