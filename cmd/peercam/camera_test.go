package main

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/peercam/peercam/signaling"
)

// A viewer may offer, leave and offer again under one id faster than the first
// session ends: both ends must be survived, and both told.
func TestASessionMayEndTwice(t *testing.T) {
	var told []string
	c := newCamera("kitchen", "test", nil, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
	c.send = func(m signaling.Message) error { told = append(told, m.Type+" "+m.Code); return nil }
	n := &negotiation{c: c, id: signaling.NewSession(), ended: make(chan struct{})}
	n.end("left", "gone")
	n.end("failed", "never came")
	if len(told) != 2 || told[0] != "bye left" || told[1] != "bye failed" {
		t.Errorf("told %q", told)
	}
	<-n.ended
}

// A server forgets a session whose camera went away and does not speak of it: on a
// new connection the camera says once which are its own.
func TestACameraThatComesBackSpeaksOfItsSessions(t *testing.T) {
	found := &webrtc.ICECandidateInit{Candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host"}
	for _, c := range []struct {
		what     string
		answered bool
		gathered []*webrtc.ICECandidateInit
		unasked  bool
		want     []string
	}{
		{"a session that runs", true, []*webrtc.ICECandidateInit{found, nil}, false, []string{"candidate v7 null"}},
		{"one that wants an ICE restart", true, []*webrtc.ICECandidateInit{found, nil}, true, []string{"restart v7 "}},
		{"one that still looks for candidates", true, []*webrtc.ICECandidateInit{found}, false, nil},
		{"one that is being answered", false, []*webrtc.ICECandidateInit{nil}, false, nil},
	} {
		var told []string
		cam := newCamera("kitchen", "test", nil, nil, slog.New(slog.DiscardHandler))
		cam.send = func(signaling.Message) error { return signaling.ErrClosed }
		n := &negotiation{c: cam, id: signaling.NewSession(), to: "v7", answered: c.answered, unasked: c.unasked}
		cam.sessions[n.id] = n
		for _, candidate := range c.gathered {
			n.localCandidate(candidate)
		}
		cam.send = func(m signaling.Message) error {
			told = append(told, fmt.Sprintf("%s %s %s", m.Type, m.To, m.Candidate))
			return nil
		}
		cam.handle(signaling.Message{Type: signaling.TypeWelcome})
		if !slices.Equal(told, c.want) {
			t.Errorf("%s: the server hears %q, want %q", c.what, told, c.want)
		}
	}
}
