package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/peercam/peercam/signaling"
)

func TestAnotherKeyIsRefused(t *testing.T) {
	p := share(t)
	link := strings.Replace(p.first, p.key, strings.TrimPrefix(signaling.NewKey().Fragment(), "k="), 1)
	v := open(t, link)
	v.state("refused")
	v.reads("This link does not fit")
	if got := js[[]string](v, "probe.received.map((m) => m.type)"); len(got) == 0 || slices.ContainsFunc(got, func(kind string) bool { return kind != "error" }) {
		t.Errorf("who holds no key received %q", got)
	}
	p.unopened()
}

func TestNoKeyIsRefused(t *testing.T) {
	p := share(t)
	link, _, _ := strings.Cut(p.first, "#")
	v := open(t, link)
	v.state("refused")
	v.reads("This link is not complete")
	p.unopened()
}

// unopened fails the test if camera or microphone was ever opened.
func (s *site) unopened() {
	s.t.Helper()
	for _, name := range []string{"peercam_camera_open", "peercam_microphone_open", "peercam_frames_captured_total", "peercam_viewers"} {
		if n := s.metric(name); n != 0 {
			s.t.Errorf("%s is %v", name, n)
		}
	}
}

// Somebody who knows the room token, as a signaling server does, but not the key.
func TestWithoutAProofNothingIsRevealed(t *testing.T) {
	p := share(t)
	key, other := p.secret(), signaling.NewKey()
	for _, forgery := range []struct {
		name, code string
		forge      func(h signaling.Handshake, m *signaling.Message)
	}{
		{"no proof", signaling.CodeProof, func(_ signaling.Handshake, m *signaling.Message) { m.Proof = "" }},
		{"nonsense", signaling.CodeProof, func(_ signaling.Handshake, m *signaling.Message) { m.Proof = "x\n" }},
		{"another key", signaling.CodeProof, func(h signaling.Handshake, m *signaling.Message) { m.Proof = other.OfferProof(h) }},
		{"the camera's proof", signaling.CodeProof, func(h signaling.Handshake, m *signaling.Message) { m.Proof = key.AnswerProof(h) }},
		{"another session", signaling.CodeProof, func(_ signaling.Handshake, m *signaling.Message) { m.Session = signaling.NewSession() }},
		{"another room", signaling.CodeProof, func(h signaling.Handshake, m *signaling.Message) {
			h.Room = "garden"
			m.Proof = key.OfferProof(h)
		}},
		{"an older nonce", signaling.CodeProof, func(h signaling.Handshake, m *signaling.Message) {
			h.Nonce = signaling.NewNonce()
			m.Proof = key.OfferProof(h)
		}},
		{"a server in between", signaling.CodeProof, func(h signaling.Handshake, m *signaling.Message) {
			m.SDP = strings.ReplaceAll(m.SDP, h.Viewer, otherFingerprint(h.Viewer))
		}},
		{"a server in between that hides", signaling.CodeBadOffer, func(h signaling.Handshake, m *signaling.Message) {
			m.SDP += "a=fingerprint:sha-256 " + otherFingerprint(h.Viewer) + "\r\n"
		}},
		{"a claim to be a player", signaling.CodeProof, func(_ signaling.Handshake, m *signaling.Message) { m.Proof, m.Bearer = "", true }},
	} {
		t.Run(forgery.name, func(t *testing.T) {
			c := call(t, p.ws(), signaling.Message{Role: signaling.RoleViewer, Room: "kitchen", Token: key.Token()})
			offer := c.offer(key)
			forgery.forge(c.handshake, &offer)
			c.say(offer)
			bye := c.hear(signaling.TypeBye)
			if bye.Code != forgery.code || bye.Session != offer.Session || bye.Message == "" {
				t.Errorf("got %+v, want a bye with code %s and a reason", bye, forgery.code)
			}
			c.revealedNothing()
		})
	}
	p.unopened()
}

func otherFingerprint(fingerprint string) string {
	const digits = "0123456789ABCDEF0"
	return strings.Map(func(r rune) rune {
		if i := strings.IndexRune(digits, r); i >= 0 {
			return rune(digits[i+1])
		}
		return r
	}, fingerprint)
}

func TestAnOfferIsNotPlayedAgain(t *testing.T) {
	p := share(t)
	join := signaling.Message{Role: signaling.RoleViewer, Room: "kitchen", Token: p.token()}
	c := call(t, p.ws(), join)
	offer := c.offer(p.secret())
	c.say(offer)
	answer := c.hear(signaling.TypeAnswer)
	c.handshake.Camera, _ = signaling.Fingerprint(answer.SDP)
	if !p.secret().VerifyAnswer(c.handshake, answer.Proof) {
		t.Error("the camera's proof is wrong")
	}
	c.say(signaling.Message{Type: signaling.TypeBye, To: offer.To, Session: offer.Session, Code: signaling.CodeLeft})
	eventually(t, "the session ends", func() bool { return p.metric("peercam_viewers") == 0 })

	again := call(t, p.ws(), join)
	again.say(offer)
	if bye := again.hear(signaling.TypeBye); bye.Code != signaling.CodeProof {
		t.Errorf("an offer played again got %+v", bye)
	}
	again.revealedNothing()
}

// A server that lets its own camera into the room: it knows the token, but not
// the key.
func TestThePageRefusesAnImpostor(t *testing.T) {
	server := serve(t, "127.0.0.1:0")
	key, wrong := signaling.NewKey(), signaling.NewKey()
	for room, prove := range map[string]func(signaling.Handshake) string{
		"another-key":   wrong.AnswerProof,
		"no-proof":      func(signaling.Handshake) string { return "" },
		"viewers-proof": key.OfferProof,
	} {
		t.Run(room, func(t *testing.T) {
			c := call(t, server.ws(), signaling.Message{Role: signaling.RoleCamera, Room: room, Token: key.Token(), Name: "impostor", Nonce: signaling.NewNonce()})
			v := open(t, server.at("/"+room)+"#"+key.Fragment())
			offer := c.hear(signaling.TypeOffer)
			c.say(c.answer(offer, prove))
			v.state("refused")
			if code := js[string](v, "document.documentElement.dataset.code"); code != signaling.CodeProof {
				t.Errorf("the page gives %q as the reason", code)
			}
			v.reads("Not connected, to be safe")
			if n := js[int](v, "probe.answersUsed"); n != 0 {
				t.Errorf("the answer was used %d times", n)
			}
		})
	}
}

// caller is a peer in a room that can say whatever it likes.
type caller struct {
	t         *testing.T
	conn      signaling.Conn
	join      signaling.Message
	welcome   signaling.Message
	heard     []signaling.Message
	messages  chan signaling.Message
	handshake signaling.Handshake // of its offer
}

// call joins a room.
func call(t *testing.T, server string, join signaling.Message) *caller {
	t.Helper()
	dial, err := signaling.DialURL(server)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{t: t, conn: conn, join: join, messages: make(chan signaling.Message, 256)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			m, err := conn.Receive()
			if err != nil {
				return
			}
			c.messages <- m
		}
	}()
	t.Cleanup(func() {
		conn.Close("", "")
		<-ended
	})
	join.Type, join.Version = signaling.TypeJoin, signaling.Version
	c.say(join)
	c.welcome = c.hear(signaling.TypeWelcome)
	return c
}

func (c *caller) say(m signaling.Message) {
	c.t.Helper()
	if err := c.conn.Send(m); err != nil {
		c.t.Fatal(err)
	}
}

// hear waits for a message of a type.
func (c *caller) hear(kind string) signaling.Message {
	c.t.Helper()
	late := time.After(patience)
	for {
		select {
		case m := <-c.messages:
			c.heard = append(c.heard, m)
			if m.Type == kind {
				return m
			}
		case <-late:
			c.t.Fatalf("no %s came, only %+v", kind, c.heard)
		}
	}
}

// revealedNothing fails the test if an answer or a candidate came.
func (c *caller) revealedNothing() {
	c.t.Helper()
	c.say(signaling.Message{Type: signaling.TypePing})
	c.hear(signaling.TypePong) // so that all that was on its way is here
	for _, m := range c.heard {
		if m.Type == signaling.TypeAnswer || m.Type == signaling.TypeCandidate {
			c.t.Errorf("the camera revealed %+v", m)
		}
	}
}

// offer is one that the camera would answer.
func (c *caller) offer(key signaling.Key) signaling.Message {
	c.t.Helper()
	if len(c.welcome.Cameras) == 0 {
		c.t.Fatal("no camera is in the room")
	}
	camera := c.welcome.Cameras[0]
	sdp, err := newPeer(c.t).CreateOffer(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	viewer, err := signaling.Fingerprint(sdp.SDP)
	if err != nil {
		c.t.Fatal(err)
	}
	c.handshake = signaling.Handshake{Room: c.join.Room, Session: signaling.NewSession(), Nonce: camera.Nonce, Viewer: viewer}
	return signaling.Message{Type: signaling.TypeOffer, To: camera.ID, Session: c.handshake.Session, SDP: sdp.SDP, Proof: key.OfferProof(c.handshake)}
}

// answer answers as a camera, with a proof of one's choice and a candidate.
func (c *caller) answer(offer signaling.Message, prove func(signaling.Handshake) string) signaling.Message {
	c.t.Helper()
	pc := newPeer(c.t)
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer.SDP}); err != nil {
		c.t.Fatal(err)
	}
	sdp, err := pc.CreateAnswer(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	h := signaling.Handshake{Room: c.join.Room, Session: offer.Session, Nonce: c.join.Nonce}
	h.Viewer, _ = signaling.Fingerprint(offer.SDP)
	h.Camera, _ = signaling.Fingerprint(sdp.SDP)
	candidate, _ := json.Marshal(webrtc.ICECandidateInit{Candidate: "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host"})
	c.say(signaling.Message{Type: signaling.TypeCandidate, To: offer.From, Session: offer.Session, Candidate: candidate})
	return signaling.Message{Type: signaling.TypeAnswer, To: offer.From, Session: offer.Session, SDP: sdp.SDP, Proof: prove(h)}
}

// newPeer is a connection of pion's that wants picture and sound.
func newPeer(t testing.TB) *webrtc.PeerConnection {
	t.Helper()
	pc, err := receiver()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pc.GracefulClose(); err != nil {
			t.Error(err)
		}
	})
	return pc
}

func receiver() (*webrtc.PeerConnection, error) {
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if err == nil {
			_, err = pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		}
	}
	return pc, err
}
