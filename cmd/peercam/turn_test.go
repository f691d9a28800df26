package main

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/peercam/peercam/signaling"
)

// welcome joins as a viewer does and returns what it is told; it stays joined
// for the test.
func (s *site) welcome(room, token string) signaling.Message {
	s.t.Helper()
	dial, err := signaling.DialURL(s.ws())
	if err != nil {
		s.t.Fatal(err)
	}
	return s.welcomeBy(dial, room, token)
}

func (s *site) welcomeBy(dial func(context.Context) (signaling.Conn, error), room, token string) signaling.Message {
	s.t.Helper()
	conn, err := dial(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		conn.Close("", "")
		for err = nil; err == nil; { // until it is closed
			_, err = conn.Receive()
		}
	})
	_ = conn.Send(signaling.Message{Type: signaling.TypeJoin, Version: signaling.Version, Role: signaling.RoleViewer, Room: room, Token: token})
	m, err := conn.Receive()
	if err != nil || m.Type != signaling.TypeWelcome {
		s.t.Fatalf("%v, %+v", err, m)
	}
	return m
}

// only keeps the server whose URL ends so.
func only(ice []signaling.ICEServer, suffix string) []webrtc.ICEServer {
	for _, s := range ice {
		for _, u := range s.URLs {
			if strings.HasSuffix(u, suffix) {
				return []webrtc.ICEServer{{URLs: []string{u}, Username: s.Username, Credential: s.Credential}}
			}
		}
	}
	return nil
}

func TestPictureThroughTheBuiltInTURN(t *testing.T) {
	p := share(t, "--turn", "127.0.0.1:0")
	ice := p.welcome("kitchen", p.token()).ICEServers
	_, webPort, _ := strings.Cut(p.addr(), ":")
	for _, way := range []string{"?transport=udp", "?transport=tcp", ":" + webPort + "?transport=tcp"} {
		t.Run(way, func(t *testing.T) {
			servers := only(ice, way)
			if servers == nil {
				t.Fatalf("the welcome names no such server: %+v", ice)
			}
			v := &player{t: t, tracks: make(chan *webrtc.TrackRemote, 2), url: p.at("/whep/kitchen")}
			pc := newPeerOf(t, webrtc.Configuration{ICEServers: servers, ICETransportPolicy: webrtc.ICETransportPolicyRelay})
			pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { v.tracks <- track })
			resp, body, err := whep(pc, v.url, "Authorization: Bearer "+p.token())
			if err != nil {
				t.Fatal(err)
			}
			if links := strings.Join(resp.Header.Values("Link"), "\n"); resp.StatusCode == http.StatusCreated && !strings.Contains(links, `transport=udp>; rel="ice-server"; username="`) {
				t.Errorf("the Link headers name no relay: %s", links)
			}
			v.status, v.reason = resp.StatusCode, body
			v.watch()
			if n := p.metric("peercam_turn_relays"); n < 1 {
				t.Errorf("%v relays", n)
			}
			if n := p.metric("peercam_turn_bytes_total"); n < 1000 {
				t.Errorf("%v bytes went through the relay", n)
			}
		})
	}
}

// The page needs nothing but its link, and a browser that may only relay shows
// the picture.
func TestBrowserThroughTheBuiltInTURN(t *testing.T) {
	p := share(t, "--turn", "127.0.0.1:0", "--open")
	v := open(t, p.at("/"))
	width := js[int](v, `(async () => {
		const told = await new Promise((done) => {
			const ws = new WebSocket(%q);
			ws.onopen = () => ws.send(JSON.stringify({ type: 'join', version: 1, role: 'viewer', room: 'kitchen', token: '' }));
			ws.onmessage = ({ data }) => done(JSON.parse(data));
			globalThis.keep = ws;
		});
		const pc = new RTCPeerConnection({ iceServers: told.iceServers, iceTransportPolicy: 'relay', bundlePolicy: 'max-bundle' });
		pc.addTransceiver('video', { direction: 'recvonly' });
		const track = new Promise((done) => { pc.ontrack = (event) => done(event.track); });
		await pc.setLocalDescription();
		while (pc.iceGatheringState !== 'complete') await new Promise((done) => { pc.onicegatheringstatechange = done; });
		const resp = await fetch('/whep/kitchen', { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: pc.localDescription.sdp });
		await pc.setRemoteDescription({ type: 'answer', sdp: await resp.text() });
		const video = document.createElement("video");
		video.muted = true;
		video.srcObject = new MediaStream([await track]);
		video.play();
		await new Promise((done) => video.requestVideoFrameCallback(done));
		return video.videoWidth;
	})()`, p.ws()+"/ws")
	if width == 0 {
		t.Error("no picture")
	}
	if n := p.metric("peercam_turn_bytes_total"); n < 1000 {
		t.Errorf("%v bytes went through the relay", n)
	}
}

// newPeerOf is newPeer with ICE as it is told.
func newPeerOf(t testing.TB, c webrtc.Configuration) *webrtc.PeerConnection {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pc.GracefulClose(); err != nil {
			t.Error(err)
		}
	})
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	return pc
}
