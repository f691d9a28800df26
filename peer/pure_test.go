package peer

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp/codecs"

	"github.com/peercam/peercam/encode"
)

func TestKeyThrottle(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }
	var k keyThrottle
	steps := []struct {
		ms      int
		request bool
		ask     bool
	}{
		{0, true, true},    // the first at once
		{10, true, false},  // waits
		{100, true, false}, // joins the one that waits
		{299, false, false},
		{301, false, true},  // the one that waited
		{400, false, false}, // and only once
		{700, true, true},
	}
	for _, s := range steps {
		got := false
		if s.request {
			got = k.request(at(s.ms))
		} else {
			got = k.due(at(s.ms))
		}
		if got != s.ask {
			t.Errorf("at %d ms: ask %v, want %v", s.ms, got, s.ask)
		}
	}
}

// A decoder that never recovers must not cost the others of its rung a key frame each
// interval; one on a bad link is heard at once.
func TestOneViewerAsksForFewKeyFrames(t *testing.T) {
	var k keyAsks
	start := time.Unix(1000, 0)
	var heard []int
	for ms := 0; ms < 30_000; ms += 100 {
		if k.may(start.Add(time.Duration(ms) * time.Millisecond)) {
			heard = append(heard, ms)
		}
	}
	if len(heard) < 8 || len(heard) > 14 || heard[3] > 1000 {
		t.Errorf("of a request each 100 ms those at %v ms are heard", heard)
	}
	if !k.may(start.Add(time.Minute)) {
		t.Error("after half a minute without one it is not heard")
	}
}

// Some repeat that they will give transport-wide feedback, and do not mean it.
func TestFeedbackThatNeverComesIsNotWaitedFor(t *testing.T) {
	p := &Publisher{c: Config{MaxBitrate: 2_500_000}}
	for _, heard := range []bool{true, false} {
		s := &Session{p: p, log: slog.New(slog.DiscardHandler), video: &track{hasTransport: true}}
		s.startAt(cautiousStart)
		if heard {
			s.estimator.feedbacks = 1
		}
		start := time.Unix(1000, 0)
		for second := range 6 {
			s.missFeedback(start.Add(time.Duration(second) * time.Second))
		}
		if s.video.hasTransport != heard || (s.estimate.Load() >= startBitrate) == heard {
			t.Errorf("feedback %v: waited for: %v, at %d bit/s", heard, s.video.hasTransport, s.estimate.Load())
		}
	}
}

// One viewer's reports cost the others' sound little, and nothing when it has left.
func TestOneViewersLossIsNotEverybodys(t *testing.T) {
	audio := &fakeAudio{}
	s := &Session{}
	p := &Publisher{c: Config{Video: newFakeVideo(), Audio: audio}, losses: map[*Session]int{}, sessions: map[string]*Session{}}
	p.setAudioLoss(s, 99)
	if audio.loss != mostAudioLoss {
		t.Errorf("sound is protected against %d %%", audio.loss)
	}
	p.remove(s)
	if audio.loss != 0 {
		t.Errorf("after it has left, against %d %%", audio.loss)
	}
}

func TestVideoBudget(t *testing.T) {
	for _, c := range []struct{ estimate, audio, parity, want int }{
		{1_160_000 + 40_000, 40_000, 0, 1_000_000},
		{1_360_000 + 40_000, 40_000, 20, 1_000_000},
		{40_000, 40_000, 0, 0},
		{10_000, 40_000, 0, 0},
	} {
		if got := videoBudget(c.estimate, c.audio, c.parity); got != c.want {
			t.Errorf("videoBudget(%d, %d, %d) = %d, want %d", c.estimate, c.audio, c.parity, got, c.want)
		}
		if back := videoBudget(linkDemand(c.want, c.audio, c.parity), c.audio, c.parity); back != c.want {
			t.Errorf("%d bit/s of video demand a link on which %d fit", c.want, back)
		}
	}
}

// What a stranger tells of its link is a guess to start with, and no more.
func TestStartsAreWithinWhatIsSensible(t *testing.T) {
	for _, c := range []struct{ most, others, told, want int }{
		{2_500_000, 0, 0, cautiousStart},
		{2_500_000, 0, -5, cautiousStart},
		{2_500_000, 0, 1, leastStart},
		{2_500_000, 0, 500_000, 450_000},
		{2_500_000, 0, 20_000_000, startBitrate},
		{2_500_000, 0, math.MaxInt, startBitrate},
		{2_500_000, 2_000_000, 0, cautiousStart},
		{2_500_000, 2_000_000, 500_000, 450_000},
		{2_500_000, 2_000_000, 20_000_000, linkDemand(2_000_000, audioBitrate, 0)},
		{100_000, 0, 0, linkDemand(100_000, audioBitrate, 0)},
		{100_000, 0, 20_000_000, linkDemand(100_000, audioBitrate, 0)},
	} {
		p := &Publisher{c: Config{MaxBitrate: c.most}, plan: ladderPlan{want: 1, rates: [maxRungs]int{c.others}}}
		if got := p.startRate(c.told); got != c.want {
			t.Errorf("most %d, the others get %d, told %d: starts at %d, want %d", c.most, c.others, c.told, got, c.want)
		}
	}
}

// A depacketizer that is not ours must get back the very frame.
func TestPacketsMakeTheFrame(t *testing.T) {
	for _, size := range []int{1, 100, maxChunk, maxChunk + 1, 5*maxChunk - 3, 60_000} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i * 7)
		}
		frame := &encode.Frame{Data: data, Layer: 2, Sync: true}
		n := packetCount(size)
		var back []byte
		var b [maxPacket]byte
		least, most := maxPacket, 0
		for k := range n {
			c := chunk(data, k, n)
			least, most = min(least, len(c)), max(most, len(c))
			sent := sentPacket{frame: frame, pictureID: 0x1234, baseID: 0xfe, part: uint16(k), parts: uint16(n)}
			h := putDescriptor(b[:], &sent)
			end := h + copy(b[h:], c)
			if end+maxHeader > maxPacket {
				t.Fatalf("size %d: packet %d has %d bytes", size, k, end+maxHeader)
			}
			var p codecs.VP8Packet
			payload, err := p.Unmarshal(b[:end])
			if err != nil {
				t.Fatal(err)
			}
			if p.PictureID != 0x1234 || (p.S == 1) != (k == 0) || p.PID != 0 || p.TL0PICIDX != 0xfe || p.TID != 2 || p.Y != 1 {
				t.Fatalf("descriptor %+v", p)
			}
			back = append(back, payload...)
		}
		if !bytes.Equal(back, data) {
			t.Errorf("size %d: another frame came out", size)
		}
		if most-least > 1 {
			t.Errorf("size %d: packets of %d to %d bytes, want equal ones", size, least, most)
		}
	}
}

func TestHistoryHoldsFramesOnlyWhileTheyCanBeSent(t *testing.T) {
	var h history
	for seq := range uint16(3 * historySize) {
		f := encode.NewFrame()
		f.Data = append(f.Data, byte(seq))
		h.put(sentPacket{frame: f, seq: seq, parts: 1})
		f.Release() // now only the history holds it; a double release would panic
	}
	if h.get(3*historySize-historySize-1) != nil {
		t.Error("a packet that fell out can still be had")
	}
	last := uint16(3*historySize - 1)
	if p := h.get(last); p == nil || p.frame.Data[0] != byte(last) {
		t.Error("the last packet is not there")
	}
	h.clear()
	if h.get(last) != nil {
		t.Error("something is left after clear")
	}
}

func TestAPacketIsSentAgainMoreAndMoreRarely(t *testing.T) {
	var p sentPacket
	start := time.Unix(1000, 0)
	var at []int
	for ms := range 5000 {
		if p.again(start.Add(time.Duration(ms)*time.Millisecond), 50*time.Millisecond) {
			at = append(at, ms)
		}
	}
	if want := []int{0, 50, 150, 350}; !slices.Equal(at, want) {
		t.Errorf("asked for every millisecond, sent again at %v ms, want %v", at, want)
	}
}

func TestRepairTakesAtMostHalf(t *testing.T) {
	b := repairBudget{firstRepair}
	for range firstWindow / maxPacket { // all that may be on the way before anything is known
		if !b.spend(maxPacket) {
			t.Fatal("what is lost of the first pictures cannot be sent again")
		}
	}
	for b.spend(1) {
	}
	sent, spent := 0, 0
	for range 10_000 {
		b.sent(1000)
		sent += 1000
		for b.spend(maxPacket) {
			spent += maxPacket
		}
	}
	if spent > sent/2 || spent < sent/2-2*maxPacket {
		t.Errorf("%d bytes of repair for %d of media", spent, sent)
	}
}

func TestClock(t *testing.T) {
	c := mediaClock{epoch: time.Now()}
	if got := c.rtp(c.epoch.Add(1500*time.Millisecond), 90000); got != 135000 {
		t.Errorf("1.5 s are %d, want 135000", got)
	}
	// Thirteen and a half hours wrap 32 bits at 90 kHz.
	d := 14 * time.Hour
	if got, want := c.rtp(c.epoch.Add(d), 90000), uint32((uint64(d/time.Second)*90000)&0xffffffff); got != want {
		t.Errorf("after %v: %d, want %d", d, got, want)
	}
	day := time.Date(2024, 2, 29, 12, 0, 0, 500_000_000, time.UTC)
	if got, want := (mediaClock{epoch: day}).ntp(day), uint64(3918196800)<<32|1<<31; got != want {
		t.Errorf("NTP time %x, want %x", got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	c := mediaClock{epoch: time.Now()}
	report := c.ntp(c.epoch)
	now := c.ntp(c.epoch.Add(350 * time.Millisecond))
	got, ok := roundTrip(now, compactNTP(report), 65536/4) // held for 250 ms
	if !ok || got < 99*time.Millisecond || got > 101*time.Millisecond {
		t.Errorf("round trip %v, %v, want 100 ms", got, ok)
	}
	if _, ok := roundTrip(now, 0, 0); ok {
		t.Error("a viewer that has had no report yet told a round trip")
	}
	if _, ok := roundTrip(report, compactNTP(now), 0); ok {
		t.Error("a report from the future told a round trip")
	}
}

const goodOffer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=fingerprint:sha-256 AA\r\na=mid:0\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=fingerprint:sha-256 AA\r\na=mid:1\r\na=recvonly\r\na=rtpmap:111 opus/48000/2\r\n"

func TestCheckOffer(t *testing.T) {
	if asked, err := checkOffer(goodOffer); err != nil || asked != (offered{audio: true}) {
		t.Fatalf("a good offer: %+v, %v", asked, err)
	}
	video, _, _ := strings.Cut(goodOffer, "m=audio")
	if asked, err := checkOffer(video); err != nil || asked != (offered{}) {
		t.Fatalf("an offer without sound: %+v, %v", asked, err)
	}
	passive := strings.ReplaceAll(video, "a=mid", "a=setup:passive\r\na=mid")
	if asked, err := checkOffer(passive); err != nil || asked != (offered{passive: true}) {
		t.Fatalf("a passive offer: %+v, %v", asked, err)
	}
	for name, c := range map[string]struct{ offer, says string }{
		"nonsense":       {"hello", "parse"},
		"empty":          {"", ""},
		"no video":       {strings.Replace(goodOffer, "m=video", "m=application", 1), "video"},
		"sends only":     {strings.Replace(goodOffer, "a=recvonly", "a=sendonly", 1), "recvonly"},
		"no VP8":         {strings.Replace(goodOffer, "VP8/90000", "H264/90000", 1), "VP8"},
		"no ICE":         {strings.ReplaceAll(goodOffer, "a=ice-ufrag:abcd\r\n", ""), "ICE"},
		"no fingerprint": {strings.ReplaceAll(goodOffer, "a=fingerprint:sha-256 AA\r\n", ""), "fingerprint"},
		"too large":      {goodOffer + strings.Repeat("a=x\r\n", maxOffer/4), "bytes"},
	} {
		_, err := checkOffer(c.offer)
		if !errors.Is(err, ErrBadOffer) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want a bad offer that says %q", name, err, c.says)
		}
	}
}

func FuzzOffer(f *testing.F) {
	f.Add(goodOffer)
	f.Add("v=0\r\n")
	f.Fuzz(func(t *testing.T, offer string) {
		if _, err := checkOffer(offer); err != nil && !errors.Is(err, ErrBadOffer) {
			t.Fatalf("error of another kind: %v", err)
		}
	})
}
