package main

import (
	"testing"
	"time"

	"github.com/peercam/peercam/signaling"
)

// A camera asks its own servers, and those that its signaling server told of
// last, each once.
func TestTheCameraTakesServersFromSignaling(t *testing.T) {
	life := 0
	h := &iceHelpers{own: func(user string, _ time.Time) ([]signaling.ICEServer, time.Time) {
		life++
		return []signaling.ICEServer{{URLs: []string{"stun:a"}}, {URLs: []string{"turn:b"}, Username: user, Credential: string(rune('0' + life))}}, time.Time{}
	}}
	heard := 0
	handle := h.hear(func(signaling.Message) { heard++ })
	if got := h.list(); len(got) != 2 || got[1].Credential != "1" {
		t.Errorf("before anything was told: %+v", got)
	}
	handle(signaling.Message{Type: signaling.TypeWelcome, ICEServers: []signaling.ICEServer{{URLs: []string{"stun:a", "stun:c"}}, {URLs: []string{"turn:d"}, Username: "u", Credential: "old"}}})
	handle(signaling.Message{Type: signaling.TypeICEServers, ICEServers: []signaling.ICEServer{{URLs: []string{"stun:a", "stun:c"}}, {URLs: []string{"turn:d"}, Username: "u", Credential: "new"}}})
	handle(signaling.Message{Type: signaling.TypeOffer})
	got := h.list()
	if len(got) != 4 || got[1].Credential != "2" || len(got[2].URLs) != 1 || got[2].URLs[0] != "stun:c" || got[3].Credential != "new" {
		t.Errorf("got %+v", got)
	}
	if heard != 3 {
		t.Errorf("%d of 3 messages went on", heard)
	}
}
