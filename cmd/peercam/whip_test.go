package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// whipServer answers offers, and tells of what arrives.
func whipServer(t *testing.T) (url string, video, goodbyes chan string) {
	t.Helper()
	video, goodbyes = make(chan string, 100), make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodDelete:
			goodbyes <- r.Header.Get("Authorization")
		case http.MethodPost:
			offer, _ := io.ReadAll(r.Body)
			pc := newPeer(t)
			pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
				for {
					if _, _, err := track.ReadRTP(); err != nil {
						return
					}
					if track.Kind() == webrtc.RTPCodecTypeVideo {
						select {
						case video <- r.Header.Get("Authorization"):
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
			_ = pc.SetLocalDescription(answer)
			<-gathered
			w.Header().Set("Content-Type", "application/sdp")
			w.Header().Set("Location", "/session")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, pc.LocalDescription().SDP)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, video, goodbyes
}

func wait[T any](t *testing.T, c <-chan T, what string) (x T) {
	t.Helper()
	select {
	case x = <-c:
	case <-time.After(patience):
		t.Fatalf("no %s came", what)
	}
	return x
}

func TestPublishingToServersBesideViewers(t *testing.T) {
	one, video1, bye1 := whipServer(t)
	two, video2, bye2 := whipServer(t)
	p := share(t, "--whip", one+"/live?key=hidden", "--whip-token", "first", "--whip", two, "--whip-token", "second")
	if got := wait(t, video1, "video at the first"); got != "Bearer first" {
		t.Errorf("the first server was told %q", got)
	}
	if got := wait(t, video2, "video at the second"); got != "Bearer second" {
		t.Errorf("the second server was told %q", got)
	}
	v := open(t, p.first)
	v.live()
	if n := p.metric("peercam_viewers"); n != 1 {
		t.Errorf("%v viewers, want 1", n)
	}
	if n := p.metric("peercam_whip_connected"); n != 2 {
		t.Errorf("%v servers are published to, want 2", n)
	}
	p.stop()
	if a, b := wait(t, bye1, "goodbye"), wait(t, bye2, "goodbye"); a != "Bearer first" || b != "Bearer second" {
		t.Errorf("goodbyes with %q and %q", a, b)
	}
	for _, secret := range []string{"hidden", "Bearer", "=first", "=second"} {
		if strings.Contains(p.stderr.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestAServerThatRefusesIsShown(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "unknown stream", http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	p := share(t, "--whip", server.URL)
	p.logged("403 Forbidden: unknown stream")
	v := open(t, p.first)
	v.live()
}
