package main

import (
	"bytes"
	"math/rand/v2"
)

// filmer draws frames of a Y4M stream.
type filmer struct {
	texture []byte // of luma
	out     []byte
}

const filmWidth, filmHeight = 1280, 720

func newFilm() *filmer {
	noise := make([]byte, 65536)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		grey := 110 + r.IntN(30)
		noise[i] = byte(16 + 219*grey/255)
	}
	f := &filmer{texture: make([]byte, filmWidth*filmHeight)}
	for i := range f.texture {
		f.texture[i] = noise[i%len(noise)]
	}
	f.out = append([]byte("FRAME\n"), make([]byte, filmWidth*filmHeight*3/2)...)
	copy(f.out[6+filmWidth*filmHeight:], bytes.Repeat([]byte{128}, filmWidth*filmHeight/2))
	return f
}

// frame is the nth, with its header, until the next.
func (f *filmer) frame(n int, unixMilli int64) []byte {
	luma := f.out[6 : 6+filmWidth*filmHeight]
	dx, dy := 2*n%filmWidth, n%filmHeight
	for y := range filmHeight {
		from := f.texture[(y+dy)%filmHeight*filmWidth:][:filmWidth]
		to := luma[y*filmWidth:][:filmWidth]
		copy(to, from[dx:])
		copy(to[filmWidth-dx:], from[:dx])
	}
	parity := byte(0)
	for i := range 27 {
		bit := byte(1 - i) // white, black
		switch {
		case i == 26:
			bit = parity
		case i >= 2:
			bit = byte(unixMilli>>(25-i)) & 1
			parity ^= bit
		}
		cell := bytes.Repeat([]byte{16 + 219*bit}, 32)
		for y := range 32 {
			copy(luma[y*filmWidth+32*i:], cell)
		}
	}
	return f.out
}
