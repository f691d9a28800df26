package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A sound server that answers nobody any more takes the sound, and nothing else.
func TestTheSoundServerFreezes(t *testing.T) {
	v := open(t, "about:blank") // before there is a server that it would play to
	server, pactl := startPulse(t)
	plugTone(pactl)
	p := spawn(t, nil, "share", "--listen", freeAddr(t), "--camera", "test", "--mic", "ear", "--size", "640x360", "--no-stun",
		"--key-file", filepath.Join(t.TempDir(), "key"))
	v.goTo(p.first)
	v.live()
	v.click(soundButton)
	v.heard(0.02, 1)
	if err := server.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	v.heard(0, 0.001)
	v.moves(0)
	eventually(t, "it says so", func() bool { return strings.Contains(p.stderr.String(), "the sound system does not answer") })
	v.state("live")
	if code := p.signal(syscall.SIGTERM); code != exitDone {
		t.Errorf("share ended with code %d", code)
	}
}
