package capture

import "image"

// chromaKind is how chroma is subsampled in a raw picture.
type chromaKind byte

const (
	chroma420 chromaKind = iota
	chroma422
	chroma444
	chroma444Alpha // the alpha plane is left out
	chromaMono
)

// layout is a raw planar picture: Y, Cb, Cr, each without padding.
type layout struct {
	w, h int
	kind chromaKind
}

// direct tells that the picture is laid out as a frame of a framePool is.
func (l layout) direct() bool {
	return l.kind == chroma420 && l.w%2 == 0 && l.h%2 == 0
}

// chroma is the size of a chroma plane.
func (l layout) chroma() (w, h int) {
	switch l.kind {
	case chroma420:
		return (l.w + 1) / 2, (l.h + 1) / 2
	case chroma422:
		return (l.w + 1) / 2, l.h
	case chromaMono:
		return 0, 0
	}
	return l.w, l.h
}

// size is the picture's length in bytes.
func (l layout) size() int {
	cw, ch := l.chroma()
	n := l.w*l.h + 2*cw*ch
	if l.kind == chroma444Alpha {
		n += l.w * l.h
	}
	return n
}

// convert writes raw to dst, which has l's size rounded down to even: the odd
// column and row are cropped, chroma is averaged over the pixels it stands for.
func (l layout) convert(dst *image.YCbCr, raw []byte) {
	w, h := dst.Rect.Dx(), dst.Rect.Dy()
	for y := range h {
		copy(dst.Y[y*dst.YStride:][:w], raw[y*l.w:])
	}
	cw, ch := l.chroma()
	planes := raw[l.w*l.h:]
	for i, out := range [][]byte{dst.Cb, dst.Cr} {
		if l.kind == chromaMono {
			set(out, 128)
			continue
		}
		in := planes[i*cw*ch : (i+1)*cw*ch]
		for y := range h / 2 {
			line := out[y*dst.CStride:][:w/2]
			switch l.kind {
			case chroma420:
				copy(line, in[y*cw:])
			case chroma422:
				average2(line, in[2*y*cw:], in[(2*y+1)*cw:])
			default:
				average4(line, in[2*y*cw:], in[(2*y+1)*cw:])
			}
		}
	}
}

// average2 is the mean of two lines.
func average2(out, a, b []byte) {
	a, b = a[:len(out)], b[:len(out)]
	for i := range out {
		out[i] = byte((int(a[i]) + int(b[i]) + 1) / 2)
	}
}

// average4 is the mean of the 2x2 squares in two lines.
func average4(out, a, b []byte) {
	a, b = a[:2*len(out)], b[:2*len(out)]
	for i := range out {
		out[i] = byte((int(a[2*i]) + int(a[2*i+1]) + int(b[2*i]) + int(b[2*i+1]) + 2) / 4)
	}
}
