package encode

// #cgo CFLAGS: -O3
// #include "scale.h"
import "C"

import "image"

// Rungs of a ladder: the source, a half and a quarter of each side.
const (
	maxRungs = 3
	// leastSide is the shorter side below which a rung is no use, pixels.
	leastSide = 90
)

// rungSizes are the rungs for a source of this size: always the source itself,
// and up to two smaller ones whose sides are even.
func rungSizes(source Size) []Size {
	sizes := append(make([]Size, 0, maxRungs), source)
	for s := halfSize(source); len(sizes) < maxRungs && min(s.Width, s.Height) >= leastSide; s = halfSize(s) {
		sizes = append(sizes, s)
	}
	return sizes
}

// halfSize is even; up to three rows or columns of the larger picture are cut
// off for it.
func halfSize(s Size) Size { return Size{s.Width / 2 &^ 1, s.Height / 2 &^ 1} }

// pyramid is one picture in the sizes of the rungs, each made from the one
// above when it is asked for.
type pyramid struct {
	levels [maxRungs]*image.YCbCr // 0 is the source's, the others' memory is kept
	made   int                    // levels that are of this picture
}

func (p *pyramid) begin(img *image.YCbCr) { p.levels[0], p.made = img, 1 }

// level is the picture for rung i. One that cannot be scaled is returned as it
// is, for the encoder to say why.
func (p *pyramid) level(i int) *image.YCbCr {
	if p.made == 1 && i > 0 && checkPicture(p.levels[0]) != nil {
		return p.levels[0]
	}
	for ; p.made <= i; p.made++ {
		p.levels[p.made] = halve(p.levels[p.made], p.levels[p.made-1])
	}
	return p.levels[i]
}

// end lets the source's picture go.
func (p *pyramid) end() { p.levels[0], p.made = nil, 0 }

// halve makes a picture of half of each side into to, which is made anew if
// its size is not right. from has been checked, and is not smaller than 4x4.
// Chroma lies between the same four pixels of luma in both.
func halve(to, from *image.YCbCr) *image.YCbCr {
	size := halfSize(Size{from.Rect.Dx(), from.Rect.Dy()})
	w, h := size.Width, size.Height
	if to == nil || to.Rect.Dx() != w || to.Rect.Dy() != h {
		to = image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	}
	y := from.YOffset(from.Rect.Min.X, from.Rect.Min.Y)
	c := from.COffset(from.Rect.Min.X, from.Rect.Min.Y)
	halvePlane(to.Y, to.YStride, from.Y[y:], from.YStride, w, h)
	halvePlane(to.Cb, to.CStride, from.Cb[c:], from.CStride, w/2, h/2)
	halvePlane(to.Cr, to.CStride, from.Cr[c:], from.CStride, w/2, h/2)
	return to
}

func halvePlane(to []byte, toStride int, from []byte, fromStride, width, height int) {
	C.peercam_halve((*C.uint8_t)(&to[0]), C.int(toStride),
		(*C.uint8_t)(&from[0]), C.int(fromStride), C.int(width), C.int(height))
}
