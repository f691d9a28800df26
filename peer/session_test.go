package peer

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

func TestPictureAndSoundArriveInOneStream(t *testing.T) {
	s := newStage(t, Config{})
	v := newViewer(t, nil)
	v.watch(s.pub, "one")
	first := next(t, v.frames, "frame")
	if !first.key {
		t.Error("the first frame is no key frame")
	}
	if first.packet.PayloadType != 120 {
		t.Errorf("payload type %d, the offer says 120", first.packet.PayloadType)
	}
	for i := first.n + 1; i < first.n+20; i++ {
		f := next(t, v.frames, "frame")
		if f.n != i || !f.whole {
			t.Fatalf("frame %d (whole: %v), want frame %d whole", f.n, f.whole, i)
		}
	}
	a := next(t, v.sound, "sound")
	b := next(t, v.sound, "sound")
	if a.PayloadType != 109 || b.Timestamp-a.Timestamp != 960 || b.SequenceNumber-a.SequenceNumber != 1 {
		t.Errorf("sound %d then %d, payload type %d", a.Timestamp, b.Timestamp, a.PayloadType)
	}
	if x, y := next(t, v.streams, "stream"), next(t, v.streams, "stream"); x != y || x == "" {
		t.Errorf("picture and sound are in streams %q and %q, want one", x, y)
	}
}

// The capture time is in the frame, and the reports of both streams point at
// the same clock: that is what lip sync rests on.
func TestTimesAreThoseOfCapture(t *testing.T) {
	s := newStage(t, Config{})
	v := newViewer(t, nil)
	v.watch(s.pub, "one")
	f := next(t, v.frames, "frame")
	if len(f.capture) != 8 {
		t.Fatalf("abs-capture-time has %d bytes", len(f.capture))
	}
	taken := ntpTime(binary.BigEndian.Uint64(f.capture))
	if age := time.Since(taken); age < 0 || age > 5*time.Second {
		t.Errorf("the frame is %v old", age)
	}
	a := next(t, v.sound, "sound")
	heard := time.Now()
	seen := map[uint32]bool{}
	for len(seen) < 2 {
		r := next(t, v.reports, "sender report")
		seen[r.SSRC] = true
		packet, rate := f.packet, 90000.0
		if r.SSRC == a.SSRC {
			packet, rate = a, 48000
		}
		at := ntpTime(r.NTPTime).Add(time.Duration(float64(int32(packet.Timestamp-r.RTPTime)) / rate * float64(time.Second)))
		want := taken
		if r.SSRC == a.SSRC {
			want = heard
		}
		if d := at.Sub(want); d < -time.Second || d > time.Second {
			t.Errorf("SSRC %d: the report puts the packet at %v, it was taken at %v", r.SSRC, at, want)
		}
		if r.SSRC != a.SSRC && (at.Sub(taken) > time.Millisecond || taken.Sub(at) > time.Millisecond) {
			t.Errorf("report and abs-capture-time differ by %v", at.Sub(taken))
		}
	}
}

func ntpTime(ntp uint64) time.Time {
	return time.Unix(int64(ntp>>32)-2208988800, int64(ntp&0xffffffff)*int64(time.Second)>>32)
}

func TestDemandFollowsViewers(t *testing.T) {
	s := newStage(t, Config{})
	a, b := newViewer(t, nil), newViewer(t, nil)
	a.watch(s.pub, "a")
	if !next(t, s.video.awaited, "expectation") {
		t.Error("the camera is not opened while the first viewer connects")
	}
	if w := next(t, s.video.on, "demand"); w != 1 {
		t.Fatalf("wanted rungs %b, want 1", w)
	}
	b.watch(s.pub, "b")
	next(t, a.frames, "frame")
	next(t, b.frames, "frame")
	if n := s.pub.Viewers(); n != 2 {
		t.Errorf("%d viewers, want 2", n)
	}
	a.close()
	if code := next(t, a.ended, "end"); code != "left" {
		t.Errorf("the session ended with %q, want left", code)
	}
	next(t, b.frames, "frame")
	b.close()
	for next(t, s.video.on, "end of demand") != 0 { //nolint:revive // rungs may have changed meanwhile
	}
	if next(t, s.video.awaited, "end of expectation") {
		t.Error("the camera stays open for nobody")
	}
}

func TestImpatientViewersShareKeyFrames(t *testing.T) {
	s := newStage(t, Config{})
	v := newViewer(t, nil)
	v.watch(s.pub, "one")
	f := next(t, v.frames, "frame")
	before, start := s.video.asked(), time.Now()
	for range 50 {
		if err := v.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: f.packet.SSRC}, &rtcp.FullIntraRequest{MediaSSRC: f.packet.SSRC, FIR: []rtcp.FIREntry{{SSRC: f.packet.SSRC}}}}); err != nil {
			t.Fatal(err)
		}
	}
	for !next(t, v.frames, "key frame").key { //nolint:revive // waiting
	}
	if n, most := s.video.asked()-before, int(time.Since(start)/keyFrameInterval)+2; n == 0 || n > most {
		t.Errorf("%d key frames asked of the encoder in %v, want 1 to %d", n, time.Since(start), most)
	}
}

func TestStatisticsAndByeOnTheDataChannel(t *testing.T) {
	s := newStage(t, Config{})
	v := newViewer(t, nil)
	v.watch(s.pub, "one")
	var m statsMessage
	for m.RTPTimestamp == 0 { // sound may come first
		if err := json.Unmarshal([]byte(next(t, v.said, "statistics")), &m); err != nil {
			t.Fatal(err)
		}
	}
	if m.Type != "stats" || m.Viewers != 1 || m.Estimate <= 0 || m.Target <= 0 {
		t.Errorf("statistics: %+v", m)
	}
	if m.RTPTimestamp == 0 || m.Captured < float64(time.Now().Add(-time.Minute).UnixMilli()) {
		t.Errorf("a frame is dated %d at %f", m.RTPTimestamp, m.Captured)
	}
	before := float64(time.Now().UnixMilli())
	if err := v.control.SendText(`{"type":"clock","sentAt":12.5}`); err != nil {
		t.Fatal(err)
	}
	var clock clockMessage
	for clock.Type != "clock" {
		if err := json.Unmarshal([]byte(next(t, v.said, "clock")), &clock); err != nil {
			t.Fatal(err)
		}
	}
	if *clock.SentAt != 12.5 || clock.Camera < before || clock.Camera > float64(time.Now().UnixMilli()+1) {
		t.Errorf("clock: %+v", clock)
	}
	for _, nonsense := range []string{"", "{", `{"type":7}`, strings.Repeat("x", 20_000)} {
		if err := v.control.SendText(nonsense); err != nil {
			t.Fatal(err)
		}
	}
	next(t, v.frames, "frame after nonsense")
	if err := v.control.SendText(`{"type":"bye"}`); err != nil {
		t.Fatal(err)
	}
	if code := next(t, v.ended, "end"); code != "left" {
		t.Errorf("ended with %q, want left", code)
	}
}

func TestEveryViewerHearsTheEnd(t *testing.T) {
	s := newStage(t, Config{})
	a, b := newViewer(t, nil), newViewer(t, nil)
	a.watch(s.pub, "a")
	b.watch(s.pub, "b")
	for _, v := range []*viewer{a, b} {
		for !strings.Contains(next(t, v.said, "statistics"), `"stats"`) { //nolint:revive // waiting
		}
	}
	s.stop()
	for _, v := range []*viewer{a, b} {
		for !strings.Contains(next(t, v.said, "bye"), `"bye","code":"ended"`) { //nolint:revive // waiting
		}
		if code := next(t, v.ended, "end"); code != "ended" {
			t.Errorf("ended with %q", code)
		}
	}
	if _, err := s.pub.Answer(context.Background(), "late", goodOffer, true, Signal{}); !errors.Is(err, ErrClosed) {
		t.Errorf("an offer after the end: %v, want ErrClosed", err)
	}
}

func TestTooManyViewers(t *testing.T) {
	s := newStage(t, Config{MaxSessions: 1})
	v := newViewer(t, nil)
	v.watch(s.pub, "one")
	next(t, v.frames, "frame")
	late := newViewer(t, nil)
	if _, err := s.pub.Answer(context.Background(), "two", late.offer(), true, Signal{}); !errors.Is(err, ErrBusy) {
		t.Errorf("the second viewer got %v, want ErrBusy", err)
	}
	next(t, v.frames, "frame for the first")
}

func TestBadOffersOpenNothing(t *testing.T) {
	s := newStage(t, Config{})
	for _, offer := range []string{"", "nonsense", strings.Replace(goodOffer, "VP8", "AV1", 1)} {
		if _, err := s.pub.Answer(context.Background(), "x", offer, true, Signal{}); !errors.Is(err, ErrBadOffer) {
			t.Errorf("offer %.20q: %v, want ErrBadOffer", offer, err)
		}
	}
	select {
	case <-s.video.awaited:
		t.Error("a bad offer opened the camera")
	default:
	}
}

func TestAViewerThatVanishesMidHandshake(t *testing.T) {
	s := newStage(t, Config{})
	s.pub.handshake = 50 * time.Millisecond
	v := newViewer(t, nil)
	// The answer is never used.
	if _, err := s.pub.Answer(context.Background(), "gone", v.offer(), true, Signal{Ended: func(code, _ string) { v.ended <- code }}); err != nil {
		t.Fatal(err)
	}
	if code := next(t, v.ended, "end"); code != "failed" {
		t.Errorf("ended with %q, want failed", code)
	}
	if s.pub.Viewers() != 0 {
		t.Error("the session is still there")
	}
}

func TestRestartOfARunningSession(t *testing.T) {
	s := newStage(t, Config{})
	v := newViewer(t, nil)
	v.watch(s.pub, "one")
	first := next(t, v.frames, "frame")
	offer, err := v.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(v.pc)
	if err := v.pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	answer, err := s.pub.Answer(ctx, "one", v.pc.LocalDescription().SDP, false, Signal{})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		if f := next(t, v.frames, "frame after the restart"); f.packet.SSRC != first.packet.SSRC {
			t.Fatal("the stream changed")
		}
	}
	if s.pub.Viewers() != 1 {
		t.Errorf("%d sessions after a restart", s.pub.Viewers())
	}
}
