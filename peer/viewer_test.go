package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// watching is a Viewer that watches a stage.
type watching struct {
	*Viewer
	frames, sound chan Media
	ended         chan error
	leave         context.CancelFunc
}

func watchStage(t *testing.T, s *stage, adjust func(*webrtc.SettingEngine)) *watching {
	t.Helper()
	w := &watching{frames: make(chan Media, 1000), sound: make(chan Media, 10_000), ended: make(chan error, 1)}
	gathered := make(chan struct{})
	var err error
	w.Viewer, err = NewViewer(ViewerConfig{
		Video: func(m Media) { w.frames <- m }, Audio: func(m Media) { w.sound <- m }, Settings: adjust,
		Candidate: func(c *webrtc.ICECandidateInit) {
			if c == nil {
				close(gathered)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.leave = cancel
	over := make(chan struct{})
	go func() {
		defer close(over)
		w.ended <- w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	if _, err := w.Offer(false); err != nil {
		t.Fatal(err)
	}
	next(t, gathered, "end of the candidates")
	late, stop := context.WithTimeout(ctx, wait)
	defer stop()
	answer, err := s.pub.Answer(late, "one", w.pc.LocalDescription().SDP, false, Signal{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Answer(answer); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAViewerGetsEveryFrameOverALossyLink(t *testing.T) {
	l := newLink(t)
	w := watchStage(t, newStage(t, Config{Settings: l.camera}), l.viewer)
	first := next(t, w.frames, "frame")
	if !first.Key {
		t.Error("it does not begin with a key frame")
	}
	n := binary.BigEndian.Uint32(first.Data)
	l.loss.Store(5)
	last := first.Time
	for i := n + 1; i < n+120; i++ {
		m := next(t, w.frames, "frame")
		got := binary.BigEndian.Uint32(m.Data)
		if got < i || got > i && !m.Key {
			t.Fatalf("frame %d, want %d", got, i)
		}
		i = got // what a key frame makes up for is not sent again
		if !m.Time.After(last) {
			t.Errorf("frame %d was taken at %v, the one before at %v", i, m.Time, last)
		}
		last = m.Time
	}
	if st := w.Stats(); l.dropped.Load() < 10 || st.Lost == 0 {
		t.Errorf("the link dropped %d packets, the viewer tells of %+v", l.dropped.Load(), st)
	}
	sound := next(t, w.sound, "packet of sound")
	if apart := sound.Time.Sub(last); apart < -time.Minute || apart > time.Minute {
		t.Errorf("sound of %v, picture of %v", sound.Time, last)
	}
}

func TestAViewerHearsTheCameraAndItsEnd(t *testing.T) {
	s := newStage(t, Config{})
	w := watchStage(t, s, nil)
	next(t, w.frames, "frame")
	for w.Stats().Camera.Viewers != 1 || w.Stats().RoundTrip == 0 || w.Stats().Age == 0 {
		next(t, w.frames, "frame")
	}
	s.stop()
	var end *Ended
	if err := next(t, w.ended, "end"); !errors.As(err, &end) || end.Code != "ended" {
		t.Errorf("it ended with %v", err)
	}
}

func TestAViewerThatLeavesSaysGoodbye(t *testing.T) {
	s := newStage(t, Config{})
	w := watchStage(t, s, nil)
	next(t, w.frames, "frame")
	w.leave()
	if err := next(t, w.ended, "end"); err != nil {
		t.Error(err)
	}
	deadline := time.After(wait)
	for s.pub.Viewers() > 0 {
		select {
		case <-deadline:
			t.Fatal("the session goes on")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Credentials of relays expire: an ICE restart takes those told of last.
func TestViewerTakesNewICEServers(t *testing.T) {
	old := webrtc.ICEServer{URLs: []string{"turn:127.0.0.1:9"}, Username: "u", Credential: "old"}
	v, err := NewViewer(ViewerConfig{ICEServers: []webrtc.ICEServer{old}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	renewed := old
	renewed.Credential = "new"
	if err := v.SetICEServers([]webrtc.ICEServer{renewed}); err != nil {
		t.Fatal(err)
	}
	if got := v.pc.GetConfiguration(); len(got.ICEServers) != 1 || got.ICEServers[0].Credential != "new" || got.BundlePolicy != webrtc.BundlePolicyMaxBundle {
		t.Errorf("got %+v", got)
	}
	if err := v.SetICEServers([]webrtc.ICEServer{{URLs: []string{"turn:x"}}}); err == nil {
		t.Error("took a relay without credentials")
	}
}
