package signaling

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

func zipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func asJSON(t testing.TB, messages ...Message) string {
	t.Helper()
	data, err := json.Marshal(messages)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// posted is what a page hears that said something by POST.
type posted struct {
	t     testing.TB
	code  int
	text  string // of a refusal
	body  io.Closer
	lines *json.Decoder
}

func (s *testServer) post(body string, headers http.Header) *posted {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodPost, s.http.URL+"/ws", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for name, values := range headers {
		r.Header[name] = values
	}
	response, err := s.http.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.(*testing.T).Cleanup(func() { _ = response.Body.Close() })
	p := &posted{t: s.t, code: response.StatusCode, body: response.Body, lines: json.NewDecoder(bufio.NewReader(response.Body))}
	if p.code != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		p.text = string(text)
	}
	return p
}

func (p *posted) want(kind string) (m Message) {
	p.t.Helper()
	if p.code != http.StatusOK {
		p.t.Fatalf("%d %s", p.code, p.text)
	}
	if err := p.lines.Decode(&m); err != nil || m.Type != kind {
		p.t.Fatalf("got %s, %v, want %s", show(m), err, kind)
	}
	return m
}

func (p *posted) wantEnd() {
	p.t.Helper()
	var m Message
	if err := p.lines.Decode(&m); err != io.EOF {
		p.t.Fatalf("got %s, %v, want the end", show(m), err)
	}
}

// What a page said by POST and what it says over its socket then is one viewer's.
func TestEarlyWords(t *testing.T) {
	s := startServer(t, ServerConfig{})
	camera, w := s.join(cameraJoin("Door"))
	for what, packs := range map[string]bool{"plain": false, "gzip": true} {
		session := NewSession()
		join := viewerJoin()
		join.Session = session
		offer := Message{Type: TypeOffer, To: w.ID, Session: session, SDP: "v=0 early", Rate: 350_000}
		body, headers := asJSON(t, join, offer), http.Header{}
		if packs {
			body, headers = zipped(t, body), http.Header{"Content-Encoding": {"gzip"}}
		}
		p := s.post(body, headers)
		welcome := p.want(TypeWelcome)
		if len(welcome.Cameras) != 1 || welcome.Cameras[0].ID != w.ID {
			t.Errorf("%s: welcomed with %s", what, show(welcome))
		}
		if m := camera.want(TypeOffer); m.From != welcome.ID || m.Session != session || m.SDP != offer.SDP || m.Rate != offer.Rate {
			t.Fatalf("%s: the early offer arrives as %s", what, show(m))
		}
		camera.send(Message{Type: TypeAnswer, To: welcome.ID, Session: session, SDP: "v=0 answer"})
		if m := p.want(TypeAnswer); m.SDP != "v=0 answer" || m.From != w.ID {
			t.Errorf("%s: the answer arrives as %s", what, show(m))
		}

		v, again := s.join(join)
		if again.ID != welcome.ID || len(again.Cameras) != 1 {
			t.Errorf("%s: over its socket %s is %s", what, welcome.ID, show(again))
		}
		p.wantEnd()
		v.send(Message{Type: TypeBye, To: w.ID, Session: session, Code: CodeLeft})
		if m := camera.want(TypeBye); m.From != welcome.ID {
			t.Errorf("%s: its bye arrives as %s", what, show(m))
		}
		camera.send(Message{Type: TypeBye, To: welcome.ID, Session: session, Code: CodeEnded})
		v.want(TypeBye)
		s.await("one viewer", func(st Stats) bool { return st.Viewers == 1 })
		_ = v.ws.Close()
		s.await("no viewer", func(st Stats) bool { return st.Viewers == 0 })
	}
}

// A socket that is quick neither cuts off what was said before it nor makes two of one.
func TestNothingSaidEarlyIsLost(t *testing.T) {
	s := startServer(t, ServerConfig{})
	camera, w := s.join(cameraJoin("Door"))
	for range 100 {
		session := NewSession()
		join := viewerJoin().as(session)
		body := asJSON(t, join, Message{Type: TypeOffer, To: w.ID, Session: session, SDP: "v=0 early"})
		p := make(chan *posted)
		go func() { p <- s.post(body, nil) }()
		v, welcome := s.join(join)
		early := <-p
		if m := camera.want(TypeOffer); m.Session != session || m.From != welcome.ID {
			t.Fatalf("the offer arrives as %s", show(m))
		}
		camera.send(Message{Type: TypeAnswer, To: welcome.ID, Session: session, SDP: "v=0 answer"})
		v.want(TypeAnswer)
		_ = early.body.Close()
		_ = v.ws.Close()
	}
}

// What was said by POST may come after the socket that was opened meanwhile.
func TestEarlyWordsThatComeLate(t *testing.T) {
	s := startServer(t, ServerConfig{})
	camera, w := s.join(cameraJoin("Door"))
	join := viewerJoin().as(NewSession())
	v, welcome := s.join(join)
	p := s.post(asJSON(t, join, Message{Type: TypeOffer, To: w.ID, Session: join.Session, SDP: "v=0 late"},
		Message{Type: TypeOffer, To: "nobody", Session: join.Session, SDP: "v=0"}), nil)
	p.wantEnd()
	if m := camera.want(TypeOffer); m.From != welcome.ID || m.SDP != "v=0 late" {
		t.Errorf("the late offer arrives as %s", show(m))
	}
	if m := v.want(TypeError); m.Code != CodeNoSuchPeer {
		t.Errorf("what was wrong with it is told as %s", show(m))
	}
	s.await("one viewer", func(st Stats) bool { return st.Viewers == 1 && st.Sockets == 2 })
	camera.send(Message{Type: TypeAnswer, To: welcome.ID, Session: join.Session, SDP: "v=0 answer"})
	v.want(TypeAnswer)
	_ = v.ws.Close()
	s.await("no viewer", func(st Stats) bool { return st.Viewers == 0 })
}

// A page that goes away before it has a socket has left.
func TestEarlyWordsOfOneThatLeaves(t *testing.T) {
	s := startServer(t, ServerConfig{})
	join := viewerJoin()
	join.Session = NewSession()
	p := s.post(asJSON(t, join), nil)
	p.want(TypeWelcome)
	_ = p.body.Close()
	s.await("no viewer", func(st Stats) bool { return st.Viewers == 0 && st.Sockets == 0 })
	// and a socket that comes later is a viewer as any
	if _, w := s.join(join); w.ID == "" {
		t.Error("it has no id")
	}
	// what a server has to say last is heard
	second := viewerJoin()
	second.Session = NewSession()
	p = s.post(asJSON(t, second), nil)
	p.want(TypeWelcome)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stop()
	}()
	if m := p.want(TypeError); m.Code != CodeClosing || !m.Fatal {
		t.Errorf("a server that stops says %s", show(m))
	}
	p.wantEnd()
	<-stopped
}

// Who knows neither session nor token of a page does not become it.
func TestNobodyTakesOverAnother(t *testing.T) {
	s := startServer(t, ServerConfig{})
	join := viewerJoin()
	join.Session = NewSession()
	p := s.post(asJSON(t, join), nil)
	id := p.want(TypeWelcome).ID
	other, stranger, another := join, join, join
	other.Session = NewSession()
	stranger.Token = NewNonce()
	another.Room = "hall"
	for what, j := range map[string]Message{"another session": other, "another token": stranger, "another room": another, "no session": viewerJoin()} {
		if _, w := s.join(j); w.ID == id {
			t.Errorf("%s: the same viewer", what)
		}
	}
	s.post(asJSON(t, join), nil).want(TypeWelcome) // said twice: not this one's either
	if _, w := s.join(join); w.ID == "" {
		t.Error("it cannot go on")
	}
	// a camera takes nobody's place
	camera := cameraJoin("Door")
	camera.Session = join.Session
	if _, w := s.join(camera); w.ID == id {
		t.Error("a camera is the viewer")
	}
}

func TestEarlyWordsThatAreRefused(t *testing.T) {
	s := startServer(t, ServerConfig{})
	s.join(cameraJoin("Door"))
	join, stranger := viewerJoin(), viewerJoin()
	join.Session, stranger.Session = NewSession(), NewSession()
	good := asJSON(t, join)
	packed := http.Header{"Content-Encoding": {"gzip"}}
	camera := cameraJoin("Gate")
	camera.Session = join.Session
	for what, c := range map[string]struct {
		body    string
		headers http.Header
		code    int
	}{
		"not packed":        {good, packed, 400},
		"cut off":           {zipped(t, good)[:40], packed, 400},
		"packed otherwise":  {good, http.Header{"Content-Encoding": {"br"}}, 415},
		"nothing":           {"", nil, 400},
		"not JSON":          {"hello", nil, 400},
		"no array":          {`{"type":"join"}`, nil, 400},
		"no messages":       {"[]", nil, 400},
		"numbers":           {"[1]", nil, 400},
		"not UTF-8":         {"[{\"type\":\"\xff\"}]", nil, 400},
		"no join":           {`[{"type":"ping"}]`, nil, 400},
		"no session":        {asJSON(t, viewerJoin()), nil, 400},
		"a camera":          {asJSON(t, camera), nil, 400},
		"many":              {asJSON(t, append([]Message{join}, make([]Message, maxEarly)...)...), nil, 400},
		"long":              {"[" + strings.Repeat(" ", maxMessage) + good[1:], nil, 413},
		"a bomb":            {zipped(t, "["+strings.Repeat(" ", maxMessage)+good[1:]), packed, 413},
		"another's page":    {good, http.Header{"Origin": {"https://evil.example"}}, 403},
		"a page of nowhere": {good, http.Header{"Origin": {"null"}}, 403},
	} {
		if p := s.post(c.body, c.headers); p.code != c.code || p.text == "" {
			t.Errorf("%s: %d %s", what, p.code, p.text)
		}
	}
	// the rules for frames hold
	stranger.Token = ""
	if m := s.post(asJSON(t, stranger), nil).want(TypeError); m.Code != CodeForbidden || !m.Fatal {
		t.Errorf("a stranger hears %s", show(m))
	}
	p := s.post(asJSON(t, join, Message{Type: TypeOffer, To: "nobody", Session: join.Session, SDP: "v=0"}, Message{Type: "nonsense"}), nil)
	p.want(TypeWelcome)
	codes := map[string]bool{}
	for range 2 {
		codes[p.want(TypeError).Code] = true
	}
	if !codes[CodeNoSuchPeer] || !codes[CodeBadMessage] {
		t.Errorf("wrong words are answered with %v", codes)
	}

	few := startServer(t, ServerConfig{MaxPerAddress: 2})
	for range 2 {
		few.post(asJSON(t, viewerJoin().as(NewSession())), nil).want(TypeWelcome)
	}
	if p := few.post(asJSON(t, viewerJoin().as(NewSession())), nil); p.code != http.StatusTooManyRequests {
		t.Errorf("one too many: %d", p.code)
	}
}

// as is a join for a session.
func (m Message) as(session string) Message {
	m.Session = session
	return m
}

// Descriptions are packed for those who can unpack them, in a window that the
// client agreed to.
func TestDescriptionsArePacked(t *testing.T) {
	s := startServer(t, ServerConfig{})
	camera, w := s.join(cameraJoin("Door"))
	for extension, packs := range map[string]bool{
		"permessage-deflate; client_max_window_bits":    true,
		"permessage-deflate; server_max_window_bits=10": false,
		"": false,
	} {
		r, err := http.NewRequest(http.MethodGet, s.http.URL+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
			"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Extensions": extension,
		} {
			r.Header.Set(name, value)
		}
		response, err := s.http.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(response.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate"); got != packs {
			t.Errorf("%q: packs %v", extension, got)
		}
		_ = response.Body.Close()
	}
	for _, packs := range []bool{true, false} {
		ws, _, err := (&websocket.Dialer{EnableCompression: packs}).Dial(s.wsURL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		v := &socket{t: t, ws: ws}
		v.send(viewerJoin())
		id := v.want(TypeWelcome).ID
		session, sdp := NewSession(), strings.Repeat("a=candidate\r\n", 200)
		v.send(Message{Type: TypeOffer, To: w.ID, Session: session, SDP: sdp})
		if m := camera.want(TypeOffer); m.SDP != sdp {
			t.Errorf("packs %v: another offer arrives", packs)
		}
		camera.send(Message{Type: TypeAnswer, To: id, Session: session, SDP: sdp})
		if m := v.want(TypeAnswer); m.SDP != sdp {
			t.Errorf("packs %v: another answer arrives", packs)
		}
		_ = ws.Close()
	}
}

func FuzzEarlyWords(f *testing.F) {
	for _, seed := range []string{"", "[]", `[{"type":"join"}]`, `[{"type":"join","role":"viewer","session":"AAAAAAAAAAAAAAAAAAAAAA"},1]`} {
		f.Add([]byte(seed), "")
		f.Add([]byte(zipped(f, seed)), "gzip")
	}
	f.Fuzz(func(t *testing.T, body []byte, coding string) {
		r := httptest.NewRequest(http.MethodPost, "/ws", bytes.NewReader(body))
		if coding != "" {
			r.Header["Content-Encoding"] = []string{coding}
		}
		words, status, bad := earlyWords(httptest.NewRecorder(), r)
		if bad != nil && (status < 400 || status > 499 || words != nil || bad.Message == "") {
			t.Fatalf("%d messages, %d, %v", len(words), status, bad)
		}
		if bad == nil && (len(words) == 0 || len(words) > maxEarly || words[0].Type != TypeJoin || words[0].Role != RoleViewer) {
			t.Fatalf("taken: %v", words)
		}
	})
}
