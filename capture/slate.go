package capture

import (
	"context"
	"image"
	"math"

	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/gofont/goregular"
)

// slate draws what is shown instead of a picture: a dark frame with a caption,
// a smaller line below, and three dots that breathe, so that whoever watches
// sees that it is alive. Only the dots are drawn anew.
type slate struct {
	pool         framePool
	w, h, beat   int
	caption, why string
	dots         [3]image.Point
	disc         []byte
	radius       int
	still        *image.YCbCr
	large, small *lettering
}

var (
	slateTop    = colour{32, 130, 127}
	slateBottom = colour{20, 129, 127}
)

// frame is the next slate. It has no stamp yet.
func (s *slate) frame(w, h int, caption, why string) *Frame {
	if s.still == nil || w != s.w || h != s.h || caption != s.caption || why != s.why {
		s.w, s.h, s.caption, s.why = w, h, caption, why
		s.compose()
	}
	f := s.pool.get(w, h)
	copy(f.i420(), s.still.Y[:cap(s.still.Y)])
	s.beat++
	for i, at := range s.dots {
		// One breath in two seconds, the dots a fifth of it apart.
		phase := 2 * math.Pi * (float64(s.beat)/10 - float64(i)/5)
		luma := byte(75 + 50*math.Cos(phase))
		for y := range 2 * s.radius {
			if at.Y+y < 0 || at.Y+y >= f.Rect.Dy() || at.X < 0 || at.X+2*s.radius > f.Rect.Dx() {
				continue
			}
			o := (at.Y+y)*f.YStride + at.X
			blend(f.Y[o:o+2*s.radius], s.disc[y*2*s.radius:(y+1)*2*s.radius], luma)
		}
	}
	return f
}

// compose draws what stands still.
func (s *slate) compose() {
	s.still = newI420(s.w&^1, s.h&^1)
	w, h := s.still.Rect.Dx(), s.still.Rect.Dy()
	for y := 0; y < h; y += 2 {
		c := slateTop
		c.y -= byte((int(slateTop.y) - int(slateBottom.y)) * y / h)
		fill(s.still, image.Rect(0, y, w, y+2), c)
	}
	size := min(w/14, h/9)
	s.large, s.small = newLettering(gomedium.TTF, size), newLettering(goregular.TTF, size/2)
	room := w - w/10
	caption, why := s.large.fit(s.caption, room), s.small.fit(s.why, room)
	y := h/2 - s.large.height
	s.large.draw(s.still, (w-s.large.width(caption))/2, y, caption, 190)
	y += s.large.height + s.small.height/3
	s.small.draw(s.still, (w-s.small.width(why))/2, y, why, 110)

	s.radius = max(1, size/10)
	s.disc = disc(s.radius)
	y += 2 * s.small.height
	for i := range s.dots {
		s.dots[i] = image.Pt(w/2+(i-1)*5*s.radius-s.radius, y)
	}
}

// Captioned writes a caption across every picture of src.
//
// If src is an io.Closer, so is the result.
func Captioned(src VideoSource, caption string) VideoSource {
	return forwardClose(&captioned{src, caption})
}

type captioned struct {
	VideoSource
	caption string
}

func (c *captioned) Unwrap() VideoSource { return c.VideoSource }

func (c *captioned) Open(ctx context.Context, want Format) (VideoReader, error) {
	r, err := c.VideoSource.Open(ctx, want)
	if err != nil {
		return nil, err
	}
	return &captionedReader{VideoReader: r, caption: c.caption}, nil
}

type captionedReader struct {
	VideoReader
	caption string
	letters *lettering
	size    image.Point
	text    string // caption as it fits
	box     image.Rectangle
}

func (c *captionedReader) Read() (*Frame, error) {
	f, err := c.VideoReader.Read()
	if err != nil {
		return nil, err
	}
	if size := f.Rect.Size(); size != c.size {
		c.layOut(size)
	}
	fill(f.YCbCr, c.box, slateBottom)
	c.letters.draw(f.YCbCr, c.box.Min.X+c.letters.height/2, c.box.Min.Y+c.letters.height/4, c.text, 215)
	return f, nil
}

// layOut puts the caption a third from the top, where the test picture has its
// bars.
func (c *captionedReader) layOut(size image.Point) {
	w, h := size.X, size.Y
	c.size, c.letters = size, newLettering(gomedium.TTF, min(w/16, h/10))
	pad := c.letters.height / 2
	c.text = c.letters.fit(c.caption, w-2*pad)
	half := image.Pt(c.letters.width(c.text)/2+pad, c.letters.height*3/4)
	at := image.Pt(w/2, h/3)
	c.box = image.Rect((at.X-half.X)&^1, (at.Y-half.Y)&^1, (at.X+half.X)&^1, (at.Y+half.Y)&^1)
}
