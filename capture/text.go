package capture

import (
	"fmt"
	"image"

	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// lettering draws text of one font and size into the luma of pictures. Glyphs
// are rendered when they are first used, so drawing costs no allocation.
// Not for concurrent use.
type lettering struct {
	face           font.Face
	glyphs         map[rune]glyph
	ascent, height int
}

type glyph struct {
	mask      []byte // coverage, w*h
	w, h      int
	left, top int // of the mask, from the pen on the baseline
	advance   int
}

// newLettering renders the TrueType font ttf at size pixels an em.
func newLettering(ttf []byte, size int) *lettering {
	f, err := opentype.Parse(ttf)
	if err != nil {
		panic(fmt.Sprintf("capture: embedded font: %v", err))
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: float64(max(size, 4)), DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		panic(fmt.Sprintf("capture: embedded font: %v", err))
	}
	m := face.Metrics()
	return &lettering{
		face: face, glyphs: make(map[rune]glyph),
		ascent: m.Ascent.Ceil(), height: m.Ascent.Ceil() + m.Descent.Ceil(),
	}
}

func (l *lettering) glyph(r rune) glyph {
	if g, ok := l.glyphs[r]; ok {
		return g
	}
	// Unknown runes come as the font's own box.
	dr, mask, at, advance, _ := l.face.Glyph(fixed.Point26_6{}, r)
	g := glyph{w: dr.Dx(), h: dr.Dy(), left: dr.Min.X, top: dr.Min.Y, advance: advance.Round()}
	g.mask = make([]byte, g.w*g.h)
	for y := range g.h {
		for x := range g.w {
			_, _, _, a := mask.At(at.X+x, at.Y+y).RGBA()
			g.mask[y*g.w+x] = byte(a >> 8)
		}
	}
	l.glyphs[r] = g
	return g
}

// width is how many pixels s takes.
func (l *lettering) width(s string) int {
	n := 0
	for _, r := range s {
		n += l.glyph(r).advance
	}
	return n
}

// fit shortens s to at most width pixels, with an ellipsis if it has to.
func (l *lettering) fit(s string, width int) string {
	if l.width(s) <= width {
		return s
	}
	r := []rune(s)
	for len(r) > 0 && l.width(string(r))+l.width("…") > width {
		r = r[:len(r)-1]
	}
	return string(r) + "…"
}

// draw writes s with its upper left corner at x, y, in the given luma.
func (l *lettering) draw(dst *image.YCbCr, x, y int, s string, luma byte) {
	for _, r := range s {
		x += l.drawRune(dst, x, y, r, luma)
	}
}

// drawBytes is draw for text that is made anew for each frame.
func (l *lettering) drawBytes(dst *image.YCbCr, x, y int, s []byte, luma byte) {
	for _, c := range s {
		x += l.drawRune(dst, x, y, rune(c), luma)
	}
}

func (l *lettering) drawRune(dst *image.YCbCr, x, y int, r rune, luma byte) (advance int) {
	g := l.glyph(r)
	x, y = x+g.left, y+l.ascent+g.top
	x0, x1 := max(0, -x), min(g.w, dst.Rect.Dx()-x)
	for row := max(0, -y); row < min(g.h, dst.Rect.Dy()-y) && x0 < x1; row++ {
		o := (y+row)*dst.YStride + x
		blend(dst.Y[o+x0:o+x1], g.mask[row*g.w+x0:row*g.w+x1], luma)
	}
	return g.advance
}

// blend lays luma over line where mask covers it.
func blend(line, mask []byte, luma byte) {
	line = line[:len(mask)]
	for i, a := range mask {
		switch a {
		case 0:
		case 255:
			line[i] = luma
		default:
			line[i] = byte((int(line[i])*(255-int(a)) + int(luma)*int(a)) / 255)
		}
	}
}

// colour is a BT.601 colour in studio range (luma 16 to 235).
type colour struct{ y, cb, cr byte }

// fill paints r, clipped to the picture; its corners should be even.
func fill(dst *image.YCbCr, r image.Rectangle, c colour) {
	fillLuma(dst, r, c.y)
	r = r.Intersect(dst.Rect)
	for y := r.Min.Y / 2; y < r.Max.Y/2; y++ {
		o := y * dst.CStride
		set(dst.Cb[o+r.Min.X/2:o+r.Max.X/2], c.cb)
		set(dst.Cr[o+r.Min.X/2:o+r.Max.X/2], c.cr)
	}
}

// fillLuma paints the luma of r, which need not be even.
func fillLuma(dst *image.YCbCr, r image.Rectangle, luma byte) {
	r = r.Intersect(dst.Rect)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		set(dst.Y[y*dst.YStride+r.Min.X:y*dst.YStride+r.Max.X], luma)
	}
}

// set fills b by doubling, which runs at memmove's speed.
func set(b []byte, v byte) {
	if len(b) == 0 {
		return
	}
	b[0] = v
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}
