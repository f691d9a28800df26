package main

import (
	"io"
	"log/slog"
	"testing"

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
