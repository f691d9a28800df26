package main

import (
	"context"
	_ "embed"
	"math"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

//go:embed testdata/net.js
var recorder string

// recording is what a page has shown, all in Unix milliseconds.
type recording struct {
	Frames  []shownFrame  `json:"frames"`
	Samples []shownSample `json:"samples"`
	// PictureAt is when the first picture was there, since the page was opened.
	PictureAt float64 `json:"pictureAt"`
}

type shownFrame struct {
	At    float64  `json:"at"`
	Age   *float64 `json:"age"` // at At, milliseconds; nil: its barcode was not legible
	Width int      `json:"width"`
}

// shownSample is what the browser has counted until a moment.
type shownSample struct {
	At          float64 `json:"at"`
	Bytes       float64 `json:"bytes"`       // of video, without headers
	Frozen      float64 `json:"frozen"`      // seconds: totalFreezesDuration
	Connections int     `json:"connections"` // made, closed ones too
}

// record opens a page that keeps what it shows.
func record(t testing.TB, browser context.Context, address string) *view {
	t.Helper()
	v := openIn(t, browser, "about:blank")
	if _, err := chromedp.Call(v.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: recorder}); err != nil {
		t.Fatal(err)
	}
	v.goTo(address)
	return v
}

// recorded is what the page has shown until now.
func (v *view) recorded() recording {
	v.t.Helper()
	return js[recording](v, "record")
}

// within is the part of a recording from a moment until another.
func (r recording) within(from, to float64) recording {
	out := func(at float64) bool { return at < from || at >= to }
	r.Frames = slices.DeleteFunc(slices.Clone(r.Frames), func(f shownFrame) bool { return out(f.At) })
	r.Samples = slices.DeleteFunc(slices.Clone(r.Samples), func(s shownSample) bool { return out(s.At) })
	return r
}

// figures are what a person would say of a recording, in numbers.
type figures struct {
	fps                     float64
	ageP50, ageP95, ageMost float64 // milliseconds
	gap                     float64 // milliseconds between the two frames furthest apart
	frozen                  float64 // seconds, as the browser counts them
	kbits                   float64 // a second
	wide                    float64 // part of the frames that are 1280 pixels wide
	illegible               int     // frames without an age
}

func (r recording) figures() figures {
	var f figures
	var ages []float64
	for i, frame := range r.Frames {
		if frame.Age != nil {
			ages = append(ages, *frame.Age)
		}
		if frame.Width == 1280 {
			f.wide += 1 / float64(len(r.Frames))
		}
		if i > 0 {
			f.gap = max(f.gap, frame.At-r.Frames[i-1].At)
		}
	}
	if n := len(r.Frames); n > 1 {
		f.fps = 1000 * float64(n-1) / (r.Frames[n-1].At - r.Frames[0].At)
	}
	if n := len(r.Samples); n > 1 {
		first, last := r.Samples[0], r.Samples[n-1]
		f.frozen = last.Frozen - first.Frozen
		f.kbits = 8 * (last.Bytes - first.Bytes) / (last.At - first.At)
	}
	slices.Sort(ages)
	f.ageP50, f.ageP95, f.ageMost = quantile(ages, 0.5), quantile(ages, 0.95), quantile(ages, 1)
	f.illegible = len(r.Frames) - len(ages)
	return f
}

// quantile is a value that a part of all is below; all are in order.
func quantile(all []float64, part float64) float64 {
	if len(all) == 0 {
		return math.NaN()
	}
	return all[min(len(all)-1, int(part*float64(len(all))))]
}

// after is how many seconds after a moment the first frame came from which on,
// for hold milliseconds, all that were shown satisfied ok. NaN: never.
func (r recording) after(moment, hold float64, ok func(shownFrame) bool) float64 {
	since := math.NaN()
	for _, f := range r.Frames {
		switch {
		case f.At < moment:
		case !ok(f):
			since = math.NaN()
		case math.IsNaN(since):
			since = f.At
		}
		if f.At-since >= hold {
			break
		}
	}
	return (since - moment) / 1000
}

func TestFigures(t *testing.T) {
	// Ten seconds at 20 frames a second, that grow old and small from 4 to 6 s;
	// nothing is shown from 8 to 9 s.
	var r recording
	for i := range 200 {
		at, age, width := 1e12+50*float64(i), 100.0, 1280
		if i >= 80 && i < 120 {
			age, width = 500, 640
		}
		if i >= 160 && i < 180 {
			continue
		}
		f := shownFrame{At: at, Age: &age, Width: width}
		if i == 10 {
			f.Age = nil
		}
		r.Frames = append(r.Frames, f)
	}
	for i := range 21 {
		s := shownSample{At: 1e12 + 500*float64(i), Bytes: 50_000 * float64(i)}
		if i >= 18 {
			s.Frozen = 0.95
		}
		r.Samples = append(r.Samples, s)
	}
	want := figures{fps: 1000 * 179 / 9950.0, ageP50: 100, ageP95: 500, ageMost: 500, gap: 1050, frozen: 0.95, kbits: 800, wide: 140.0 / 180, illegible: 1}
	got := r.figures()
	if math.Abs(got.wide-want.wide) < 1e-9 {
		got.wide = want.wide
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := r.within(1e12, 1e12+3000).figures(); got.fps != 20 || got.frozen != 0 || got.wide < 0.999 {
		t.Errorf("the first 3 s are %+v", got)
	}
	young := func(f shownFrame) bool { return f.Age != nil && *f.Age < 300 }
	if got := r.after(1e12+4000, 1000, young); got != 2 {
		t.Errorf("the picture is young again %v s after it grew old, want 2", got)
	}
	if got := r.after(1e12+4000, 1000, func(f shownFrame) bool { return f.Width == 320 }); !math.IsNaN(got) {
		t.Errorf("the picture is very small after %v s, but it never is", got)
	}
}
