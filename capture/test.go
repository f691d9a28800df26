package capture

import (
	"context"
	"fmt"
	"image"
	"math"
	"time"

	"golang.org/x/image/font/gofont/gomonobold"
)

// The picture and the sound of the test source when nothing else is asked for.
const (
	defaultWidth  = 1280
	defaultHeight = 720
	defaultFPS    = 30
)

// flash is how long the test picture's square is white and the test sound
// beeps, from each full second of the wall clock on.
const flash = 100 * time.Millisecond

// testVideo is a moving picture that shows when it was made: in digits, by a
// flash at each full second, and in the barcode that ReadBarcode reads.
type testVideo struct{ want Format }

func (t *testVideo) String() string { return "test" }

func (t *testVideo) Open(_ context.Context, want Format) (VideoReader, error) {
	f := want.or(t.want).or(Format{defaultWidth, defaultHeight, defaultFPS})
	switch { // one side alone asks for 16:9
	case f.Width == 0:
		f.Width = f.Height * 16 / 9
	case f.Height == 0:
		f.Height = f.Width * 9 / 16
	}
	f.Width, f.Height = f.Width&^1, f.Height&^1
	if f.Width < 16 || f.Height < 16 || f.Width > maxSide || f.Height > maxSide {
		return nil, fmt.Errorf("test picture: a size of %dx%d cannot be had: ask for 16x16 to %dx%d", f.Width, f.Height, maxSide, maxSide)
	}
	if !(f.FPS >= 0.1 && f.FPS <= 1000) {
		return nil, fmt.Errorf("test picture: %v frames a second cannot be had: ask for 0.1 to 1000", f.FPS)
	}
	r := &testReader{format: f, card: newTestCard(f.Width, f.Height)}
	r.num, r.den = int64(math.Round(f.FPS*1000)), 1000
	r.pool.fresh = func(f *Frame) { r.card.background(f.YCbCr) }
	// The grid of due times starts at a full second of the wall clock, so that
	// the flash falls on one when the rate is whole.
	now := time.Now()
	r.pacer = newPacer(now.Add(-time.Duration(now.Nanosecond())))
	r.n = r.gridNow() + 1
	return r, nil
}

type testReader struct {
	format   Format
	num, den int64
	n        int64 // of the next frame on the grid
	pacer    *pacer
	pool     framePool
	card     *testCard
}

func (r *testReader) Format() Format { return r.format }

// gridNow is the last frame that was due.
func (r *testReader) gridNow() int64 {
	return int64(r.pacer.late(0).Seconds() * r.format.FPS)
}

func (r *testReader) Read() (*Frame, error) {
	// As a camera would, it drops the pictures that nobody came for.
	r.n = max(r.n, r.gridNow())
	at, err := r.pacer.wait(ticks(r.n, r.num, r.den))
	if err != nil {
		return nil, err
	}
	r.n++
	f := r.pool.get(r.format.Width, r.format.Height)
	f.Time = at
	r.card.moving(f.YCbCr, at)
	return f, nil
}

func (r *testReader) Close() error {
	r.pacer.stop()
	return nil
}

// testCard draws the test picture: what stands still once into each buffer,
// what moves into each frame.
type testCard struct {
	ramp, track, clock, flash image.Rectangle
	digits                    *lettering
	text                      [32]byte
	ball                      []byte // coverage, 2r*2r
	radius                    int
}

var (
	panel    = colour{28, 130, 127}
	dimmed   = colour{44, 130, 127}
	ballHue  = colour{170, 60, 178}
	testBars = [...]colour{
		{180, 128, 128}, {162, 44, 142}, {131, 156, 44}, {112, 72, 58},
		{84, 184, 198}, {65, 100, 212}, {35, 212, 114},
	}
)

func newTestCard(w, h int) *testCard {
	even := func(f float64, of int) int { return int(f*float64(of)) &^ 1 }
	c := &testCard{radius: max(2, even(0.035, h))}
	c.ramp = image.Rect(0, even(0.60, h), w, even(0.65, h))
	c.track = image.Rect(0, c.ramp.Max.Y, w, c.ramp.Max.Y+2*c.radius+even(0.02, h))
	side := min(even(0.18, h), even(0.18, w))
	margin := even(0.04, h)
	c.flash = image.Rect(w-margin-side, h-margin-side, w-margin, h-margin)
	// Twelve digits of 0.6 em fill what the flash leaves.
	c.digits = newLettering(gomonobold.TTF, min(even(0.17, h), (c.flash.Min.X-2*margin)*10/(12*6)))
	top := (c.flash.Min.Y + c.flash.Max.Y - c.digits.height) / 2
	c.clock = image.Rect(margin, top, margin+c.digits.width("00:00:00.000"), top+c.digits.height)
	c.ball = disc(c.radius)
	c.digits.width("0123456789:.") // renders them, so that the first frame is not late
	return c
}

// disc is the coverage of a circle that fills a square of 2r pixels.
func disc(r int) []byte {
	m := make([]byte, 4*r*r)
	for y := range 2 * r {
		for x := range 2 * r {
			d := math.Hypot(float64(x-r)+0.5, float64(y-r)+0.5)
			m[y*2*r+x] = byte(255 * min(1, max(0, float64(r)-d)))
		}
	}
	return m
}

func (c *testCard) background(dst *image.YCbCr) {
	w := dst.Rect.Dx()
	fill(dst, dst.Rect, panel)
	top := (cellEdge(1, w) + 1) &^ 1
	fill(dst, image.Rect(0, 0, cellEdge(barcodeCells, w)&^1, top), colour{16, 128, 128})
	for i, bar := range testBars {
		n := len(testBars)
		fill(dst, image.Rect(i*w/n&^1, top, (i+1)*w/n&^1, c.ramp.Min.Y), bar)
	}
	fill(dst, c.ramp, colour{16, 128, 128})
	for x := range w {
		fillLuma(dst, image.Rect(x, c.ramp.Min.Y, x+1, c.ramp.Max.Y), byte(16+219*x/w))
	}
	fill(dst, c.flash, dimmed)
}

func (c *testCard) moving(dst *image.YCbCr, at time.Time) {
	// The two clocks behind a time.Time are not read at the very same moment.
	ms := (at.UnixNano() + 500_000) / 1_000_000
	drawBarcode(dst, ms)

	fillLuma(dst, c.clock, panel.y)
	c.digits.drawBytes(dst, c.clock.Min.X, c.clock.Min.Y, time.UnixMilli(ms).AppendFormat(c.text[:0], "15:04:05.000"), 235)

	luma := dimmed.y
	if ms%1000 < flash.Milliseconds() {
		luma = 235
	}
	fillLuma(dst, c.flash, luma)

	fill(dst, c.track, panel)
	phase := float64(ms%4000) / 4000
	span := float64(c.track.Dx() - 2*c.radius)
	x := int(span * (1 - math.Cos(2*math.Pi*phase)) / 2)
	c.drawBall(dst, x, (c.track.Min.Y+c.track.Max.Y)/2-c.radius)
}

func (c *testCard) drawBall(dst *image.YCbCr, x, y int) {
	d := 2 * c.radius
	for row := range d {
		if y+row < 0 || y+row >= dst.Rect.Dy() || x < 0 || x+d > dst.Rect.Dx() {
			continue
		}
		o := (y+row)*dst.YStride + x
		blend(dst.Y[o:o+d], c.ball[row*d:(row+1)*d], ballHue.y)
		if (y+row)%2 == 0 {
			o := (y+row)/2*dst.CStride + x/2
			for i := range d / 2 {
				if c.ball[row*d+2*i] > 127 {
					dst.Cb[o+i], dst.Cr[o+i] = ballHue.cb, ballHue.cr
				}
			}
		}
	}
}
