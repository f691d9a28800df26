package signaling

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

func TestSignaling(t *testing.T) {
	servers := []ICEServer{{URLs: []string{"stun:stun.example.org"}}, {URLs: []string{"turn:turn.example.org"}, Username: "u", Credential: "c"}}
	s := startServer(t, ServerConfig{ICEServers: FixedICE(servers...)})
	early, w := s.join(viewerJoin())
	if len(w.Cameras) != 0 || w.Room != "kitchen" || w.ID == "" || len(w.ICEServers) != 2 || w.ICEServers[1].Credential != "c" {
		t.Fatalf("welcome of a viewer before any camera: %s", show(w))
	}
	earlyID := w.ID

	join := cameraJoin("FaceTime HD Camera")
	camera, w := s.join(join)
	cameraID := w.ID
	if m := early.want(TypeCameraJoined); *m.Camera != (Camera{ID: cameraID, Name: join.Name, Nonce: join.Nonce}) {
		t.Fatalf("the waiting viewer is told %s", show(m))
	}
	late, w := s.join(viewerJoin())
	if len(w.Cameras) != 1 || w.Cameras[0] != (Camera{ID: cameraID, Name: join.Name, Nonce: join.Nonce}) {
		t.Fatalf("the late viewer is told %s", show(w))
	}
	camera.silent() // cameras are not told of viewers

	session, no := NewSession(), false
	early.send(Message{Type: TypeOffer, To: cameraID, Session: session, SDP: "v=0 offer <&>", Proof: "p", Trickle: &no, From: "forged", Code: "x", Room: "x"})
	m := camera.want(TypeOffer)
	if m.From != earlyID || m.To != "" || m.Session != session || m.SDP != "v=0 offer <&>" || m.Proof != "p" || m.Trickle == nil || *m.Trickle || m.Code != "" || m.Room != "" {
		t.Fatalf("the offer arrives as %s", show(m))
	}
	camera.send(Message{Type: TypeAnswer, To: earlyID, Session: session, SDP: "v=0 answer", Proof: "q"})
	if m := early.want(TypeAnswer); m.From != cameraID || m.Session != session || m.SDP != "v=0 answer" || m.Proof != "q" {
		t.Fatalf("the answer arrives as %s", show(m))
	}
	candidate := `{"candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"x"}`
	early.raw(websocket.TextMessage, fmt.Sprintf(`{"type":"candidate","to":%q,"session":%q,"candidate":%s}`, cameraID, session, candidate))
	if m := camera.want(TypeCandidate); string(m.Candidate) != candidate {
		t.Fatalf("the candidate arrives as %s", show(m))
	}
	camera.raw(websocket.TextMessage, fmt.Sprintf(`{"type":"candidate","to":%q,"session":%q,"candidate":null}`, earlyID, session))
	if m := early.want(TypeCandidate); string(m.Candidate) != "null" {
		t.Fatalf("the last candidate arrives as %s", show(m))
	}
	camera.send(Message{Type: TypeRestart, To: earlyID, Session: session})
	early.want(TypeRestart)
	camera.send(Message{Type: TypeBye, To: earlyID, Session: session, Code: CodeEnded, Message: "the camera was stopped"})
	if m := early.want(TypeBye); m.Code != CodeEnded || m.Message != "the camera was stopped" || m.Session != session {
		t.Fatalf("the bye arrives as %s", show(m))
	}
	late.silent() // and heard none of that

	camera.ws.Close()
	for _, v := range []*socket{early, late} {
		if m := v.want(TypeCameraLeft); m.Camera.ID != cameraID || m.Camera.Name != join.Name {
			t.Fatalf("camera-left says %s", show(m))
		}
	}
}

func TestSeveralCamerasAndRooms(t *testing.T) {
	s := startServer(t, ServerConfig{})
	a, wa := s.join(cameraJoin("a"))
	_, wb := s.join(cameraJoin("b"))
	elsewhere := cameraJoin("c")
	elsewhere.Room, elsewhere.Token = "cellar", otherKey.Token()
	c, wc := s.join(elsewhere)
	v, w := s.join(viewerJoin())
	if ids := cameraIDs(w); len(ids) != 2 || w.Cameras[0].ID != wa.ID || w.Cameras[1].ID != wb.ID {
		t.Fatalf("the viewer is told of %v, want %s and %s, in that order", ids, wa.ID, wb.ID)
	}
	v.send(Message{Type: TypeRestart, To: wa.ID, Session: NewSession()})
	v.wantError(CodeBadMessage, false)
	v.send(Message{Type: TypeBye, To: wc.ID, Session: NewSession()}) // another room's
	v.wantError(CodeNoSuchPeer, false)
	c.silent()
	a.send(Message{Type: TypeBye, To: wb.ID, Session: NewSession()}) // camera to camera
	a.wantError(CodeNoSuchPeer, false)
	if st := s.Stats(); st.Rooms != 2 || st.Cameras != 3 || st.Viewers != 1 || st.Sockets != 4 || st.Refused[CodeNoSuchPeer] != 2 {
		t.Fatalf("%+v", st)
	}
}

// Every code that a socket may get before it has joined.
func TestJoinIsRefused(t *testing.T) {
	with := func(change func(*Message)) string {
		m := cameraJoin("x")
		change(&m)
		return show(m)
	}
	for name, c := range map[string]struct{ send, code string }{
		"not JSON":          {"hello", CodeBadMessage},
		"not an object":     {`[1]`, CodeBadMessage},
		"null":              {`null`, CodeBadMessage},
		"not UTF-8":         {"{\"type\":\"join\",\"room\":\"\xff\"}", CodeBadMessage},
		"wrong field types": {`{"type":"join","version":"1"}`, CodeBadMessage},
		"no join":           {`{"type":"ping"}`, CodeBadMessage},
		"an offer first":    {show(Message{Type: TypeOffer, To: "c1", Session: NewSession(), SDP: "x"}), CodeBadMessage},
		"no version":        {with(func(m *Message) { m.Version = 0 }), CodeVersion},
		"version 2":         {with(func(m *Message) { m.Version = 2 }), CodeVersion},
		"no role":           {with(func(m *Message) { m.Role = "" }), CodeBadMessage},
		"another role":      {with(func(m *Message) { m.Role = "admin" }), CodeBadMessage},
		"no room":           {with(func(m *Message) { m.Room = "" }), CodeBadRoom},
		"reserved room":     {with(func(m *Message) { m.Room = "whep" }), CodeBadRoom},
		"path as room":      {with(func(m *Message) { m.Room = "../etc" }), CodeBadRoom},
		"token malformed":   {with(func(m *Message) { m.Token = "secret" }), CodeBadMessage},
		"no nonce":          {with(func(m *Message) { m.Nonce = "" }), CodeBadMessage},
		"nonce malformed":   {with(func(m *Message) { m.Nonce = "x" }), CodeBadMessage},
		"name too long":     {with(func(m *Message) { m.Name = strings.Repeat("x", 81) }), CodeBadMessage},
		"name with control": {with(func(m *Message) { m.Name = "a\nb" }), CodeBadMessage},
		"too large":         {`{"type":"join","x":"` + strings.Repeat("x", 64<<10) + `"}`, CodeTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, ServerConfig{})
			sock := s.socket()
			sock.raw(websocket.TextMessage, c.send)
			sock.wantError(c.code, true)
			s.await("the socket is gone", func(st Stats) bool { return st.Sockets == 0 && st.Rooms == 0 && st.Refused[c.code] == 1 })
		})
	}
	t.Run("binary", func(t *testing.T) {
		sock := startServer(t, ServerConfig{}).socket()
		sock.raw(websocket.BinaryMessage, show(viewerJoin()))
		sock.wantError(CodeBadMessage, true)
	})
}

func TestNonsenseAfterJoin(t *testing.T) {
	s := startServer(t, ServerConfig{})
	camera, w := s.join(cameraJoin("x"))
	session := NewSession()
	bad := map[string]string{
		"not JSON":          "{",
		"no type":           `{}`,
		"unknown type":      `{"type":"shutdown"}`,
		"second join":       show(viewerJoin()),
		"server's type":     `{"type":"welcome"}`,
		"answer of viewer":  show(Message{Type: TypeAnswer, To: w.ID, Session: session, SDP: "x"}),
		"restart of viewer": show(Message{Type: TypeRestart, To: w.ID, Session: session}),
		"offer without to":  show(Message{Type: TypeOffer, Session: session, SDP: "x"}),
		"no session":        show(Message{Type: TypeOffer, To: w.ID, SDP: "x"}),
		"session malformed": show(Message{Type: TypeOffer, To: w.ID, Session: "x\ny", SDP: "x"}),
		"no sdp":            show(Message{Type: TypeOffer, To: w.ID, Session: session}),
		"long proof":        show(Message{Type: TypeOffer, To: w.ID, Session: session, SDP: "x", Proof: strings.Repeat("x", 60<<10)}),
		"long code":         show(Message{Type: TypeBye, To: w.ID, Session: session, Code: strings.Repeat("x", 60<<10)}),
		"no candidate":      show(Message{Type: TypeCandidate, To: w.ID, Session: session}),
		"candidate string":  fmt.Sprintf(`{"type":"candidate","to":%q,"session":%q,"candidate":"x"}`, w.ID, session),
	}
	for name, text := range bad {
		t.Run(name, func(t *testing.T) {
			v, _ := s.join(viewerJoin())
			v.raw(websocket.TextMessage, text)
			m := v.wantError(CodeBadMessage, false)
			if strings.Contains(text, session) && m.Session != session {
				t.Errorf("the error does not say which session: %s", show(m))
			}
			v.silent() // it lives
		})
	}
	camera.silent() // none of it went through
	t.Run("ten", func(t *testing.T) {
		v, _ := s.join(viewerJoin())
		for range maxFaults - 1 {
			v.raw(websocket.BinaryMessage, "\x00")
			v.wantError(CodeBadMessage, false)
		}
		v.raw(websocket.TextMessage, "x")
		v.wantError(CodeBadMessage, true)
	})
	t.Run("too large", func(t *testing.T) {
		v, _ := s.join(viewerJoin())
		v.raw(websocket.TextMessage, strings.Repeat("x", 10<<20))
		v.wantError(CodeTooLarge, true)
	})
	t.Run("offer of camera", func(t *testing.T) {
		camera.send(Message{Type: TypeOffer, To: "v", Session: session, SDP: "x"})
		camera.wantError(CodeBadMessage, false)
	})
	t.Run("nobody", func(t *testing.T) {
		v, _ := s.join(viewerJoin())
		v.send(Message{Type: TypeOffer, To: "c1", Session: session, SDP: "x"})
		if m := v.wantError(CodeNoSuchPeer, false); m.Session != session {
			t.Errorf("the error does not say which session: %s", show(m))
		}
	})
}

func TestFlood(t *testing.T) {
	s := startServer(t, ServerConfig{})
	camera, _ := s.join(cameraJoin("x"))
	v, _ := s.join(viewerJoin())
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 5000 {
			v.raw(websocket.TextMessage, `{"type":"ping"}`)
		}
	})
	for {
		if m := v.receive(); m.Type == TypeError {
			if m.Code != CodeRateLimited || !m.Fatal {
				t.Fatalf("got %s", show(m))
			}
			break
		}
	}
	wg.Wait()
	camera.silent()
}

// A camera answers everybody in its room, so more is allowed to it.
func TestCameraMayAnswerManyAtOnce(t *testing.T) {
	s := startServer(t, ServerConfig{})
	camera, _ := s.join(cameraJoin("x"))
	for range 1000 {
		camera.send(Message{Type: TypePing})
	}
	for range 1000 {
		camera.want(TypePong)
	}
}

func TestSlowReader(t *testing.T) {
	s := startServer(t, ServerConfig{})
	_, w := s.join(viewerJoin()) // never reads again
	camera, _ := s.join(cameraJoin("x"))
	sdp := strings.Repeat("x", 60<<10)
	session := NewSession()
	for s.Stats().Refused[CodeSlow] == 0 {
		// As much as the camera may send; its own replies are read.
		camera.send(Message{Type: TypeAnswer, To: w.ID, Session: session, SDP: sdp})
		camera.silent()
	}
	s.await("the slow viewer is gone", func(st Stats) bool { return st.Viewers == 0 && st.Sockets == 1 })
	camera.send(Message{Type: TypeAnswer, To: w.ID, Session: session, SDP: sdp})
	camera.wantError(CodeNoSuchPeer, false)
}

func TestOrigin(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     ServerConfig
		origin  string
		forward string
		ok      bool
	}{
		"none: a program":           {ok: true},
		"its own":                   {origin: "http://HOST", ok: true},
		"its own, through TLS":      {origin: "https://HOST", ok: true},
		"another":                   {origin: "https://evil.example"},
		"its own as a prefix":       {origin: "http://HOST.evil.example"},
		"null: a sandbox or a file": {origin: "null"},
		"garbage":                   {origin: "::"},
		"allowed":                   {cfg: ServerConfig{AllowedOrigins: []string{"https://Example.org/"}}, origin: "https://example.org", ok: true},
		"allowed for https only":    {cfg: ServerConfig{AllowedOrigins: []string{"https://example.org"}}, origin: "http://example.org"},
		"all allowed":               {cfg: ServerConfig{AllowedOrigins: []string{"*"}}, origin: "null", ok: true},
		"behind a proxy":            {cfg: ServerConfig{TrustProxy: true}, origin: "https://cam.example", forward: "cam.example", ok: true},
		"behind no proxy":           {origin: "https://cam.example", forward: "cam.example"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, c.cfg)
			h := http.Header{}
			if c.origin != "" {
				h.Set("Origin", strings.ReplaceAll(c.origin, "HOST", strings.TrimPrefix(s.http.URL, "http://")))
			}
			if c.forward != "" {
				h.Set("X-Forwarded-Host", c.forward)
			}
			sock := s.socketFrom(h)
			sock.raw(websocket.TextMessage, show(viewerJoin()))
			if c.ok {
				sock.want(TypeWelcome)
			} else {
				sock.wantError(CodeForbidden, true)
			}
		})
	}
}

func TestTooManyFromOneAddress(t *testing.T) {
	s := startServer(t, ServerConfig{MaxPerAddress: 2, TrustProxy: true})
	from := func(addr string) *socket {
		h := http.Header{}
		if addr != "" {
			h.Set("X-Forwarded-For", "203.0.113.9, "+addr)
		}
		c := s.socketFrom(h)
		c.raw(websocket.TextMessage, show(viewerJoin()))
		return c
	}
	a := from("192.0.2.1")
	a.want(TypeWelcome)
	from("192.0.2.1").want(TypeWelcome)
	from("::ffff:192.0.2.1").wantError(CodeTooMany, true)
	from("192.0.2.2").want(TypeWelcome)
	from("2001:db8::1").want(TypeWelcome)
	from("2001:db8::2").want(TypeWelcome)
	from("2001:db8::ffff:3").wantError(CodeTooMany, true)
	from("2001:db8:0:1::1").want(TypeWelcome)
	from("").want(TypeWelcome)
	a.ws.Close()
	s.await("a place is free", func(st Stats) bool { return st.Sockets == 6 })
	from("192.0.2.1").want(TypeWelcome)
}

// Those over the limit hold sockets too, while they are told so: that has an end.
func TestFarTooManyFromOneAddress(t *testing.T) {
	s := startServer(t, ServerConfig{MaxPerAddress: 1})
	s.join(viewerJoin())
	s.socket() // is refused, and keeps its socket open
	_, resp, err := websocket.DefaultDialer.Dial(s.wsURL(), nil)
	if err == nil || resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%v", err)
	}
}

func TestClaims(t *testing.T) {
	s := startServer(t, ServerConfig{})
	refuse := func(m Message, code string) {
		t.Helper()
		c := s.socket()
		c.send(m)
		c.wantError(code, true)
	}
	other := func(m Message, token string) Message { m.Token = token; return m }
	stranger, _ := s.join(other(viewerJoin(), otherKey.Token()))
	open, _ := s.join(other(viewerJoin(), ""))
	friend, _ := s.join(viewerJoin())
	camera, _ := s.join(cameraJoin("x"))
	stranger.wantError(CodeForbidden, true)
	open.wantError(CodeForbidden, true)
	friend.want(TypeCameraJoined)

	refuse(other(viewerJoin(), otherKey.Token()), CodeForbidden)
	refuse(other(viewerJoin(), ""), CodeForbidden)
	refuse(other(cameraJoin("y"), otherKey.Token()), CodeRoomTaken)
	refuse(other(cameraJoin("y"), ""), CodeRoomTaken)

	camera.ws.Close()
	friend.want(TypeCameraLeft)
	friend.ws.Close()
	s.await("all have left", func(st Stats) bool { return st.Sockets == 0 })
	refuse(other(cameraJoin("y"), otherKey.Token()), CodeRoomTaken) // still the first one's
	refuse(other(viewerJoin(), otherKey.Token()), CodeForbidden)
	s.join(cameraJoin("back again"))
}

func TestHundredJoinsAtOnce(t *testing.T) {
	const n = 100
	s := startServer(t, ServerConfig{MaxPerAddress: -1})
	camera, w := s.join(cameraJoin("x"))
	var wg sync.WaitGroup
	for range n {
		c := s.socket()
		wg.Go(func() {
			session := NewSession()
			_ = c.ws.WriteJSON(viewerJoin())
			var m Message
			if err := c.ws.ReadJSON(&m); err != nil || m.Type != TypeWelcome {
				t.Errorf("%v, %s", err, show(m))
				return
			}
			_ = c.ws.WriteJSON(Message{Type: TypeOffer, To: w.ID, Session: session, SDP: "offer"})
			for range 5 {
				_ = c.ws.WriteJSON(Message{Type: TypeCandidate, To: w.ID, Session: session, Candidate: []byte(`{}`)})
			}
			for i := range 6 {
				want := TypeCandidate
				if i == 0 {
					want = TypeAnswer
				}
				m = Message{}
				if err := c.ws.ReadJSON(&m); err != nil || m.Type != want || m.Session != session {
					t.Errorf("%v, %s", err, show(m))
					return
				}
			}
		})
	}
	for range 6 * n {
		m := camera.receive()
		reply := Message{Type: TypeCandidate, To: m.From, Session: m.Session, Candidate: []byte(`{}`)}
		if m.Type == TypeOffer {
			reply = Message{Type: TypeAnswer, To: m.From, Session: m.Session, SDP: "answer"}
		}
		camera.send(reply)
	}
	wg.Wait()
	if st := s.Stats(); st.Viewers != n || len(st.Refused) != 0 {
		t.Errorf("%+v", st)
	}
}

func TestServerStops(t *testing.T) {
	s := startServer(t, ServerConfig{})
	camera, _ := s.join(cameraJoin("x"))
	idle := s.socket() // joined nothing yet
	own, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.await("all are there", func(st Stats) bool { return st.Sockets == 3 })
	s.stop()
	camera.wantError(CodeClosing, true)
	idle.wantError(CodeClosing, true)
	if m, err := own.Receive(); err != nil || m.Code != CodeClosing {
		t.Errorf("in the process: %s, %v", show(m), err)
	}
	drain(own)
	if _, err := s.Connect(t.Context()); err == nil {
		t.Error("a stopped server still connects")
	}
	if s.Stats().Sockets != 0 {
		t.Error("sockets are left")
	}
	if s.Run(t.Context()) == nil {
		t.Error("a server runs twice")
	}
}

func TestNoWebSocket(t *testing.T) {
	s := startServer(t, ServerConfig{})
	resp, err := http.Get(s.http.URL + "/ws")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("status %s", resp.Status)
	}
}
