package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// What is measured here is what a person at a bad link sees: peercam at one end
// of a shaped link, Chromium at the other. The clocks of both are one, so the
// barcode of a frame tells its age on the screen. Run by `make bench-net`.

// shareFilm shares a film of 1280x720 at 30 frames a second.
func shareFilm(b *testing.B, l *link) *process {
	b.Helper()
	return shareOver(b, l, film(b), "--camera", "-")
}

// screen is large enough for a page to ask for all of the film.
var screen = chromedp.WindowSize(1400, 1000)

// change is a moment of a scenario.
type change struct {
	at     time.Duration // since the page was opened
	shape  *shape        // from now on
	silent time.Duration // for which nothing passes
}

// scenario is one viewer at the far end of a link that may change.
type scenario struct {
	name    string
	shape   shape
	changes []change
	length  time.Duration // after the first picture
	// more reports what only this scenario is about; at is when its changes
	// were, in Unix milliseconds.
	more func(b *testing.B, r recording, at []float64)
}

var scenarios = []scenario{
	{
		name: "step", shape: shape{rate: 2.5e6, delay: 20 * time.Millisecond}, length: 55 * time.Second,
		changes: []change{
			{at: 15 * time.Second, shape: &shape{rate: 500e3, delay: 20 * time.Millisecond}},
			{at: 35 * time.Second, shape: &shape{rate: 2.5e6, delay: 20 * time.Millisecond}},
		},
		more: func(b *testing.B, r recording, at []float64) {
			report(b, r.after(at[0], 5000, func(f shownFrame) bool { return f.Age != nil && *f.Age < 300 }), "s-until-young-after-fall")
			report(b, r.after(at[1], 5000, func(f shownFrame) bool { return f.Width == 1280 }), "s-until-720p-after-rise")
			report(b, r.within(at[0], at[1]).figures().fps, "fps-while-thin")
		},
	},
	{name: "thin", shape: shape{rate: 350e3, delay: 40 * time.Millisecond}, length: 20 * time.Second},
	{name: "loss5", shape: shape{rate: 4e6, delay: 20 * time.Millisecond, loss: 0.05}, length: 20 * time.Second},
	{name: "wifi", shape: shape{rate: 2.5e6, delay: 30 * time.Millisecond, jitter: 15 * time.Millisecond, loss: 0.03, burst: 5}, length: 20 * time.Second},
	{
		name: "outage", shape: shape{rate: 4e6, delay: 20 * time.Millisecond}, length: 40 * time.Second,
		changes: []change{{at: 12 * time.Second, silent: 3 * time.Second}, {at: 25 * time.Second, silent: 6 * time.Second}},
		more: func(b *testing.B, r recording, at []float64) {
			any := func(shownFrame) bool { return true }
			// The outages themselves are no fault of anybody here.
			report(b, 1000*r.after(at[0]+3000, 0, any), "ms-until-back-after-3s")
			report(b, 1000*r.after(at[1]+6000, 0, any), "ms-until-back-after-6s")
			report(b, float64(r.Samples[len(r.Samples)-1].Connections-1), "reconnects")
		},
	},
}

// BenchmarkNet shows how peercam does over one bad link after another.
func BenchmarkNet(b *testing.B) {
	for _, s := range scenarios {
		b.Run(s.name, func(b *testing.B) { benchScenario(b, s) })
	}
	b.Run("two", benchTwo)
	b.Run("forty", BenchmarkFurtherViewers) // all on one rung
}

func benchScenario(b *testing.B, s scenario) {
	l := newLink(b, s.shape)
	p := shareFilm(b, l)
	browser := l.far.browser(b, screen)
	opened := time.Now()
	v := record(b, browser, p.first)
	v.until("record.pictureAt > 0")
	began, before, idled := time.Now(), costOf(b, p.cmd.Process.Pid), idle(b)
	at := make([]float64, len(s.changes))
	for i, c := range s.changes {
		pause(time.Until(opened.Add(c.at)))
		at[i] = float64(time.Now().UnixMilli())
		if c.shape != nil {
			l.set(*c.shape)
		}
		l.silence(c.silent)
	}
	pause(time.Until(began.Add(s.length)))
	after, took := costOf(b, p.cmd.Process.Pid), time.Since(began)
	r := v.recorded()
	report(b, r.PictureAt, "ms-to-picture")
	reportFigures(b, r.figures(), "")
	report(b, percent(after.cpu-before.cpu, took), "cpu-%")
	report(b, idlePercent(b, idled, took), "idle-%")
	if s.more != nil {
		s.more(b, r, at)
	}
	logSeconds(b, r)
}

// reportFigures reports figures under names that begin with who.
func reportFigures(b *testing.B, f figures, who string) {
	report(b, f.fps, who+"fps")
	report(b, f.ageP50, who+"age-p50-ms")
	report(b, f.ageP95, who+"age-p95-ms")
	report(b, f.ageMost, who+"age-max-ms")
	report(b, f.gap, who+"gap-max-ms")
	report(b, f.frozen, who+"frozen-s")
	report(b, f.kbits, who+"kbit/s")
	report(b, 100*f.wide, who+"720p-%")
	if f.illegible > 0 {
		b.Logf("the age of %d frames could not be read", f.illegible)
	}
}

// logSeconds shows the course of a recording.
func logSeconds(b *testing.B, r recording) {
	b.Helper()
	if len(r.Frames) == 0 {
		return
	}
	text := "second: fps, age, kbit/s, width, frozen s\n"
	for from := r.Frames[0].At; from < r.Frames[len(r.Frames)-1].At; from += 1000 {
		part := r.within(from, from+1000)
		width := 0
		if n := len(part.Frames); n > 0 {
			width = part.Frames[n-1].Width
		}
		f := r.within(from-500, from+1000).figures() // samples are half a second apart
		text += fmt.Sprintf("%3.0f: %2d %5.0f %5.0f %5d %5.2f\n",
			(from-r.Frames[0].At)/1000, len(part.Frames), part.figures().ageP50, f.kbits, width, f.frozen)
	}
	b.Log(text)
}

// benchTwo is a viewer without limits beside one behind 400 kbit/s.
func benchTwo(b *testing.B) {
	const start, length = 3 * time.Second, 20 * time.Second // of the bad one, which is not measured
	l := newLink(b, shape{rate: 400e3, delay: 20 * time.Millisecond})
	p := shareFilm(b, l)
	pid := p.cmd.Process.Pid
	browsers := [2]context.Context{l.near.browser(b, screen), l.far.browser(b, screen)}

	good := record(b, browsers[0], p.first)
	good.until("record.pictureAt > 0")
	pause(2 * settle)
	began, before := time.Now(), costOf(b, pid)
	pause(length)
	aloneCost, aloneTook := costOf(b, pid), time.Since(began)
	alone := between(good.recorded(), began, time.Now())

	bad := record(b, browsers[1], p.first)
	bad.until("record.pictureAt > 0")
	pause(start)
	began = time.Now()
	before, aloneCost.cpu = costOf(b, pid), aloneCost.cpu-before.cpu
	idled := idle(b)
	pause(length)
	bothCost, bothTook := costOf(b, pid), time.Since(began)
	now := time.Now()
	both := between(good.recorded(), began, now)

	reportFigures(b, both.figures(), "good-")
	report(b, alone.figures().kbits, "good-alone-kbit/s")
	report(b, both.figures().kbits/alone.figures().kbits, "good/alone")
	recorded := bad.recorded()
	reportFigures(b, between(recorded, began, now).figures(), "bad-")
	logSeconds(b, recorded)
	one, two := percent(aloneCost.cpu, aloneTook), percent(bothCost.cpu-before.cpu, bothTook)
	report(b, one, "cpu-%-one")
	report(b, two, "cpu-%-both")
	report(b, two/one, "cpu/one")
	report(b, idlePercent(b, idled, bothTook), "idle-%")
}

// idle is how long the machine's processors had nothing to do, added up. Where
// they never have, what is measured is the machine.
func idle(b *testing.B) time.Duration {
	b.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		b.Fatal(err)
	}
	var user, nice, system, ticks int64 // of 10 ms, proc(5)
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d", &user, &nice, &system, &ticks); err != nil {
		b.Fatal("/proc/stat: ", err)
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func idlePercent(b *testing.B, before, took time.Duration) float64 {
	return percent(idle(b)-before, took) / float64(runtime.NumCPU())
}

func between(r recording, from, to time.Time) recording {
	return r.within(float64(from.UnixMilli()), float64(to.UnixMilli()))
}
