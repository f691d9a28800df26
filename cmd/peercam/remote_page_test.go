package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
	"golang.org/x/sync/errgroup"

	"github.com/peercam/peercam/capture"
	"github.com/peercam/peercam/encode"
	"github.com/peercam/peercam/peer"
	"github.com/peercam/peercam/signaling"
)

// shareFake shares a camera that turns and zooms, in an open room of a server
// of its own, as `share` does with a real one.
func shareFake(t *testing.T, all []capture.Control) (link string, camera *fakeCamera) {
	t.Helper()
	server := serve(t, freeAddr(t))
	camera = &fakeCamera{VideoSource: testSource(t), all: all}
	src := &sources{}
	if err := src.picture(camera, cameraFlags{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	ladder := encode.NewLadder(encode.LadderConfig{Source: src.video, Want: capture.Format{Width: 640, Height: 360, FPS: 15}, Bitrate: 600_000, Log: slog.New(slog.DiscardHandler)})
	pub, err := peer.NewPublisher(peer.Config{Video: ladder, Remote: newRemote(src, false, slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	cam := newCamera("kitchen", "fake", nil, pub, slog.New(slog.DiscardHandler))
	dial, err := signaling.DialURL(server.ws())
	if err != nil {
		t.Fatal(err)
	}
	client := &signaling.Client{Dial: dial, Join: cam.join, Handle: cam.handle, Log: slog.New(slog.DiscardHandler)}
	cam.send = client.Send
	ctx, cancel := context.WithCancel(context.Background())
	var running errgroup.Group
	for _, run := range []func() error{
		func() error { return client.Run(ctx) },
		func() error { return pub.Run(ctx) },
		func() error { return ladder.Run(ctx, pub.Video) },
	} {
		running.Go(run)
	}
	t.Cleanup(func() {
		cancel()
		_ = running.Wait() // that it was cancelled
		cam.wait()
	})
	return server.at("/kitchen"), camera
}

// device is the value of the camera's control.
func (f *fakeCamera) value(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.all, func(c capture.Control) bool { return c.Name == name })
	return f.all[i].Value
}

const (
	setupButton = `button[aria-label="Set up the camera"]`
	setupPanel  = `#setup:not([hidden])`
)

// field is a field of the panel, by its label.
func field(label string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('#setup label')].find((l) => l.innerText.startsWith(%q))?.querySelector('input, select')`, label)
}

// enter gives a field a value, as a hand on it does.
func (v *view) enter(label, value string) {
	v.t.Helper()
	v.until("%s", field(label))
	js[bool](v, "((f) => { f.value = %q; f.dispatchEvent(new Event('input')); f.dispatchEvent(new Event('change')); return true })(%s)", value, field(label))
}

func fullCamera() []capture.Control {
	integer := func(name string, low, high, step, value int) capture.Control {
		return capture.Control{Name: name, Kind: capture.ControlInteger, Min: low, Max: high, Step: step, Default: value, Value: value}
	}
	return []capture.Control{
		integer("brightness", 0, 255, 1, 128), integer("contrast", 0, 255, 1, 32), integer("saturation", 0, 255, 1, 64),
		{Name: "white_balance_automatic", Kind: capture.ControlBoolean, Max: 1, Step: 1, Default: 1, Value: 1},
		{Name: "white_balance_temperature", Kind: capture.ControlInteger, Min: 2000, Max: 7500, Step: 10, Default: 4000, Value: 4000, Inactive: true},
		{Name: "power_line_frequency", Kind: capture.ControlMenu, Max: 2, Default: 1, Value: 1,
			Menu: []capture.ControlItem{{Value: 0, Name: "Disabled"}, {Value: 1, Name: "50 Hz"}, {Value: 2, Name: "60 Hz"}}},
		integer("pan_absolute", -36000, 36000, 3600, 0), integer("tilt_absolute", -36000, 36000, 3600, 0), integer("zoom_absolute", 100, 500, 1, 100),
		integer("led1_frequency", 0, 255, 1, 0),
	}
}

func TestThePageSetsUpTheCamera(t *testing.T) {
	link, camera := shareFake(t, fullCamera())
	v, other := open(t, link), open(t, link)
	v.live()
	v.click(setupButton)
	v.until("document.querySelector(%q)", setupPanel)
	v.reads("Brightness")

	v.enter("Brightness", "200")
	eventually(t, "the camera has the brightness", func() bool { return camera.value("brightness") == 200 })
	v.enter("Mains flicker", "2")
	eventually(t, "the camera has the menu's value", func() bool { return camera.value("power_line_frequency") == 2 })
	js[bool](v, "%s.click() ?? true", field("White balance automatic"))
	eventually(t, "the camera's switch is off", func() bool { return camera.value("white_balance_automatic") == 0 })
	v.until("%s.disabled", field("White balance temperature"))

	// Whoever else looks at it sees that.
	other.click(setupButton)
	other.until("%s?.value === '200'", field("Brightness"))
	v.enter("Brightness", "90")
	other.until("%s.value === '90'", field("Brightness"))

	js[chromedp.Void](v, "document.querySelector('#setup > .button').scrollIntoView()")
	v.click("#setup > .button")
	eventually(t, "the camera is as it came", func() bool {
		return camera.value("brightness") == 128 && camera.value("power_line_frequency") == 1 && camera.value("white_balance_automatic") == 1
	})
	v.until("document.querySelector('#setup > .button').hidden")
	v.press("\x1b")
	v.until("document.querySelector('#setup').hidden")
	v.clean()
}

func TestKeysMoveTheCamera(t *testing.T) {
	link, camera := shareFake(t, fullCamera())
	v := open(t, link)
	v.live()
	v.until("document.querySelector(%q)?.getBoundingClientRect().width", setupButton) // it is known what the camera has
	for _, c := range []struct {
		key, control string
		want         int
	}{
		{"+", "zoom_absolute", 110}, {"+", "zoom_absolute", 120}, {"-", "zoom_absolute", 110}, {"-", "zoom_absolute", 100}, {"-", "zoom_absolute", 100},
		{"\u0303", "pan_absolute", 3600}, {"\u0302", "pan_absolute", 0}, {"\u0304", "tilt_absolute", 3600}, {"\u0301", "tilt_absolute", 0},
	} {
		v.press(c.key)
		eventually(t, fmt.Sprintf("%q makes %s %d", c.key, c.control, c.want), func() bool { return camera.value(c.control) == c.want })
	}
	v.clean()
}

func TestThePageTurnsAndCoversTheCamera(t *testing.T) {
	p := share(t)
	v := open(t, p.first)
	v.live()
	v.until("document.querySelector(%q)?.getBoundingClientRect().width", setupButton) // it is known what the camera has
	v.press("c")
	v.until("document.querySelector(%q)", setupPanel)
	v.enter("Turn", "90")
	v.until("((video) => video.videoWidth === 360 && video.videoHeight === 640)(document.querySelector('video'))")
	v.enter("Turn", "0")
	v.until("document.querySelector('video').videoWidth === 640")

	v.click(soundButton)
	v.heard(0.02, 1)
	js[bool](v, "%s.click() ?? true", field("Mute the microphone"))
	v.until("%s.checked", field("Mute the microphone"))
	eventually(t, "the microphone is closed", func() bool { return p.metric("peercam_microphone_muted") == 1 })

	// What one cannot undo is asked for twice.
	js[bool](v, "document.querySelector('.cover .button:not(.danger)').click() ?? true")
	v.click(".cover .danger")
	v.until("document.querySelector('.cover').innerText.includes('Privacy is on')")
	eventually(t, "the camera is covered", func() bool { return p.metric("peercam_privacy") == 1 })
	v.until("%s.disabled", field("Mute the microphone"))
	js[bool](v, `probe.controls.at(-1).send('{"type":"set","name":"privacy","value":0}') ?? true`)
	v.until("document.querySelector('#setup .problem').innerText.includes('only at the camera itself')")
	if p.metric("peercam_privacy") != 1 {
		t.Error("a viewer has uncovered the camera")
	}
	v.clean()
}

func TestNothingIsShownWhereNothingMayBeSet(t *testing.T) {
	for _, args := range [][]string{{"--no-remote"}, {"--open"}} {
		v := open(t, share(t, args...).first)
		v.live()
		v.until("document.querySelector(%q)", soundButton) // the bar is there
		js[bool](v, `probe.controls.at(-1).send('{"type":"set","name":"mirror","value":1}') ?? true`)
		v.until("document.querySelector(%q).hidden", setupButton)
		v.press("c")
		if js[bool](v, "!document.querySelector('#setup').hidden") {
			t.Errorf("%q: the panel opens", args)
		}
		v.clean()
	}
}
