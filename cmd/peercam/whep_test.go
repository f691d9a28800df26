package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// player watches by WHEP, as other programs do.
type player struct {
	t      testing.TB
	tracks chan *webrtc.TrackRemote
	url    string
	status int
	reason string
	where  string // of the session, once it plays
}

// play posts an offer to a WHEP URL.
func play(t testing.TB, url string, header ...string) *player {
	t.Helper()
	p := &player{t: t, tracks: make(chan *webrtc.TrackRemote, 2), url: url}
	pc := newPeer(t)
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { p.tracks <- track })
	resp, body, err := whep(pc, url, header...)
	if err != nil {
		t.Fatal(err)
	}
	p.status, p.reason, p.where = resp.StatusCode, body, resp.Header.Get("Location")
	return p
}

// whep offers by WHEP and takes the answer, if there is one.
func whep(pc *webrtc.PeerConnection, url string, header ...string) (*http.Response, string, error) {
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return nil, "", err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		return nil, "", err
	}
	<-gathered
	resp, body, err := fetch(http.MethodPost, url, pc.LocalDescription().SDP, append(header, "Content-Type: application/sdp")...)
	if err == nil && resp.StatusCode == http.StatusCreated {
		err = pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: body})
	}
	return resp, body, err
}

// watch waits for the ends of some frames of video, and a packet of sound.
func (p *player) watch() {
	p.t.Helper()
	if p.status != http.StatusCreated {
		p.t.Fatalf("POST %s: %d %s", p.url, p.status, p.reason)
	}
	for range 2 {
		select {
		case track := <-p.tracks:
			frames := 0
			_ = track.SetReadDeadline(time.Now().Add(patience))
			for frames < 5 {
				packet, _, err := track.ReadRTP()
				if err != nil {
					p.t.Fatalf("%d frames of %s came, then: %v", frames, track.Kind(), err)
				}
				if packet.Marker || track.Kind() == webrtc.RTPCodecTypeAudio {
					frames++
				}
			}
		case <-time.After(patience):
			p.t.Fatal("no track came")
		}
	}
}

// refused fails the test if the status is not the one.
func (p *player) refused(status int) {
	p.t.Helper()
	if p.status != status || strings.TrimSpace(p.reason) == "" {
		p.t.Errorf("POST %s got %d %q, want %d and a reason", p.url, p.status, p.reason, status)
	}
}

func TestPlayersWatchByWHEP(t *testing.T) {
	p := share(t)
	url := p.at("/whep/kitchen")
	play(t, url).refused(http.StatusUnauthorized)
	play(t, url, "Authorization: Bearer AAAAAAAAAAAAAAAAAAAAAA").refused(http.StatusUnauthorized)
	play(t, url, "Authorization: Bearer "+p.key).refused(http.StatusUnauthorized) // the key is not the token
	p.unopened()

	one := play(t, url, "Authorization: Bearer "+p.token())
	one.watch()
	if n := p.metric("peercam_viewers"); n != 1 {
		t.Errorf("%v viewers, want 1", n)
	}
	if resp, _ := request(t, http.MethodDelete, p.at(one.where), ""); resp.StatusCode != http.StatusOK {
		t.Errorf("DELETE %s: %s", one.where, resp.Status)
	}
	eventually(t, "the session ends", func() bool { return p.metric("peercam_viewers") == 0 })
	if resp, _ := request(t, http.MethodDelete, p.at(one.where), ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a second DELETE %s: %s", one.where, resp.Status)
	}
}

func TestWHEPThroughAnotherServerNeedsAnOpenRoom(t *testing.T) {
	server := serve(t, "127.0.0.1:0")
	closed := shareOn(t, server.ws())
	opened := shareOn(t, server.ws(), "--open", "--room", "garden")
	eventually(t, "both cameras are there", server.present(2, 0))
	play(t, server.at("/whep/kitchen")).refused(http.StatusUnauthorized)
	// The server knows the token, so it cannot be worth a proof.
	play(t, server.at("/whep/kitchen"), "Authorization: Bearer "+closed.token()).refused(http.StatusForbidden)
	play(t, server.at("/whep/garden")).watch()
	if said := closed.stderr.String(); strings.Contains(said, "source opened") {
		t.Error("the camera was opened for a player that was refused")
	}
	if said := opened.stderr.String(); !strings.Contains(said, "--open: there is no key") {
		t.Error("an open room is not warned of")
	}
}
