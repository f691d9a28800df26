package peer

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/transport/v4/vnet"
	"github.com/pion/webrtc/v4"
)

// link is a virtual network between a camera and a viewer.
type link struct {
	router         *vnet.Router
	camera, viewer func(*webrtc.SettingEngine)
	loss           atomic.Int64 // percent of what the camera sends
	dropped        atomic.Int64
	swallowed      atomic.Int64 // NACKs
	noNACK         atomic.Bool  // nothing that asks for packets again comes through
}

func newLink(t *testing.T) *link {
	t.Helper()
	l := &link{}
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	l.router, err = vnet.NewRouter(&vnet.RouterConfig{CIDR: "10.1.0.0/24", MinDelay: 10 * time.Millisecond, QueueSize: 4096, LoggerFactory: logging.NewDefaultLoggerFactory()})
	check(err)
	end := func(ip string) func(*webrtc.SettingEngine) {
		n, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{ip}})
		check(err)
		check(l.router.AddNet(n))
		return func(s *webrtc.SettingEngine) { s.SetNet(n); s.SetIncludeLoopbackCandidate(false) }
	}
	l.camera, l.viewer = end("10.1.0.1"), end("10.1.0.2")
	random := rand.New(rand.NewPCG(1, 2)) // the router calls from one goroutine
	l.router.AddChunkFilter(func(c vnet.Chunk) bool {
		// Media only: a lost handshake packet costs a second and tells nothing.
		b := c.UserData()
		if len(b) > 0 && b[0]>>6 == 2 && c.SourceAddr().String()[:8] == "10.1.0.1" && random.Int64N(100) < l.loss.Load() {
			l.dropped.Add(1)
			return false
		}
		// Of SRTCP the first header is in the clear.
		if len(b) > 1 && b[0]>>6 == 2 && b[0]&0x1f == rtcp.FormatTLN && b[1] == byte(rtcp.TypeTransportSpecificFeedback) && l.noNACK.Load() {
			l.swallowed.Add(1)
			return false
		}
		return true
	})
	check(l.router.Start())
	t.Cleanup(func() {
		if err := l.router.Stop(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestLostPacketsAreSentAgain(t *testing.T) {
	l := newLink(t)
	s := newStage(t, Config{Settings: l.camera})
	v := newViewer(t, l.viewer)
	v.watch(s.pub, "one")
	first := next(t, v.frames, "frame")
	l.loss.Store(5)
	for i := first.n + 1; i < first.n+120; i++ {
		if f := next(t, v.frames, "frame"); f.n != i || !f.whole {
			t.Fatalf("frame %d (whole: %v), want %d whole", f.n, f.whole, i)
		}
	}
	if l.dropped.Load() < 10 {
		t.Fatalf("the link dropped %d packets: it tested nothing", l.dropped.Load())
	}
	if st := s.pub.Stats(); len(st) != 1 || st[0].Resent == 0 {
		t.Errorf("statistics tell of no packet sent again: %+v", st)
	}
}

// Requests are lost as well, and what is sent in answer: the reports of what
// arrived tell of both.
func TestWhatIsReportedLostIsSentAgain(t *testing.T) {
	l := newLink(t)
	l.noNACK.Store(true)
	s := newStage(t, Config{Settings: l.camera})
	v := newViewer(t, l.viewer)
	v.watch(s.pub, "one")
	first := next(t, v.frames, "frame")
	l.loss.Store(10)
	for i := first.n + 1; i < first.n+120; i++ {
		if f := next(t, v.frames, "frame"); f.n != i || !f.whole {
			t.Fatalf("frame %d (whole: %v), want %d whole", f.n, f.whole, i)
		}
	}
	if l.dropped.Load() < 20 || l.swallowed.Load() == 0 {
		t.Fatalf("the link dropped %d packets and %d requests: it tested nothing", l.dropped.Load(), l.swallowed.Load())
	}
}

// After an outage a viewer begins anew: nothing of before is sent again, to be shown
// late.
func TestAfterAnOutageNothingOldIsSent(t *testing.T) {
	l := newLink(t)
	s := newStage(t, Config{Settings: l.camera})
	v := newViewer(t, l.viewer)
	v.watch(s.pub, "one")
	for range 30 {
		next(t, v.frames, "frame")
	}
	l.loss.Store(100)
	deadline := time.After(wait)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for s.pub.Stats()[0].FramesDropped < 30 {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatal("the camera goes on sending to where nothing arrives")
		}
	}
	for len(v.frames) > 0 {
		<-v.frames
	}
	before := s.pub.Stats()[0].Resent
	l.loss.Store(0)
	for f := next(t, v.frames, "frame"); !f.key || !f.whole; f = next(t, v.frames, "frame") {
		if f.whole {
			t.Errorf("frame %d comes after the outage, and before a key frame", f.n)
		}
	}
	for range 10 {
		next(t, v.frames, "frame")
	}
	if n := s.pub.Stats()[0].Resent; n != before {
		t.Errorf("%d packets were sent again, which nobody needs any more", n-before)
	}
}

// Who sees nothing for now asks for no key frames, which others would pay for.
func TestAPausedViewerAsksForNothing(t *testing.T) {
	s := newStage(t, Config{})
	v, other := newViewer(t, nil), newViewer(t, nil)
	v.watch(s.pub, "one")
	other.watch(s.pub, "two")
	for range 30 {
		next(t, v.frames, "frame")
		next(t, other.frames, "frame")
	}
	v.ask(`{"type":"view","width":0,"height":0,"choice":"auto"}`)
	for !strings.Contains(next(t, v.said, "word"), `"paused":true`) {
	}
	before := s.video.asked()
	for range 100 {
		next(t, other.frames, "frame")
	}
	if n := s.video.asked() - before; n > 0 {
		t.Errorf("%d key frames were asked for", n)
	}
}

func TestHeavyLossLowersTheRate(t *testing.T) {
	l := newLink(t)
	s := newStage(t, Config{Settings: l.camera})
	v := newViewer(t, l.viewer)
	v.watch(s.pub, "one")
	next(t, v.frames, "frame")
	l.loss.Store(40)
	deadline := time.After(wait)
	for s.pub.VideoRate() > 800_000 {
		select {
		case <-v.frames:
		case <-v.sound:
		case <-deadline:
			t.Fatalf("the encoder still makes %d bit/s over a link that loses 40 %%", s.pub.VideoRate())
		}
	}
}

func TestAnUnreachableViewerIsGivenUp(t *testing.T) {
	l := newLink(t)
	s := newStage(t, Config{Settings: func(e *webrtc.SettingEngine) {
		l.camera(e)
		e.SetICETimeouts(200*time.Millisecond, 300*time.Millisecond, 50*time.Millisecond)
	}})
	v := newViewer(t, l.viewer)
	v.watch(s.pub, "one")
	next(t, v.frames, "frame")
	l.router.AddChunkFilter(func(vnet.Chunk) bool { return false })
	if code := next(t, v.ended, "end"); code != "failed" {
		t.Errorf("ended with %q, want failed", code)
	}
}
