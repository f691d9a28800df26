package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
)

const pictureButton = `button[aria-label="Picture"]`

// large is a source with three rungs: 720p, 360p and 180p.
var large = []string{"--size", "1280x720", "--bitrate", "2M", "--fps", "15"}

// window gives the page a size, in CSS pixels that are device pixels.
func (v *view) window(width, height int64) {
	v.t.Helper()
	if err := chromedp.Do(v.ctx, chromedp.EmulateViewport(width, height)); err != nil {
		v.t.Fatal(err)
	}
}

// height waits for pictures so many pixels high.
func (v *view) height(want int) {
	v.t.Helper()
	v.until("document.querySelector('video')?.videoHeight === %d", want)
	v.live()
}

// picks chooses from the open menu of pictures with the mouse.
func (v *view) picks(label string) {
	v.t.Helper()
	v.until("document.querySelector('[role=menuitemradio]')?.getBoundingClientRect().width")
	js[chromedp.Void](v, "[...document.querySelectorAll('[role=menuitemradio]')].forEach((i) => { i.dataset.label = i.querySelector('span').textContent; })")
	v.click(fmt.Sprintf(`[data-label=%q]`, label))
}

// chosen is what the menu of pictures shows as chosen.
func (v *view) chosen() string {
	v.t.Helper()
	return js[string](v, "document.querySelector('[role=menuitemradio][aria-checked=true] span').textContent")
}

func (v *view) press(keys string) {
	v.t.Helper()
	v.until("document.getElementById('help')") // what listens to keys comes after the picture
	if err := chromedp.Do(v.ctx, chromedp.KeyEvent(keys)); err != nil {
		v.t.Fatal(err)
	}
}

func TestAChosenPictureComesAndIsRemembered(t *testing.T) {
	p := share(t, large...)
	v := open(t, p.first)
	v.window(1300, 800)
	v.height(720)
	v.click(pictureButton)
	v.picks("180p")
	v.height(180)

	v.goTo("about:blank")
	v.goTo(p.first)
	v.height(180)
	v.until("document.querySelector('[role=menuitemradio][aria-checked=true]')")
	if got := v.chosen(); got != "180p" {
		t.Errorf("when it was loaded again the menu says %q", got)
	}

	// With the keyboard alone: up to the first, which is Auto.
	v.press("q")
	v.until("document.activeElement.getAttribute('role') === 'menuitemradio'")
	v.press("\u0306") // Home
	v.press("\r")
	v.height(720)
	if got := v.chosen(); got != "Auto" {
		t.Errorf("after Home and Enter the menu says %q", got)
	}
	if !js[bool](v, "document.activeElement === document.querySelector(%q)", pictureButton) {
		t.Error("the keyboard's focus did not come back to the button")
	}
	v.clean()
}

func TestThePictureIsAsLargeAsItIsShown(t *testing.T) {
	v := open(t, share(t, large...).first)
	v.window(1300, 800)
	v.height(720)
	v.window(340, 300)
	v.height(180)
	v.click(pictureButton)
	v.reads("shown no larger")
	v.window(1300, 800)
	v.height(720)
}

func TestEachTileAsksForItself(t *testing.T) {
	server := serve(t, "127.0.0.1:0")
	key := filepath.Join(t.TempDir(), "key")
	one := shareOn(t, server.ws(), append(slices.Clone(large), "--key-file", key)...)
	shareOn(t, server.ws(), append(slices.Clone(large), "--key-file", key)...)
	eventually(t, "both cameras are in the room", server.present(2, 0))
	v := open(t, one.first)
	v.window(1300, 800) // two tiles of 636 pixels, side by side
	height := func(n, want int) {
		t.Helper()
		v.until("document.querySelectorAll('video')[%d]?.videoHeight === %d", n, want)
	}
	v.until("document.querySelector(%q)?.getBoundingClientRect().width", pictureButton)
	height(0, 360)
	height(1, 360)
	v.click(".tile:nth-of-type(1) .opener")
	height(0, 720)
	// The other is behind it, and pauses.
	still(v, 1)
	v.press("\u001b") // Escape
	height(0, 360)
	v.picture(1)
	height(1, 360)
	if got := js[string](v, "probe.states.slice(probe.states.indexOf('live')).join()"); got != "live" {
		t.Errorf("meanwhile the page said: %s", got)
	}
	v.clean()
}

// still waits until the nth video shows no new picture for a while, although
// it is said to be live.
func still(v *view, n int) {
	v.t.Helper()
	eventually(v.t, "the picture stands still", func() bool {
		return js[bool](v, `(async (video) => {
			const moved = new Promise((resolve) => video.requestVideoFrameCallback(() => resolve(false)));
			return Promise.race([moved, probe.pause(3000).then(() => true)]);
		})(document.querySelectorAll('video')[%d])`, n)
	})
	if state := js[string](v, "document.querySelectorAll('.tile')[%d].dataset.state", n); state != "live" {
		v.t.Errorf("a picture that pauses is said to be %s", state)
	}
}

func TestAPageInTheBackgroundPauses(t *testing.T) {
	// No sound: nothing but the data channel tells that the camera is still there.
	p := share(t, "--mic", "none")
	v := open(t, p.first)
	v.live()
	v.until("document.querySelector(%q)?.getBoundingClientRect().width", pictureButton)
	turn := func(state string) {
		js[chromedp.Void](v, `Object.defineProperty(document, 'visibilityState', { value: %q, configurable: true });
			document.dispatchEvent(new Event('visibilitychange'))`, state)
	}
	turn("hidden")
	before := p.metric("peercam_viewers")
	still(v, 0)
	turn("visible")
	v.live()
	if after := p.metric("peercam_viewers"); before != 1 || after != 1 {
		t.Errorf("there were %v viewers before the pause and %v after it", before, after)
	}
	if n := js[int](v, "probe.peers.length"); n != 1 {
		t.Errorf("the page made %d connections", n)
	}
	if got := js[string](v, "probe.states.slice(probe.states.indexOf('live')).join()"); got != "live" {
		t.Errorf("meanwhile the page said: %s", got)
	}
	// What nobody saw was no freeze.
	v.press("i") // for statistics
	v.until(`/Frozen\s+never/.test(document.body.innerText)`)
	v.clean()
}

// The page against cameras that say what is hard to bring about, or nothing.
func TestThePageTellsWhatTheCameraSays(t *testing.T) {
	v := open(t, share(t).first)
	v.live()
	rungs := `"rungs":[{"width":1280,"height":720},{"width":640,"height":360},{"width":320,"height":180}]`
	for _, c := range []struct{ stats, says string }{
		{`{}`, ""}, // from before there were rungs
		{`{"rungs":7,"rung":"x"}`, ""},
		{`{` + rungs + `,"rung":1,"width":640,"height":360,"layer":2,"layers":3,"why":"bandwidth"}`, "640 × 360, rung 2 of 3, all layers · the link carries no more"},
		{`{` + rungs + `,"rung":0,"width":1280,"height":720,"layer":0,"layers":1,"why":""}`, "1280 × 720, rung 1 of 3"},
		{`{` + rungs + `,"rung":2,"width":320,"height":180,"layer":1,"layers":3,"why":"choice"}`, "320 × 180, rung 3 of 3, 2 of 3 layers · as chosen"},
		{`{` + rungs + `,"rung":2,"paused":true,"why":"bandwidth"}`, "Paused · the link is too thin for pictures"},
		{`{` + rungs + `,"rung":2,"layer":2,"layers":3,"why":"constructor"}`, "rung 3 of 3, all layers"},
	} {
		if got := js[string](v, "import('/viewer/choice.js').then(({ gist }) => gist(%s))", c.stats); got != c.says {
			t.Errorf("%s reads %q, want %q", c.stats, got, c.says)
		}
	}
	for _, c := range []struct {
		rungs, choice string
		labels        []string
		chosen        int
	}{
		{`[{"height":180}]`, `{"choice":"auto"}`, []string{"Auto", "Data saver"}, 0},
		{`[{"height":180}]`, `{"choice":"fixed","maxHeight":720}`, []string{"Auto", "Data saver"}, 0},
		{`[{"height":180},{"height":360},null,{"height":"x"},{"height":360}]`, `{"choice":"fixed","maxHeight":720}`, []string{"Auto", "360p", "180p", "Data saver"}, 1},
		{`[{"height":360},{"height":180}]`, `{"choice":"fixed","maxHeight":100}`, []string{"Auto", "360p", "180p", "Data saver"}, 2},
		{`[{"height":360},{"height":180}]`, `{"choice":"saver"}`, []string{"Auto", "360p", "180p", "Data saver"}, 3},
	} {
		got := js[struct {
			Labels []string
			Chosen int
		}](v, `import('/viewer/choice.js').then(({ options, chosen }) => {
			const all = options(%s);
			return { Labels: all.map((o) => o.label), Chosen: chosen(all, %s) };
		})`, c.rungs, c.choice)
		if !slices.Equal(got.Labels, c.labels) || got.Chosen != c.chosen {
			t.Errorf("rungs %s with %s: %v, %d is chosen; want %v, %d", c.rungs, c.choice, got.Labels, got.Chosen, c.labels, c.chosen)
		}
	}

	// A link too thin for pictures is said in passing: nothing is lost.
	js[chromedp.Void](v, `window.saying = setInterval(() => probe.controls.at(-1).dispatchEvent(new MessageEvent('message', {
		data: JSON.stringify({ type: 'stats', rungs: [{ width: 640, height: 360 }], rung: 0, paused: true, why: 'bandwidth' }),
	})), 50)`)
	v.until("document.querySelector('.badge')?.textContent === 'The link is too thin for pictures; sound goes on'")
	if state := js[string](v, "document.documentElement.dataset.state"); state != "live" {
		t.Errorf("the page is %s", state)
	}
	js[chromedp.Void](v, "clearInterval(saying)")
	v.until("document.querySelector('.badge')?.textContent === ''")
	v.clean()
}
