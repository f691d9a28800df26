package signaling

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

const (
	playerOffer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\na=candidate:9 1 udp 1 10.0.0.9 9 typ host\r\na=recvonly\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\n"
	cameraAnswer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=fingerprint:sha-256 AA\r\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=ice-ufrag:%[1]s\r\na=ice-pwd:bbbbbbbbbbbbbbbbbbbbbb\r\na=sendonly\r\na=candidate:1 1 udp 1 10.0.0.1 1 typ host\r\na=end-of-candidates\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=ice-ufrag:%[1]s\r\na=ice-pwd:bbbbbbbbbbbbbbbbbbbbbb\r\n"
	trickled = "a=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 2 10.0.0.2 2 typ host\r\na=end-of-candidates\r\n"
)

func restartWith(ufrag string) string {
	return strings.NewReplacer("abcd", ufrag, "aaaaaaaaaaaaaaaaaaaaaa", "cccccccccccccccccccccc").Replace(trickled)
}

// playing is a player whose offer was answered, and what its camera hears since.
type playing struct {
	*testServer
	camera         Conn
	heard          chan Message
	location, etag string
}

func startPlaying(t *testing.T, answer func(c Conn, offer Message)) *playing {
	t.Helper()
	s := startServer(t, ServerConfig{})
	p := &playing{testServer: s, camera: s.ownCamera(cameraJoin("x")), heard: make(chan Message, 100)}
	first := true
	go func() {
		for {
			m, err := p.camera.Receive()
			if err != nil {
				return
			}
			if m.Type == TypeOffer && (first || answer == nil) {
				_ = p.camera.Send(Message{Type: TypeAnswer, To: m.From, Session: m.Session, SDP: fmt.Sprintf(cameraAnswer, map[bool]string{true: "cam1", false: "cam2"}[first])})
			} else if m.Type == TypeOffer {
				answer(p.camera, m)
			}
			if !first {
				p.heard <- m
			}
			first = false
		}
	}()
	resp, body := s.request(http.MethodPost, "/whep/kitchen", testToken, playerOffer)
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status, body)
	}
	p.location, p.etag = resp.Header.Get("Location"), resp.Header.Get("ETag")
	return p
}

// patch sends a fragment; header is "Name: value" lines besides the usual.
func (p *playing) patch(match, body string, header ...string) (*http.Response, string) {
	p.t.Helper()
	req, _ := http.NewRequest(http.MethodPatch, p.http.URL+p.location, strings.NewReader(body))
	req.Header.Set("Content-Type", fragmentType)
	if match != "" {
		req.Header.Set("If-Match", match)
	}
	for _, h := range header {
		if name, value, ok := strings.Cut(h, ": "); ok {
			req.Header.Set(name, value)
		}
	}
	resp, err := p.http.Client().Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode >= 400 {
		var problem struct {
			Title, Detail string
			Status        int
		}
		if err := json.Unmarshal(text, &problem); err != nil || problem.Status != resp.StatusCode || problem.Title == "" || problem.Detail == "" || resp.Header.Get("Content-Type") != "application/problem+json" {
			p.t.Errorf("%s is no problem detail: %s", resp.Status, text)
		}
	}
	return resp, string(text)
}

func TestAPlayerTrickles(t *testing.T) {
	p := startPlaying(t, nil)
	if resp, body := p.patch(p.etag, trickled); resp.StatusCode != http.StatusNoContent || body != "" {
		t.Fatalf("%s %s", resp.Status, body)
	}
	if m := <-p.heard; m.Type != TypeCandidate || string(m.Candidate) != `{"candidate":"candidate:1 1 udp 2 10.0.0.2 2 typ host","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"abcd"}` {
		t.Errorf("the camera got %s", show(m))
	}
	if m := <-p.heard; m.Type != TypeCandidate || string(m.Candidate) != "null" {
		t.Errorf("the camera got %s", show(m))
	}
}

func TestAPlayerRestartsICE(t *testing.T) {
	p := startPlaying(t, nil)
	resp, body := p.patch("*", restartWith("efgh"))
	etag := resp.Header.Get("ETag")
	if resp.StatusCode != http.StatusOK || etag == "" || etag == p.etag || resp.Header.Get("Content-Type") != fragmentType {
		t.Fatalf("%s %v %s", resp.Status, resp.Header, body)
	}
	f, err := parseFragment(body)
	if err != nil || f.ufrag != "cam2" || f.pwd != strings.Repeat("b", 22) || len(f.candidates) != 1 || !f.end || f.candidates[0].mid != "0" || strings.Contains(body, "fingerprint") {
		t.Errorf("%v, %+v: %s", err, f, body)
	}
	offer := <-p.heard
	want := strings.NewReplacer("abcd", "efgh", strings.Repeat("a", 22), strings.Repeat("c", 22),
		"a=mid:0\r\n", "a=mid:0\r\na=candidate:1 1 udp 2 10.0.0.2 2 typ host\r\na=end-of-candidates\r\n", "a=mid:1\r\n", "a=mid:1\r\na=end-of-candidates\r\n",
		"a=candidate:9 1 udp 1 10.0.0.9 9 typ host\r\n", "").Replace(playerOffer)
	if offer.Type != TypeOffer || offer.SDP != want || "/whep/kitchen/"+offer.Session != p.location {
		t.Errorf("the camera got %s, want %s", offer.SDP, want)
	}
	// What belongs to the ICE session before is over.
	for name, c := range map[string]struct {
		match, body string
		status      int
	}{
		"its ETag":     {p.etag, restartWith("efgh"), http.StatusPreconditionFailed},
		"played again": {"*", trickled, http.StatusUnprocessableEntity},
	} {
		if resp, body := p.patch(c.match, c.body); resp.StatusCode != c.status {
			t.Errorf("%s: %s %s", name, resp.Status, body)
		}
	}
	if resp, _ := p.patch(etag, restartWith("efgh")); resp.StatusCode != http.StatusNoContent {
		t.Errorf("trickling after a restart: %s", resp.Status)
	}
}

func TestARestartThatTheCameraRefuses(t *testing.T) {
	p := startPlaying(t, func(c Conn, m Message) {
		_ = c.Send(Message{Type: TypeBye, To: m.From, Session: m.Session, Code: CodeBadOffer, Message: "because"})
	})
	if resp, body := p.patch("*", restartWith("efgh")); resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, "because") {
		t.Errorf("%s %s", resp.Status, body)
	}
	if resp, body := p.patch(p.etag, trickled); resp.StatusCode != http.StatusNoContent {
		t.Errorf("the session does not go on: %s %s", resp.Status, body)
	}
}

func TestARestartAsTheSessionEnds(t *testing.T) {
	p := startPlaying(t, func(c Conn, m Message) {
		_ = c.Send(Message{Type: TypeBye, To: m.From, Session: m.Session, Code: CodeEnded})
	})
	if resp, body := p.patch("*", restartWith("efgh")); resp.StatusCode != http.StatusNotFound {
		t.Errorf("%s %s", resp.Status, body)
	}
}

// joinAgain has the camera's program join once more, as after a change of network.
func (p *playing) joinAgain(name string) (c Conn, heard chan Message) {
	p.t.Helper()
	c, heard = p.ownCamera(cameraJoin(name)), make(chan Message, 10)
	go func() {
		for {
			m, err := c.Receive()
			if err != nil {
				return
			}
			if m.Type == TypeOffer {
				_ = c.Send(Message{Type: TypeAnswer, To: m.From, Session: m.Session, SDP: fmt.Sprintf(cameraAnswer, "cam3")})
			}
			heard <- m
		}
	}()
	return c, heard
}

func (p *playing) player() *player {
	return p.players.get(strings.TrimPrefix(p.location, "/whep/kitchen/"))
}

// awaitFollow waits until the player has turned from the camera that it had.
func (p *playing) awaitFollow(from string) {
	p.t.Helper()
	p.await("the player has followed", func(Stats) bool { return p.player().watched() != from })
}

// A camera whose network changed speaks under another id, before or after its old
// socket is gone.
func TestAPlayerFollowsItsCamera(t *testing.T) {
	for _, early := range []bool{true, false} {
		p := startPlaying(t, nil)
		was := p.player().watched()
		p.patch(p.etag, trickled) // tells the camera who its player is
		m := <-p.heard
		if !early {
			p.camera.Close("", "")
			p.await("the old socket is gone", func(st Stats) bool { return st.Cameras == 0 })
		}
		again, heard := p.joinAgain("renamed")
		_ = again.Send(Message{Type: TypeRestart, To: m.From, Session: m.Session})
		if early {
			p.camera.Close("", "")
		}
		p.awaitFollow(was)
		if resp, body := p.request(http.MethodDelete, p.location, "", ""); resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status, body)
		}
		if m := <-heard; m.Type != TypeBye {
			t.Errorf("the camera got %s", show(m))
		}
	}
}

// Media need no signaling: what plays goes on while its camera has no socket, and
// finds the camera again by its name.
func TestAPlayerOutlivesItsCamerasSocket(t *testing.T) {
	p := startPlaying(t, nil)
	was := p.player().watched()
	p.camera.Close("", "")
	p.await("the socket is gone", func(st Stats) bool { return st.Cameras == 0 })
	if resp, body := p.patch(p.etag, trickled); resp.StatusCode != http.StatusNoContent {
		t.Errorf("trickling: %s %s", resp.Status, body)
	}
	if resp, body := p.patch("*", restartWith("efgh")); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("restart: %s %s", resp.Status, body)
	}
	p.joinAgain("another")
	p.joinAgain("x")
	p.awaitFollow(was)
	if resp, body := p.patch("*", restartWith("efgh")); resp.StatusCode != http.StatusOK || !strings.Contains(body, "cam3") {
		t.Errorf("restart of the camera that came back: %s %s", resp.Status, body)
	}
}

func TestPatchesThatMakeNoSense(t *testing.T) {
	p := startPlaying(t, nil)
	many := strings.Repeat("a=candidate:1 1 udp 2 10.0.0.2 2 typ host\r\n", 60)
	for name, c := range map[string]struct {
		match, body string
		header      string
		status      int
	}{
		"no If-Match":        {"", trickled, "", 428},
		"another ETag":       {`"x"`, trickled, "", 412},
		"several ETags":      {`"x", ` + p.etag, trickled, "", 204},
		"another type":       {p.etag, trickled, "Content-Type: application/sdp", 415},
		"compressed":         {p.etag, trickled, "Content-Encoding: gzip", 415},
		"empty":              {p.etag, "", "", 400},
		"no SDP":             {p.etag, "hello", "", 400},
		"binary":             {p.etag, "a=\x00\xff", "", 400},
		"no credentials":     {p.etag, "m=video 9 x 0\r\na=mid:0\r\na=candidate:1 1 udp 2 10.0.0.2 2 typ host\r\n", "", 400},
		"no media":           {p.etag, strings.Replace(trickled, "m=video 9 UDP/TLS/RTP/SAVPF 0\r\n", "", 1), "", 400},
		"half a candidate":   {p.etag, strings.Replace(trickled, "typ host", "", 1), "", 400},
		"two sessions":       {p.etag, trickled + "a=ice-ufrag:efgh\r\n", "", 400},
		"a short password":   {p.etag, strings.Replace(trickled, strings.Repeat("a", 22), "aa", 1), "", 400},
		"an injected line":   {"*", strings.Replace(trickled, "abcd", "abcd\ra=x", 1), "", 400},
		"another password":   {p.etag, strings.Replace(trickled, strings.Repeat("a", 22), strings.Repeat("d", 22), 1), "", 422},
		"another section":    {p.etag, strings.Replace(trickled, "a=mid:0", "a=mid:7", 1), "", 422},
		"too many at a time": {p.etag, trickled + many + many, "", 400},
		"endless":            {p.etag, trickled + strings.Repeat("a=x\r\n", 1<<20), "", 413},
	} {
		if resp, body := p.patch(c.match, c.body, c.header); resp.StatusCode != c.status {
			t.Errorf("%s: %s %s", name, resp.Status, body)
		}
	}
	for _, want := range []int{204, 422} { // 1 was trickled, by "several ETags"
		if resp, body := p.patch(p.etag, trickled+many); resp.StatusCode != want {
			t.Errorf("60 more: %s %s", resp.Status, body)
		}
	}
	p.location = "/whep/kitchen/" + NewSession()
	if resp, _ := p.patch("*", trickled); resp.StatusCode != http.StatusNotFound {
		t.Errorf("no such session: %s", resp.Status)
	}
}

func TestWHEPNegotiatesTypes(t *testing.T) {
	for accept, want := range map[string]bool{
		"": true, "*/*": true, "application/sdp": true, "text/html, application/*;q=0.5": true,
		"text/html": false, "application/sdp;q=0": false, "application/json, text/plain": false, ";;;": false,
	} {
		s := startServer(t, ServerConfig{WHEPPatience: 1})
		req, _ := http.NewRequest(http.MethodPost, s.http.URL+"/whep/kitchen", strings.NewReader(sdpOffer))
		req.Header.Set("Content-Type", "application/sdp")
		if accept != "" {
			req.Header.Set("Accept", accept)
		}
		resp, err := s.http.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if (resp.StatusCode == http.StatusNotAcceptable) == want {
			t.Errorf("Accept: %s gets %s", accept, resp.Status)
		}
	}
}

// Who sends a body without end does not hold the server, nor others, up.
func TestABodyThatDribbles(t *testing.T) {
	p := startPlaying(t, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.http.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nIf-Match: *\r\nContent-Length: 1000\r\n\r\na=", p.location, fragmentType)
	if resp, body := p.patch(p.etag, trickled); resp.StatusCode != http.StatusNoContent {
		t.Errorf("%s %s", resp.Status, body)
	}
}

func FuzzFragment(f *testing.F) {
	f.Add(trickled)
	f.Add(restartWith("efgh"))
	f.Add("a=ice-lite\r\na=mid:\na=candidate:")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseFragment(text)
		if err != nil {
			return
		}
		offer := restarted(playerOffer, got)
		if ufrag, pwd, mids := iceOf(offer); ufrag != got.ufrag || pwd != got.pwd || len(mids) != 2 {
			t.Errorf("restarted: %q", offer)
		}
		if strings.Count(offer, "m=") < 2 || strings.ContainsAny(strings.ReplaceAll(offer, "\r\n", ""), "\r\n") {
			t.Errorf("restarted: %q", offer)
		}
		again, err := parseFragment(fragmentOf(offer))
		if err != nil || again.ufrag != got.ufrag {
			t.Errorf("%v: %q", err, fragmentOf(offer))
		}
	})
}
