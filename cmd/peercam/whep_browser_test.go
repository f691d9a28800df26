package main

import (
	_ "embed"
	"testing"
)

// whepPlayer is a player of a few lines, as somebody may write one: it trickles, and
// restarts ICE, by PATCH.
//
//go:embed testdata/whep.js
var whepPlayer string

func TestAPageOfOnesOwnPlaysByWHEP(t *testing.T) {
	p := share(t)
	v := open(t, p.at("/"))
	js[bool](v, "(() => { %s; return Boolean(window.player = new Player(%q, %q)) })()", whepPlayer, p.at("/whep/kitchen"), p.token())
	js[bool](v, "player.play().then(() => true)")
	v.until("player.trickled > 0 && player.pc.connectionState === 'connected'")
	frames := func() int {
		return js[int](v, "player.pc.getStats().then((all) => [...all.values()].find((r) => r.type === 'inbound-rtp' && r.kind === 'video')?.framesDecoded ?? 0)")
	}
	eventually(t, "pictures come", func() bool { return frames() > 0 })
	before := js[string](v, "player.etag")
	if got := js[int](v, "player.restart()"); got != 200 {
		t.Fatalf("the restart was answered with %d", got)
	}
	if js[string](v, "player.etag") == before {
		t.Error("the ETag names two ICE sessions")
	}
	// Pictures that come now have come by the new ICE session.
	v.until("player.pc.iceGatheringState === 'complete' && player.pc.iceConnectionState === 'connected'")
	eventually(t, "the new pair of candidates carries the picture", func() bool {
		return js[bool](v, "player.carriedBy(player.ufrag)")
	})
	seen := frames()
	eventually(t, "pictures come after the restart", func() bool { return frames() > seen })
	if n := p.metric("peercam_viewers"); n != 1 {
		t.Errorf("%v sessions, want the one that there was", n)
	}
	if got := js[int](v, "player.stop()"); got != 200 {
		t.Errorf("DELETE was answered with %d", got)
	}
	eventually(t, "the session ends", func() bool { return p.metric("peercam_viewers") == 0 })
}
