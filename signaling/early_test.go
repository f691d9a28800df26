package signaling

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

func packWords(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b.Bytes())
}

func wordsOf(t testing.TB, messages ...Message) string {
	t.Helper()
	data, err := json.Marshal(messages)
	if err != nil {
		t.Fatal(err)
	}
	return packWords(t, string(data))
}

// early opens a socket with these subprotocols.
func (s *testServer) early(subprotocols ...string) *socket {
	s.t.Helper()
	return s.socketFrom(http.Header{"Sec-WebSocket-Protocol": {strings.Join(subprotocols, ", ")}})
}

func TestEarlyWords(t *testing.T) {
	s := startServer(t, ServerConfig{})
	camera, w := s.join(cameraJoin("Door"))
	session := NewSession()
	offer := Message{Type: TypeOffer, To: w.ID, Session: session, SDP: "v=0 early", Rate: 350_000}
	v := s.early(subprotocol, wordsOf(t, viewerJoin(), offer))
	if got := v.ws.Subprotocol(); got != subprotocol {
		t.Errorf("the server speaks %q", got)
	}
	welcome := v.want(TypeWelcome)
	if m := camera.want(TypeOffer); m.From != welcome.ID || m.Session != session || m.SDP != offer.SDP || m.Rate != offer.Rate {
		t.Fatalf("the early offer arrives as %s", show(m))
	}
	// what comes in frames comes after it
	v.send(Message{Type: TypeBye, To: w.ID, Session: session, Code: CodeLeft})
	camera.want(TypeBye)
	camera.send(Message{Type: TypeBye, To: welcome.ID, Session: session, Code: CodeEnded})
	v.want(TypeBye)

	// one that is wrong is answered as a frame is
	v = s.early(subprotocol, wordsOf(t, viewerJoin(), Message{Type: TypeOffer, To: "nobody", Session: session, SDP: "v=0"}, Message{Type: "nonsense"}))
	v.want(TypeWelcome)
	codes := map[string]bool{}
	for range 2 {
		codes[v.want(TypeError).Code] = true
	}
	if !codes[CodeNoSuchPeer] || !codes[CodeBadMessage] {
		t.Errorf("wrong words are answered with %v", codes)
	}
	for _, subprotocols := range [][]string{{subprotocol}, {subprotocol, packWords(t, "[]")}} {
		v = s.early(subprotocols...)
		v.send(viewerJoin())
		v.want(TypeWelcome)
	}
}

func TestEarlyWordsThatAreRefused(t *testing.T) {
	s := startServer(t, ServerConfig{})
	s.join(cameraJoin("Door"))
	stranger := viewerJoin()
	stranger.Token = ""
	for what, c := range map[string]struct{ words, code string }{
		"not base64":         {"a!", CodeBadMessage},
		"padded":             {packWords(t, "[ ]") + "=", CodeBadMessage},
		"not packed":         {base64.RawURLEncoding.EncodeToString([]byte(`[{"type":"ping"}]`)), CodeBadMessage},
		"cut off":            {wordsOf(t, viewerJoin())[:12], CodeBadMessage},
		"not JSON":           {packWords(t, "hello"), CodeBadMessage},
		"no array":           {packWords(t, `{"type":"join"}`), CodeBadMessage},
		"no messages":        {packWords(t, `[1]`), CodeBadMessage},
		"not UTF-8":          {packWords(t, "[\"\xff\"]"), CodeBadMessage},
		"no join":            {packWords(t, `[{"type":"ping"}]`), CodeBadMessage},
		"three subprotocols": {wordsOf(t, viewerJoin()) + ", more", CodeBadMessage},
		"long":               {strings.Repeat("A", maxEarly+1), CodeTooLarge},
		"a bomb":             {packWords(t, "["+strings.Repeat(" ", maxMessage)+"]"), CodeTooLarge},
		"too many":           {packWords(t, "["+strings.Repeat("1,", 1000)+"1]"), CodeBadMessage},
		"another's room":     {wordsOf(t, stranger), CodeForbidden},
	} {
		v := s.early(subprotocol, c.words)
		t.Log(what)
		v.wantError(c.code, true)
	}

	// the rules for frames hold
	v := s.early(subprotocol, wordsOf(t, append([]Message{viewerJoin()}, make([]Message, maxFaults)...)...))
	v.want(TypeWelcome)
	for i := range maxFaults {
		v.wantError(CodeBadMessage, i == maxFaults-1)
	}
	pings := make([]Message, viewerBurst+50)
	for i := range pings {
		pings[i].Type = TypePing
	}
	v = s.early(subprotocol, wordsOf(t, append([]Message{viewerJoin()}, pings...)...))
	for {
		m := v.receive()
		if m.Type == TypeError {
			if m.Code != CodeRateLimited {
				t.Errorf("many at once: %s", show(m))
			}
			break
		}
	}
	v = s.socketFrom(http.Header{"Origin": {"https://evil.example"}, "Sec-WebSocket-Protocol": {subprotocol + "," + wordsOf(t, viewerJoin())}})
	v.wantError(CodeForbidden, true)
}

// A list of other protocols is none of ours.
func TestOtherSubprotocolsAreNotChosen(t *testing.T) {
	s := startServer(t, ServerConfig{})
	v := s.early("chat", subprotocol)
	if got := v.ws.Subprotocol(); got != "" {
		t.Errorf("the server speaks %q", got)
	}
	v.send(viewerJoin())
	v.want(TypeWelcome)
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
	for _, seed := range []string{"", "peercam", "peercam, ", "chat, peercam", "peercam," + packWords(f, `[{"type":"ping"},1]`), "peercam, AAAA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		frames, known, bad := earlyWords(header)
		if bad != nil && (!known || frames != nil || bad.Code != CodeBadMessage && bad.Code != CodeTooLarge) {
			t.Fatalf("%q: %d frames, known %v, %v", header, len(frames), known, bad)
		}
		size := 0
		for _, frame := range frames {
			size += len(frame)
			_, _ = decode(frame)
		}
		if size > maxMessage {
			t.Fatalf("%d bytes came of %d", size, len(header))
		}
	})
}
