package peer

import (
	"context"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/peercam/peercam/encode"
)

// What a viewer gets after a frame was dropped must begin with a key frame:
// the numbers on the packets would not tell it that something is missing.
func TestAfterADroppedFrameComesAKeyFrame(t *testing.T) {
	p, err := NewPublisher(Config{Video: newFakeVideo()})
	if err != nil {
		t.Fatal(err)
	}
	s := &Session{p: p, frames: make(chan *encode.Frame, videoQueue)}
	s.connected.Store(true)
	s.selection.Store(&selection{layer: allLayers})
	offer := func(key bool) {
		f := encode.NewFrame()
		f.Key = key
		s.offerFrame(f)
		f.Release()
	}
	take := func() []bool {
		var keys []bool
		for {
			select {
			case f := <-s.frames:
				keys = append(keys, f.Key)
				f.Release()
			default:
				return keys
			}
		}
	}
	offer(true)
	for range videoQueue { // the last one does not fit
		offer(false)
	}
	if got := take(); len(got) != videoQueue || !got[0] {
		t.Fatalf("queued before the drop: %v", got)
	}
	offer(false)
	offer(false)
	if got := take(); len(got) != 0 {
		t.Errorf("%d frames that cannot be decoded were queued", len(got))
	}
	offer(true)
	offer(false)
	if got := take(); len(got) != 2 || !got[0] || got[1] {
		t.Errorf("after the key frame: %v", got)
	}
}

// A second viewer costs the first one key frame, not two.
func TestJoiningCostsOneKeyFrame(t *testing.T) {
	s := newStage(t, Config{})
	a, b := newViewer(t, nil), newViewer(t, nil)
	a.watch(s.pub, "a")
	for range 30 { // until the key frames of a's own start are past
		next(t, a.frames, "frame")
	}
	before := s.video.asked()
	b.watch(s.pub, "b")
	for range 30 {
		next(t, b.frames, "frame")
	}
	if n := s.video.asked() - before; n != 1 {
		t.Errorf("%d key frames were asked for, want 1", n)
	}
}

// The viewer begins the handshake, unless it says that it waits for that.
func TestWhoBeginsTheHandshake(t *testing.T) {
	s := newStage(t, Config{})
	for offers, answers := range map[string]string{"a=setup:actpass": "a=setup:passive", "a=setup:passive": "a=setup:active"} {
		v := newViewer(t, nil)
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		answer, err := s.pub.Answer(ctx, offers, strings.ReplaceAll(v.offer(), "a=setup:actpass", offers), false, Signal{})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(answer, answers) {
			t.Errorf("%s is not answered with %s: %s", offers, answers, answer)
		}
		if err := v.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
			t.Fatal(err)
		}
		next(t, v.frames, "frame")
	}
}
