package main

import (
	"regexp"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

func TestTheLinkShowsThePicture(t *testing.T) {
	p := share(t)
	v := open(t, p.first)
	v.live()
	if got := js[[]int](v, "(({ videoWidth, videoHeight }) => [videoWidth, videoHeight])(document.querySelector('video'))"); !slices.Equal(got, []int{640, 360}) {
		t.Errorf("the picture is %v pixels, asked for was 640x360", got)
	}
	v.clean()
}

const soundButton = `button[aria-label="Sound"]`

func TestOneClickGivesTheSound(t *testing.T) {
	v := open(t, share(t).first)
	v.live()
	if !js[bool](v, "document.querySelector('video').muted") {
		t.Error("there is sound before anybody asked for it")
	}
	v.until("document.querySelector('.offer')?.getBoundingClientRect().width")
	v.click(soundButton)
	v.until("!document.querySelector('video').muted && document.querySelector('video').volume > 0 && !document.querySelector('video').paused")
	// The test sound beeps for a tenth of a second, and then is silent.
	v.heard(0, 0.001)
	before := js[float64](v, "probe.inbound('audio').then((r) => r.totalAudioEnergy)")
	v.heard(0.02, 1)
	if after := js[float64](v, "probe.inbound('audio').then((r) => r.totalAudioEnergy)"); after <= before {
		t.Errorf("the energy of the sound went from %v to %v over a beep", before, after)
	}

	// Players keep picture and sound in step only within one stream.
	if got := js[[]string](v, "document.querySelector('video').srcObject.getTracks().map((t) => t.kind).sort()"); !slices.Equal(got, []string{"audio", "video"}) {
		t.Errorf("the page plays a stream of %v", got)
	}
	answer := js[string](v, "probe.peers[0].remoteDescription.sdp")
	streams := regexp.MustCompile(`(?m)^a=msid:(\S+) `).FindAllStringSubmatch(answer, -1)
	if len(streams) != 2 || streams[0][1] != streams[1][1] {
		t.Errorf("picture and sound are of the streams %q", streams)
	}
}

// Who taps for sound where there is none believes that it is broken.
func TestSilenceIsNotOffered(t *testing.T) {
	sound := wav()
	clear(sound[wavHead:])
	v := open(t, share(t, "--mic", "file:"+write(t, "silence.wav", sound)).first)
	v.live()
	v.until("probe.inbound('audio').then((r) => r.packetsReceived > 150) && document.querySelector('.offer')")
	if js[bool](v, "Boolean(document.querySelector('.offer').getBoundingClientRect().width)") {
		t.Error("sound is offered where there is silence")
	}
	if !js[bool](v, "Boolean(document.querySelector(%q).getBoundingClientRect().width)", soundButton) {
		t.Error("who wants to listen to it cannot")
	}
}

// heard waits until the level of the sound, 0 to 1, is within bounds.
func (v *view) heard(low, high float64) {
	v.t.Helper()
	eventually(v.t, "the sound has the expected level", func() bool {
		level := js[float64](v, "probe.inbound('audio').then((r) => r.audioLevel ?? -1)")
		return level >= low && level <= high
	})
}

// click clicks with the mouse, as browsers let only persons start sound, on what
// has come to rest.
func (v *view) click(selector string) {
	v.t.Helper()
	v.until("document.querySelector(%q)?.getBoundingClientRect().width", selector)
	at := js[[]float64](v, "probe.resting(%q)", selector)
	// as a mouse gets there, which wakes controls that have gone to rest meanwhile
	if err := chromedp.Do(v.ctx, chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at[0], at[1])); err != nil {
		v.t.Fatal(err)
	}
	v.until("document.documentElement.dataset.idle !== 'true'")
	at = js[[]float64](v, "probe.resting(%q)", selector)
	if err := chromedp.Do(v.ctx, chromedp.MouseClickXY(at[0], at[1])); err != nil {
		v.t.Fatal(err)
	}
}

func TestEachFrameIsEncodedOnceForAll(t *testing.T) {
	p := share(t)
	one := open(t, p.first)
	one.live()
	two := open(t, p.first)
	two.live()
	one.live()
	before := p.metrics()
	if n := before["peercam_viewers"]; n != 2 {
		t.Errorf("%v viewers, want 2", n)
	}
	eventually(t, "a second of frames was encoded, and more of them sent", func() bool {
		now := p.metrics()
		since := func(name string) float64 { return now[name] - before[name] }
		if now["peercam_frames_encoded_total"] > now["peercam_frames_captured_total"] {
			t.Fatalf("more frames were encoded than captured: %v", now)
		}
		encoded := since("peercam_frames_encoded_total")
		return encoded >= 15 && since("peercam_session_frames_total") > 1.5*encoded
	})
}

func TestTheCameraIsOpenWhileSomebodyWatches(t *testing.T) {
	p := share(t, "--linger", "1s")
	closed := func() bool {
		return p.metric("peercam_camera_open") == 0 && p.metric("peercam_microphone_open") == 0 && p.metric("peercam_viewers") == 0
	}
	if !closed() || p.metric("peercam_frames_captured_total") != 0 {
		t.Error("the camera is open before anybody watches")
	}
	v := open(t, p.first)
	v.live()
	if p.metric("peercam_camera_open") != 1 {
		t.Error("the camera is closed while somebody watches")
	}
	v.goTo("about:blank")
	eventually(t, "the camera closes when the last viewer has left", closed)
	v.goTo(p.first)
	v.live()
}

func TestTheCameraSaysGoodbye(t *testing.T) {
	p := share(t)
	v := open(t, p.first)
	v.live()
	v.until("document.querySelector('.bar')") // and the words for all that may happen
	p.stop()
	v.state("ended")
	v.reads("The camera was stopped")
}

func TestTheFrontPageShowsTheRoomsSeenBefore(t *testing.T) {
	p := share(t)
	v := open(t, p.at("/"))
	v.until("document.body.innerText.includes('Your cameras will be here')")
	v.goTo(p.first)
	v.live()
	v.until("Object.values(localStorage).some((kept) => kept.includes('kitchen'))") // a moment after the picture
	v.goTo(p.at("/"))
	v.until("document.body.innerText.includes('kitchen')")
	v.until(`document.querySelector('video[data-state="live"]')`)
	v.picture(0)
	v.click(`a[href*="/kitchen#k="]`)
	v.until("location.pathname === '/kitchen'")
	v.live()
	v.clean()
}

func TestTheStatisticsTellOfThePicture(t *testing.T) {
	v := open(t, share(t).first)
	v.live()
	v.click(`button[aria-label="Statistics"]`)
	for _, figure := range []string{`Age\s+\d+ ms`, `Size\s+640 × 360`, `Frame rate\s+\d+ fps`, `VP8`, `Bit rate\s+[\d.]+ [kM]bit/s`, `Loss\s+0\.0 %`, `Round trip\s+\d+ ms`, `Viewers\s+1\b`} {
		v.until("new RegExp(%q, 'i').test(document.body.innerText)", figure)
	}
}
