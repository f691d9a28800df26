package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// said is what the page said in frames, but for candidates and the like.
func said(v *view) []string {
	return js[[]string](v, "probe.sent.map((m) => m.type).filter((type) => type === 'join' || type === 'offer')")
}

// The page of an open room makes one offer, and shows one video.
func TestThePageOffersOnce(t *testing.T) {
	v := open(t, share(t, "--open").first)
	v.live()
	v.until("document.querySelector('.bar')")
	// on a busy machine it may seem to be far away, and then it says so with the handshake
	if got := said(v); len(got) > 0 && !slices.Equal(got, []string{"join", "offer"}) {
		t.Errorf("the page said %q", got)
	}
	if n := js[int](v, "document.querySelectorAll('video').length"); n != 1 {
		t.Errorf("there are %d videos of one camera", n)
	}
	v.clean()
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

// From afar the offer goes with the handshake. A proxy that knows no subprotocols
// keeps nobody from watching.
func TestAPageFromAfarOffersWithTheHandshake(t *testing.T) {
	p := share(t, "--open")
	proxy := p.proxy()
	for what, refuses := range map[string]bool{"a proxy": false, "a proxy without subprotocols": true} {
		var early atomic.Int32
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/kitchen" {
				time.Sleep(100 * time.Millisecond) // that is how far it is
			}
			if r.Header.Get("Sec-WebSocket-Protocol") != "" {
				early.Add(1)
				if refuses {
					http.Error(w, "no subprotocols here", http.StatusBadRequest)
					return
				}
			}
			proxy.ServeHTTP(w, r)
		}))
		t.Cleanup(front.Close)
		v := open(t, front.URL+"/kitchen")
		v.live()
		if n := early.Load(); n != 1 {
			t.Errorf("%s: %d handshakes with early words", what, n)
		}
		var want []string
		if refuses {
			want = []string{"join", "offer"}
		}
		if got := said(v); !slices.Equal(got, want) {
			t.Errorf("%s: the page said %q in frames", what, got)
		}
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
