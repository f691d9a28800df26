package main

import "image"

// scaler makes Y4M frames of one size out of pictures of any: scaled to fit,
// with black bars where the shape differs.
type scaler struct {
	size  size
	frame []byte // "FRAME\n", then the planes
	from  image.Rectangle
	to    image.Rectangle // where the picture goes; even
}

const y4mFrame = "FRAME\n"

func newScaler(s size) *scaler {
	return &scaler{size: s, frame: append([]byte(y4mFrame), make([]byte, s.Width*s.Height*3/2)...)}
}

// scale returns a frame as it is written, valid until the next call.
func (s *scaler) scale(p *image.YCbCr) []byte {
	w, h := s.size.Width, s.size.Height
	y := s.frame[len(y4mFrame):]
	cb := y[w*h:]
	cr := cb[w*h/4:]
	y, cb, cr = y[:w*h], cb[:w*h/4], cr[:w*h/4]
	if p.Rect != s.from {
		s.from, s.to = p.Rect, fit(p.Rect.Dx(), p.Rect.Dy(), w, h)
		fill(y, 0)
		fill(cb, 128)
		fill(cr, 128)
	}
	half := image.Rect(s.to.Min.X/2, s.to.Min.Y/2, s.to.Max.X/2, s.to.Max.Y/2)
	scalePlane(y, w, s.to, p.Y, p.YStride, p.Rect.Dx(), p.Rect.Dy())
	scalePlane(cb, w/2, half, p.Cb, p.CStride, (p.Rect.Dx()+1)/2, (p.Rect.Dy()+1)/2)
	scalePlane(cr, w/2, half, p.Cr, p.CStride, (p.Rect.Dx()+1)/2, (p.Rect.Dy()+1)/2)
	return s.frame
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// fit is the largest even rectangle of the shape of w by h, in the middle.
func fit(w, h, inW, inH int) image.Rectangle {
	toW, toH := inW, inW*h/w
	if toH > inH {
		toW, toH = inH*w/h, inH
	}
	// A rounded line more or less is no bar.
	if inW-toW <= 2 {
		toW = inW
	}
	if inH-toH <= 2 {
		toH = inH
	}
	toW, toH = max(toW&^1, 2), max(toH&^1, 2)
	x, y := (inW-toW)/2&^1, (inH-toH)/2&^1
	return image.Rect(x, y, x+toW, y+toH)
}

// scalePlane scales a plane of w by h into a rectangle of another, bilinearly;
// the centres of the outermost samples stay where they are.
func scalePlane(to []byte, toStride int, r image.Rectangle, from []byte, fromStride, w, h int) {
	tw, th := r.Dx(), r.Dy()
	if tw == w && th == h {
		for y := range h {
			copy(to[(r.Min.Y+y)*toStride+r.Min.X:][:w], from[y*fromStride:])
		}
		return
	}
	stepX, stepY := step(w, tw), step(h, th)
	for y := range th {
		row := to[(r.Min.Y+y)*toStride+r.Min.X:][:tw]
		at := y * stepY
		above := from[at>>16*fromStride:][:w]
		below := above
		if at>>16+1 < h {
			below = from[(at>>16+1)*fromStride:][:w]
		}
		down := at & 0xffff >> 8
		for x := range row {
			at := x * stepX
			i, right := at>>16, at&0xffff>>8
			j := min(i+1, w-1)
			top := int(above[i])*(256-right) + int(above[j])*right
			bottom := int(below[i])*(256-right) + int(below[j])*right
			row[x] = byte((top*(256-down) + bottom*down + 1<<15) >> 16) //nolint:gosec // a mean
		}
	}
}

// step is how far apart n samples lie among m, in 1/65536.
func step(m, n int) int {
	if n < 2 {
		return 0
	}
	return (m - 1) << 16 / (n - 1)
}
