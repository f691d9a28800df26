package peer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// whipServer is an SFU's stand-in: it answers offers and watches what comes.
type whipServer struct {
	t       *testing.T
	http    *httptest.Server
	frames  chan struct{} // a packet of video
	deleted chan string
	asked   chan *http.Request // each of them, before it is answered
	answer  func(w http.ResponseWriter, r *http.Request) (done bool)

	mu    sync.Mutex
	peers []*webrtc.PeerConnection
}

func newWHIPServer(t *testing.T, answer func(http.ResponseWriter, *http.Request) bool) *whipServer {
	t.Helper()
	s := &whipServer{t: t, frames: make(chan struct{}, 1000), deleted: make(chan string, 10), asked: make(chan *http.Request, 100), answer: answer}
	s.http = httptest.NewServer(s)
	t.Cleanup(func() {
		s.http.CloseClientConnections()
		s.http.Close()
		s.drop()
	})
	return s
}

// drop ends the sessions without a word.
func (s *whipServer) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, pc := range s.peers {
		_ = pc.Close()
	}
	s.peers = nil
}

func (s *whipServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case s.asked <- r.Clone(context.Background()):
	default:
	}
	if s.answer != nil && s.answer(w, r) {
		return
	}
	switch r.Method {
	case http.MethodOptions:
		w.Header().Add("Link", `<stun:127.0.0.1:9>; rel="ice-server"`)
		w.WriteHeader(http.StatusNoContent)
	case http.MethodDelete:
		s.deleted <- r.URL.Path
	case http.MethodPost:
		s.take(w, r)
	}
}

func (s *whipServer) take(w http.ResponseWriter, r *http.Request) {
	offer, _ := io.ReadAll(r.Body)
	if !strings.Contains(string(offer), "a=sendonly") || strings.Contains(string(offer), "a=sendrecv") {
		s.t.Errorf("what is offered is not only sent: %s", offer)
	}
	m, ir := viewerEngine(s.t)
	var e webrtc.SettingEngine
	e.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(ir), webrtc.WithSettingEngine(e)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		s.t.Error(err)
		return
	}
	s.mu.Lock()
	s.peers = append(s.peers, pc)
	s.mu.Unlock()
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			if track.Kind() == webrtc.RTPCodecTypeVideo {
				select {
				case s.frames <- struct{}{}:
				default:
				}
			}
		}
	})
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(offer)}); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, _ := pc.CreateAnswer(nil)
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	<-gathered
	w.Header().Set("Content-Type", "application/sdp")
	w.Header().Set("Location", "/session/1")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, pc.LocalDescription().SDP)
}

// publish runs a WHIP until the test ends or stop is called.
func (s *stage) publish(url, token string) (w *WHIP, stop func()) {
	s.t.Helper()
	w, err := s.pub.NewWHIP(WHIPConfig{URL: url, Token: token})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	stop = func() { cancel(); <-done }
	s.t.Cleanup(stop)
	return w, stop
}

func TestPublishingByWHIP(t *testing.T) {
	server := newWHIPServer(t, nil)
	s := newStage(t, Config{})
	w, stop := s.publish(server.http.URL+"/live/whip?key=1", "secret")
	next(t, server.frames, "video")
	options, post := next(t, server.asked, "request"), next(t, server.asked, "request")
	if options.Method != http.MethodOptions || post.Method != http.MethodPost {
		t.Errorf("%s, then %s", options.Method, post.Method)
	}
	if h := post.Header; h.Get("Authorization") != "Bearer secret" || h.Get("Content-Type") != "application/sdp" || post.URL.RawQuery != "key=1" {
		t.Errorf("%v %v", post.URL, h)
	}
	if st := w.Status(); !st.Connected || st.Trouble != "" || st.Attempts != 1 {
		t.Errorf("%+v", st)
	}
	// A server is no viewer, and takes nobody's place.
	if n := s.pub.Viewers(); n != 0 {
		t.Errorf("%d viewers", n)
	}
	v := newViewer(t, nil)
	v.watch(s.pub, "one")
	next(t, v.sound, "sound")
	if st := s.pub.Stats(); len(st) != 2 || st[0].To == "" || st[1].To != "" {
		t.Errorf("%+v", st)
	}
	stop()
	if at := next(t, server.deleted, "goodbye"); at != "/session/1" {
		t.Errorf("deleted %s", at)
	}
}

func TestPublishingAgainAfterALoss(t *testing.T) {
	server := newWHIPServer(t, nil)
	s := newStage(t, Config{})
	s.publish(server.http.URL, "")
	next(t, server.frames, "video")
	server.drop()
	next(t, server.deleted, "goodbye")
	for len(server.frames) > 0 {
		<-server.frames
	}
	next(t, server.frames, "video of the second session")
}

func TestAMoveOfTheNetworkPublishesAgain(t *testing.T) {
	server := newWHIPServer(t, nil)
	s := newStage(t, Config{})
	w, _ := s.publish(server.http.URL, "")
	next(t, server.frames, "video")
	s.pub.Moved(Move{Slept: true})
	next(t, server.deleted, "goodbye")
	for posts := 0; posts < 2; {
		if next(t, server.asked, "request").Method == http.MethodPost {
			posts++
		}
	}
	if st := w.Status(); st.Trouble != "" {
		t.Errorf("%+v", st)
	}
}

func TestWHIPServersThatMisbehave(t *testing.T) {
	answer := func(kind, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "/session/x")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	status := func(code int, kind, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	redirect := func(to string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusTemporaryRedirect)
			return true
		}
	}
	const sdpHead = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
	for name, c := range map[string]struct {
		answer  func(http.ResponseWriter, *http.Request) bool
		says    string
		deletes bool
	}{
		"401":                         {status(401, "text/plain", "no such token\nsecond line"), "401 Unauthorized: no such token (is the token right?)", false},
		"404":                         {status(404, "text/html", "<html>"), "404 Not Found (is the URL the one for WHIP?)", false},
		"409 with a problem":          {status(409, "application/problem+json", `{"title":"Conflict","detail":"somebody publishes already"}`), "somebody publishes already", false},
		"500":                         {status(500, "text/plain", strings.Repeat("x", 10_000)), "500 Internal Server Error: xxx", false},
		"303":                         {status(303, "", ""), "303 See Other", false},
		"a page":                      {answer("text/html", "<html>"), `"text/html" instead of SDP`, true},
		"no SDP":                      {answer("application/sdp", "hello"), "instead of SDP", true},
		"half of SDP":                 {answer("application/sdp", sdpHead), "cannot be used", true},
		"endless SDP":                 {answer("application/sdp", sdpHead+strings.Repeat("a=x\r\n", 1<<20)), "more than 65536 bytes", true},
		"too many candidates":         {answer("application/sdp", sdpHead+strings.Repeat("a=candidate:1 1 udp 1 10.0.0.1 1 typ host\r\n", 100)), "100 candidates", true},
		"redirects for ever":          {redirect("/again"), "redirects more than 5 times", false},
		"redirects nowhere":           {redirect("file:///etc/passwd"), "no web address", false},
		"redirects to http elsewhere": {redirect("http://192.0.2.1/"), "it is not sent there", false},
		"hangs up":                    {func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, "reaching the WHIP server", false},
	} {
		t.Run(name, func(t *testing.T) {
			server := newWHIPServer(t, c.answer)
			s := newStage(t, Config{})
			w, stop := s.publish(server.http.URL, "secret")
			deadline := time.After(wait)
			for w.Status().Trouble == "" {
				select {
				case <-server.asked:
				case <-time.After(10 * time.Millisecond):
				case <-deadline:
					t.Fatal("no trouble")
				}
			}
			if said := w.Status().Trouble; !strings.Contains(said, c.says) || strings.Contains(said, "secret") || len(said) > 500 {
				t.Errorf("it says %q, want %q", said, c.says)
			}
			if c.deletes {
				next(t, server.deleted, "goodbye")
			}
			stop()
		})
	}
}

func TestAStallingWHIPServerHoldsNothingUp(t *testing.T) {
	release := make(chan struct{})
	server := newWHIPServer(t, func(_ http.ResponseWriter, r *http.Request) bool { <-release; return true })
	defer close(release)
	s := newStage(t, Config{})
	_, stop := s.publish(server.http.URL, "")
	next(t, server.asked, "request")
	v := newViewer(t, nil)
	v.watch(s.pub, "one")
	next(t, v.sound, "sound")
	stop()
}

func TestRedirectsAndTheToken(t *testing.T) {
	target := newWHIPServer(t, nil)
	server := newWHIPServer(t, nil)
	server.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || r.URL.Path == "/here" {
			return false
		}
		w.Header().Set("Location", "/here")
		w.WriteHeader(http.StatusPermanentRedirect)
		return true
	}
	s := newStage(t, Config{})
	s.publish(server.http.URL, "secret")
	next(t, server.frames, "video after a redirect")
	// Without a token there is none to be lost.
	server = newWHIPServer(t, func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Location", target.http.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	})
	newStage(t, Config{}).publish(server.http.URL, "")
	next(t, target.frames, "video after a redirect elsewhere")

	for _, c := range []struct {
		endpoint, to string
		may          bool
	}{
		{"https://a.example/x", "https://a.example/y", true},
		{"https://a.example/x", "https://b.example/y", true},
		{"https://a.example/x", "http://a.example/y", false},
		{"https://a.example/x", "http://b.example/y", false},
		{"http://a.example/x", "http://a.example/y", true},
		{"http://a.example/x", "http://a.example:81/y", false},
		{"http://a.example/x", "http://b.example/y", false},
		{"http://a.example/x", "https://b.example/y", true},
	} {
		at, _ := parseWHIP(c.endpoint)
		to, _ := at.Parse(c.to)
		client := newWHIPClient(at, "secret")
		if client.may(to) != c.may {
			t.Errorf("%s to %s: %v", c.endpoint, c.to, !c.may)
		}
		if _, err := client.follow(at, c.to); (err == nil) != c.may {
			t.Errorf("%s redirects to %s: %v", c.endpoint, c.to, err)
		}
	}
}

func TestWHIPURLs(t *testing.T) {
	p, err := NewPublisher(Config{Video: newFakeVideo(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for text, good := range map[string]bool{
		"https://example.org/live/whip": true, "http://127.0.0.1:8889/x/whip": true, "https://[2001:db8::1]/whip?key=x": true,
		"": false, "example.org": false, "ftp://example.org": false, "https://": false, "https://user:secret@example.org/": false, "https://example.org/#secret": false, "https://exa mple/secret": false,
	} {
		_, err := p.NewWHIP(WHIPConfig{URL: text})
		if (err == nil) != good || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWHIPWaits(t *testing.T) {
	for _, c := range []struct {
		failures int
		err      error
		want     time.Duration
	}{
		{0, io.EOF, time.Second}, {3, io.EOF, 8 * time.Second}, {1000, io.EOF, whipMost},
		{0, &whipError{status: 401}, whipRefused}, {0, &whipError{status: 503}, time.Second}, {0, &whipError{status: 429}, time.Second},
		{0, &whipError{status: 503, retryAfter: 7 * time.Second}, 7 * time.Second}, {0, &whipError{status: 503, retryAfter: time.Hour}, time.Minute},
		{2, fmt.Errorf("x: %w", &whipError{status: 503, retryAfter: time.Second}), 4 * time.Second},
	} {
		if got := whipWait(c.failures, c.err); got != c.want {
			t.Errorf("after %d failures, %v: %v, want %v", c.failures, c.err, got, c.want)
		}
	}
}

func TestICEServersOfLinks(t *testing.T) {
	for name, c := range map[string]struct {
		headers []string
		want    string
	}{
		"none":      {nil, "[]"},
		"RFC 9725":  {[]string{`<stun:stun.example.net>; rel="ice-server"`, `<turn:turn.example.net?transport=udp>; rel="ice-server"; username="user"; credential="myPassword"; credential-type="password"`}, "[{[stun:stun.example.net]  <nil> password} {[turn:turn.example.net?transport=udp] user myPassword password}]"},
		"one line":  {[]string{`<stun:a>; rel=ice-server, <https://x>; rel="next", <stun:b>;rel="ice-server"`}, "[{[stun:a]  <nil> password} {[stun:b]  <nil> password}]"},
		"quoted":    {[]string{`<turn:a>; username="u\"1,;"; credential="c\\"; rel="ice-server"`}, `[{[turn:a] u"1,; c\ password}]`},
		"malformed": {[]string{`<stun:a`, `stun:a; rel="ice-server"`, `<stun:a>; rel="ice-server`, `<http://a>; rel="ice-server"`, `<turn:a>; rel="ice-server"`, `<>; rel=ice-server`, `,,<`}, "[{[stun:a]  <nil> password}]"},
	} {
		if got := fmt.Sprint(iceLinks(c.headers)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if n := len(iceLinks([]string{strings.Repeat(`<stun:a>; rel="ice-server", `, 1000)})); n != maxLinks {
		t.Errorf("%d servers", n)
	}
}

func FuzzICELinks(f *testing.F) {
	f.Add(`<turn:a>; username="u\"1,;"; credential="c\\"; rel="ice-server", <stun:b>;rel=ice-server`)
	f.Add(`<stun:a`)
	f.Fuzz(func(t *testing.T, header string) {
		for _, s := range iceLinks([]string{header}) {
			if _, err := webrtc.NewAPI().NewICEGatherer(webrtc.ICEGatherOptions{ICEServers: []webrtc.ICEServer{s}}); err != nil {
				t.Errorf("%v: %v", s, err)
			}
		}
	})
}
