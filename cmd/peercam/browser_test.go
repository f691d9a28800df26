package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// probe runs in every page before the page's own scripts: it keeps what they
// do with the browser, and can wait for what a person would wait for.
//
//go:embed testdata/probe.js
var probe string

// browserPath finds the browser that `make deps-test` installs.
func browserPath() (string, error) {
	for _, name := range []string{
		"chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
		"/Applications/Chromium.app/Contents/MacOS/Chromium",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
		`C:\Program Files\Google\Chrome\Application\chrome.exe`,
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no Chromium or Chrome here to test the page with: run `make deps-test`, which installs it")
}

// browser is one for all tests, started by the first that wants it.
var browser struct {
	once sync.Once
	ctx  context.Context
	stop context.CancelFunc // of the process
	err  error
}

func launch(extra ...chromedp.ExecAllocatorOption) (context.Context, context.CancelFunc, error) {
	path, err := browserPath()
	if err != nil {
		return nil, nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("mute-audio", true),
		// Their .local names would need mDNS on the machine.
		chromedp.Flag("disable-features", "WebRtcHideLocalIpsWithMdns,Translate,BlinkGenPropertyTrees"),
		chromedp.WindowSize(960, 640),
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(options, extra...)...)
	ctx, _ := chromedp.NewContext(alloc) // ended by chromedp.Cancel in closeBrowser, or with alloc
	if err := chromedp.Do(ctx); err != nil {
		stop()
		return nil, nil, fmt.Errorf("starting %s: %w", path, err)
	}
	return ctx, func() {
		late, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		_ = chromedp.Cancel(late) // stop kills it if it does not go
		stop()
	}, nil
}

func closeBrowser() {
	if browser.stop != nil {
		browser.stop()
	}
}

// view is a tab that has a page of the program open, in a profile of its own.
type view struct {
	t   testing.TB
	ctx context.Context
}

// open opens a link in a new tab.
func open(t testing.TB, link string) *view {
	t.Helper()
	browser.once.Do(func() { browser.ctx, browser.stop, browser.err = launch() })
	if browser.err != nil {
		t.Fatal(browser.err)
	}
	return openIn(t, browser.ctx, link)
}

func openIn(t testing.TB, browser context.Context, link string) *view {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	v := &view{t: t, ctx: ctx}
	t.Cleanup(func() {
		if t.Failed() {
			v.tell()
		}
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("closing the tab: %v", err)
		}
		cancel()
	})
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: probe}); err != nil {
		t.Fatal(err)
	}
	v.goTo(link)
	return v
}

func (v *view) goTo(link string) {
	v.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		went, err := chromedp.Call(v.ctx, page.Navigate, page.NavigateParams{URL: link})
		if err != nil {
			v.t.Fatal(err)
		}
		// A network that has just been set up may still be changing in Chromium's eyes.
		if went.ErrorText != "net::ERR_NETWORK_CHANGED" || time.Now().After(deadline) {
			break
		}
	}
	v.until("document.body !== null") // not the load event, which waits for icons and the like
}

// tell logs what is on the page of a test that failed.
func (v *view) tell() {
	ctx, cancel := context.WithTimeout(v.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`probe.tell()`))
	v.t.Logf("the page: %s %v", text, err)
}

// js evaluates a JavaScript expression in the page, and awaits it if it is a
// promise.
func js[T any](v *view, expression string, args ...any) T {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, patience+10*time.Second)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](fmt.Sprintf(expression, args...), chromedp.EvalAwaitPromise))
	if err != nil {
		v.t.Fatalf("in the page, %s: %v", fmt.Sprintf(expression, args...), err)
	}
	return value
}

// until waits until a JavaScript expression is true in the page.
func (v *view) until(expression string, args ...any) {
	v.t.Helper()
	js[bool](v, "probe.until(() => (%s), %d)", fmt.Sprintf(expression, args...), patience.Milliseconds())
}

// state waits until the page says that it is in a state.
func (v *view) state(want string) {
	v.t.Helper()
	v.until("document.documentElement.dataset.state === %q", want)
}

// picture is a frame of the test source, as it is on the screen.
type picture struct {
	// Time is when it was taken, read from its barcode: Unix milliseconds.
	Time int64 `json:"time"`
	// Now is the browser's clock when it was shown.
	Now int64 `json:"now"`
}

// picture waits for the next frame of the nth video that has a barcode.
func (v *view) picture(n int) picture {
	v.t.Helper()
	return js[picture](v, "probe.picture(%d, %d)", n, patience.Milliseconds())
}

// live waits for the state live, and for two moving pictures of now.
func (v *view) live() {
	v.t.Helper()
	v.state("live")
	// A busy machine shows old pictures, and one for a while, before it catches up.
	last := v.picture(0)
	for deadline := time.Now().Add(patience); ; {
		next := v.picture(0)
		age := next.Now - next.Time
		if next.Time > last.Time && age > -1000 && age < 10_000 {
			return
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("no moving picture of now: taken at %d, then at %d, %d ms ago", last.Time, next.Time, age)
		}
		last = next
	}
}

// since waits for a picture that was taken after a moment.
func (v *view) since(moment time.Time) {
	v.t.Helper()
	for deadline := time.Now().Add(patience); v.picture(0).Time < moment.UnixMilli(); {
		if time.Now().After(deadline) {
			v.t.Fatalf("no picture was taken after %v", moment)
		}
	}
}

// text is what a person reads on the page.
func (v *view) text() string { return js[string](v, "document.body.innerText") }

// reads fails the test if the page does not say text.
func (v *view) reads(text string) {
	v.t.Helper()
	if got := v.text(); !strings.Contains(got, text) {
		v.t.Errorf("the page does not say %q; it says: %s", text, got)
	}
}

// clean fails the test if the page has made an error that a developer would
// see in red.
func (v *view) clean() {
	v.t.Helper()
	if errs := js[[]string](v, "probe.errors"); len(errs) > 0 {
		v.t.Errorf("errors in the page: %q", errs)
	}
}
