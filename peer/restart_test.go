package peer

import (
	"strings"
	"testing"
)

func TestCandidatesOfARestartAreHeld(t *testing.T) {
	offer := "v=0\r\nm=video 9 x 96\r\na=mid:v\r\na=candidate:1 1 udp 1 10.0.0.1 1 typ host\r\na=end-of-candidates\r\nm=audio 9 x 111\r\na=candidate:2 1 udp 1 10.0.0.1 2 typ host\r\na=mid:a\r\n"
	without, held := holdCandidates(offer)
	if strings.Contains(without, "candidate") || strings.Count(without, "\r\n") != 5 {
		t.Errorf("left over: %q", without)
	}
	if len(held) != 2 || held[0].Candidate != "candidate:1 1 udp 1 10.0.0.1 1 typ host" || *held[0].SDPMid != "v" || *held[0].SDPMLineIndex != 0 || *held[1].SDPMLineIndex != 1 {
		t.Errorf("held: %+v", held)
	}
}

// The network of a session may change without a word, and with one.
func TestSessionsAskForARestart(t *testing.T) {
	s := newStage(t, Config{})
	v := newViewer(t, nil)
	asked := make(chan struct{}, 10)
	v.watchWith(s.pub, "one", Signal{Restart: func() { asked <- struct{}{} }})
	next(t, v.frames, "frame")
	session := (*s.pub.list.Load())[0]
	own := session.localAddr()
	if !own.IsValid() {
		t.Fatal("the session does not know its own address")
	}
	s.pub.Moved(Move{Here: addrs(own.String(), "192.0.2.1")})
	next(t, v.frames, "frame")
	if len(asked) > 0 && !own.IsLoopback() {
		t.Error("a session that goes on asks for a restart")
	}
	s.pub.Moved(Move{Here: addrs("192.0.2.1"), Slept: true})
	next(t, asked, "request for a restart")
}
