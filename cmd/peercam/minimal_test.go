package main

import (
	"os"
	"strings"
	"testing"
)

// The page that is written from PROTOCOL.md alone, from the server's own place.
func TestTheMinimalPageShowsAnOpenRoom(t *testing.T) {
	p := share(t, "--open")
	v := open(t, p.at("/viewer/minimal.html?room=kitchen"))
	first := v.picture(0)
	if second := v.picture(0); second.Time <= first.Time {
		t.Errorf("the picture stands still: %d, then %d", first.Time, second.Time)
	}
	v.clean()
}

// From a disk a page has no origin that a server could know.
func TestTheMinimalPageFromElsewhere(t *testing.T) {
	page, err := os.ReadFile("../../signaling/viewer/minimal.html")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(page), "\n"); lines >= 60 {
		t.Errorf("it has %d lines", lines)
	}
	file := write(t, "minimal.html", page)
	allowed := start(t, environment{}, "serve", "--listen", "127.0.0.1:0", "--origin", "*")
	strict := serve(t, "127.0.0.1:0")
	for _, server := range []*program{allowed, strict} {
		shareOn(t, server.ws(), "--open")
	}
	v := open(t, "file://"+file+"?room=kitchen&server="+allowed.ws()+"/ws")
	v.picture(0)
	v = open(t, "file://"+file+"?room=kitchen&server="+strict.ws()+"/ws")
	v.until("document.querySelector('p').textContent.includes('may not use this server')")
}

func TestTheMinimalPageWaitsForACamera(t *testing.T) {
	server := serve(t, "127.0.0.1:0")
	v := open(t, server.at("/viewer/minimal.html?room=kitchen"))
	v.until("document.querySelector('p').textContent.includes('Waiting')")
	shareOn(t, server.ws(), "--open")
	v.picture(0)
}
