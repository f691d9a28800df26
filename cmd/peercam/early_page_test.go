package main

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// said is what the page said in frames, but for candidates and the like.
func said(v *view) []string {
	return js[[]string](v, "probe.sent.map((m) => m.type).filter((type) => type === 'join' || type === 'offer')")
}

// The page of a room makes one offer, over the connection that it came by, and shows
// one video.
func TestThePageOffersOnce(t *testing.T) {
	for what, args := range map[string][]string{
		"an open room": {"--open"},
		"a key":        nil,
		// credentials are told to who joins, and are in time for the offer
		"credentials": {"--ice-server", "turn:127.0.0.1:9", "--turn-secret", "secret"},
	} {
		t.Run(what, func(t *testing.T) {
			p := share(t, args...)
			v := open(t, p.first)
			v.live()
			v.until("document.querySelector('.bar')")
			if got := said(v); !slices.Equal(got, []string{"join"}) {
				t.Errorf("the page said %q in frames", got)
			}
			if n := js[int](v, "document.querySelectorAll('video').length"); n != 1 {
				t.Errorf("there are %d videos of one camera", n)
			}
			if n := js[int](v, "probe.peers.length"); n != 1 {
				t.Errorf("the page made %d peer connections", n)
			}
			if p.metric("peercam_viewers") != 1 {
				t.Errorf("%v viewers are in the room", p.metric("peercam_viewers"))
			}
			if what == "credentials" && !js[bool](v, "Boolean(probe.peers[0].getConfiguration().iceServers[0]?.credential)") {
				t.Error("the offer was made without the credentials")
			}
			v.clean()
		})
	}
}

// proxy stands before a program's server.
func (p *program) proxy() http.Handler {
	p.t.Helper()
	target, err := url.Parse(p.at("/"))
	if err != nil {
		p.t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
}

// Nobody is kept from watching by a proxy that lets nothing through but what a page
// and a WebSocket are, or holds everything back until it is whole.
func TestAPageBehindAProxyThatDislikesEarlyWords(t *testing.T) {
	p := share(t)
	proxy := p.proxy()
	for what, dislike := range map[string]func(w http.ResponseWriter, r *http.Request){
		"refuses POST":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "GET only", http.StatusMethodNotAllowed) },
		"answers itself": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<!doctype html>")) },
		"hangs up":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"holds back": func(w http.ResponseWriter, r *http.Request) {
			whole := httptest.NewRecorder()
			proxy.ServeHTTP(whole, r)
			maps.Copy(w.Header(), whole.Header())
			_, _ = w.Write(whole.Body.Bytes())
		},
	} {
		t.Run(what, func(t *testing.T) {
			var early atomic.Int32
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					early.Add(1)
					dislike(w, r)
					return
				}
				proxy.ServeHTTP(w, r)
			}))
			t.Cleanup(front.Close)
			v := open(t, front.URL+"/kitchen#k="+p.key)
			v.live()
			if n := early.Load(); n == 0 { // a browser tries again by itself when it is hung up on
				t.Error("the page said nothing early")
			}
			if n := js[int](v, "probe.peers.length"); n != 1 {
				t.Errorf("the page made %d peer connections", n)
			}
		})
	}
}

// A page's socket may be quicker than what it says by POST: then it still is one viewer,
// and says nothing that a camera makes nothing of without the offer.
func TestTheSocketOvertakesEarlyWords(t *testing.T) {
	for what, args := range map[string][]string{"an open room": {"--open"}, "a key": nil} {
		t.Run(what, func(t *testing.T) {
			p := share(t, args...)
			proxy := p.proxy()
			overtaken := make(chan struct{})
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					select {
					case <-overtaken:
					case <-r.Context().Done():
						return
					}
				}
				proxy.ServeHTTP(w, r)
			}))
			t.Cleanup(front.Close)
			link, err := url.Parse(p.first)
			if err != nil {
				t.Fatal(err)
			}
			link.Host = strings.TrimPrefix(front.URL, "http://")
			v := open(t, link.String())
			v.until("probe.received.some((m) => m.type === 'welcome')")
			v.until("probe.peers[0]?.iceGatheringState === 'complete'")
			v.until("document.querySelector('.tile')") // the rest of the page has taken over
			if got := js[[]string](v, "probe.sent.map((m) => m.type).filter((type) => type !== 'ping')"); !slices.Equal(got, []string{"join"}) {
				t.Errorf("before its offer is heard the page says %q", got)
			}
			close(overtaken)
			v.live()
			v.until("probe.sent.some((m) => m.type === 'candidate')")
			if n := p.metric("peercam_viewers"); n != 1 {
				t.Errorf("%v viewers are in the room", n)
			}
			if n := js[int](v, "probe.peers.length"); n != 1 {
				t.Errorf("the page made %d peer connections", n)
			}
			v.clean()
		})
	}
}

// Who leaves before the rest of the page has come has left all the same.
func TestWhoLeavesEarlySaysGoodbye(t *testing.T) {
	p := share(t, "--open")
	proxy := p.proxy()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Base(r.URL.Path) == "start.js" {
			<-r.Context().Done() // the rest does not come
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	v := open(t, front.URL+"/kitchen")
	v.until("document.querySelector('#first')?.videoWidth")
	v.goTo("about:blank")
	p.logged("code=left")
}
