package capture

import (
	"image"
	"sync"
)

// maxSide bounds a picture's width and height, so that a wrong header cannot
// make the process ask for gigabytes.
const maxSide = 8192

// maxFree is how many idle frames a pool keeps: one with the source, one
// waiting, one in the encoder, and one to spare.
const maxFree = 4

// framePool recycles frames of one size; a frame of another size makes it
// forget the old ones. The zero value is ready.
type framePool struct {
	// fresh, when set, paints a frame once after it is allocated. What it
	// paints stays, as holders do not write to frames.
	fresh func(*Frame)

	mu   sync.Mutex
	w, h int
	free []*Frame
}

// get returns a frame of w by h pixels, both rounded down to even, whose planes
// hold whatever they held before. Width is the stride, and the planes follow
// each other in memory: see Frame.i420.
func (p *framePool) get(w, h int) *Frame {
	w, h = w&^1, h&^1
	p.mu.Lock()
	if w != p.w || h != p.h {
		p.w, p.h = w, h
		clear(p.free)
		p.free = p.free[:0]
	}
	if n := len(p.free); n > 0 {
		f := p.free[n-1]
		p.free[n-1] = nil
		p.free = p.free[:n-1]
		p.mu.Unlock()
		f.released.Store(false)
		return f
	}
	p.mu.Unlock()
	f := &Frame{YCbCr: newI420(w, h), pool: p}
	if p.fresh != nil {
		p.fresh(f)
	}
	return f
}

func (p *framePool) put(f *Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.Rect.Dx() == p.w && f.Rect.Dy() == p.h && len(p.free) < maxFree {
		p.free = append(p.free, f)
	}
}

// newI420 allocates a 4:2:0 picture in one piece: Y, then Cb, then Cr, each
// with its width as its stride, which is also how Y4M lays it out.
func newI420(w, h int) *image.YCbCr {
	y, c := w*h, w/2*(h/2)
	b := make([]byte, y+2*c)
	return &image.YCbCr{
		Y: b[:y], Cb: b[y : y+c : y+c], Cr: b[y+c:],
		YStride: w, CStride: w / 2,
		SubsampleRatio: image.YCbCrSubsampleRatio420,
		Rect:           image.Rect(0, 0, w, h),
	}
}

// i420 is the frame's planes as one slice. Only for frames of a framePool.
func (f *Frame) i420() []byte {
	return f.Y[:len(f.Y)+len(f.Cb)+len(f.Cr)]
}
