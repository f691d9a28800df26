package capture

/*
#cgo CFLAGS: -O3
#include <stdint.h>
#include <string.h>

static void reverse(const uint8_t *s, uint8_t *restrict d, int n) {
	int i = 0;
	for (uint64_t word; i + 8 <= n; i += 8) {
		memcpy(&word, s + n - 8 - i, 8);
		word = __builtin_bswap64(word);
		memcpy(d + i, &word, 8);
	}
	for (; i < n; i++) d[i] = s[n - 1 - i];
}

// rows copies the rows of a w x h plane, from the last one if up, from right
// to left if back.
static void rows(const uint8_t *s, int ss, int w, int h, uint8_t *d, int ds, int up, int back) {
	for (int y = 0; y < h; y++) {
		const uint8_t *from = s + (long)(up ? h - 1 - y : y) * ss;
		if (back) reverse(from, d + (long)y * ds, w);
		else memcpy(d + (long)y * ds, from, w);
	}
}

// turn8 makes an 8x8 block's columns rows: three rounds that swap halves
// within a machine word.
static inline void turn8(const uint8_t *s, long ss, uint8_t *d, long ds) {
	uint64_t r[8], t;
	for (int i = 0; i < 8; i++) memcpy(&r[i], s + i * ss, 8);
#define SWAP(a, b, shift, mask) \
	t = ((r[a] >> shift) ^ r[b]) & mask; r[b] ^= t; r[a] ^= t << shift;
	for (int i = 0; i < 4; i++) { SWAP(i, i + 4, 32, 0x00000000ffffffffull) }
	for (int i = 0; i < 8; i += 4) for (int k = 0; k < 2; k++) { SWAP(i + k, i + k + 2, 16, 0x0000ffff0000ffffull) }
	for (int i = 0; i < 8; i += 2) { SWAP(i, i + 1, 8, 0x00ff00ff00ff00ffull) }
#undef SWAP
	for (int i = 0; i < 8; i++) memcpy(d + i * ds, &r[i], 8);
}

// columns makes the columns of a w x h plane rows: d is h x w. Source rows are
// taken from the last one if up, columns from the last one if back.
static void columns(const uint8_t *s, int ss, int w, int h, uint8_t *d, int ds, int up, int back) {
	// negative strides instead of cases
	long step = up ? -(long)ss : ss, out = back ? -(long)ds : ds;
	s += up ? (long)(h - 1) * ss : 0;
	d += back ? (long)(w - 1) * ds : 0;
	int x, y = 0;
	for (; y + 8 <= h; y += 8) {
		for (x = 0; x + 8 <= w; x += 8) turn8(s + y * step + x, step, d + x * out + y, out);
		for (; x < w; x++)
			for (int i = y; i < y + 8; i++) d[x * out + i] = s[i * step + x];
	}
	for (; y < h; y++)
		for (x = 0; x < w; x++) d[x * out + y] = s[y * step + x];
}
*/
import "C"

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Orientation is how a picture is turned before it is encoded. The zero value
// leaves it as it is. Any goroutine may use it, also while pictures pass.
type Orientation struct {
	state atomic.Int32 // quarters, and 4 where mirrored
}

const mirrored = 4

// Set turns pictures by degrees clockwise, which are 0, 90, 180 or 270, and
// then, if mirror, swaps left and right.
func (o *Orientation) Set(degrees int, mirror bool) error {
	if degrees%90 != 0 || degrees < 0 || degrees > 270 {
		return fmt.Errorf("a picture cannot be turned by %d degrees: 0, 90, 180 and 270 are possible", degrees)
	}
	s := int32(degrees / 90)
	if mirror {
		s |= mirrored
	}
	o.state.Store(s)
	return nil
}

// Get returns what was set.
func (o *Orientation) Get() (degrees int, mirror bool) {
	s := o.state.Load()
	return int(s&^mirrored) * 90, s&mirrored != 0
}

// Oriented turns the pictures of src as o says at the time. Open's want is about
// src's own picture, as a camera on its side is still 1280x720; what the readers
// promise is the turned one.
//
// If src is an io.Closer, so is the result.
func Oriented(src VideoSource, o *Orientation) VideoSource {
	return forwardClose(&oriented{src, o})
}

type oriented struct {
	VideoSource
	o *Orientation
}

func (s *oriented) Unwrap() VideoSource { return s.VideoSource }

func (s *oriented) Open(ctx context.Context, want Format) (VideoReader, error) {
	r, err := s.VideoSource.Open(ctx, want)
	if err != nil {
		return nil, err
	}
	return &orientedReader{VideoReader: r, o: s.o}, nil
}

type orientedReader struct {
	VideoReader
	o    *Orientation
	pool framePool
}

func (r *orientedReader) Format() Format {
	f := r.VideoReader.Format()
	if degrees, _ := r.o.Get(); degrees%180 != 0 {
		f.Width, f.Height = f.Height, f.Width
	}
	return f
}

func (r *orientedReader) Read() (*Frame, error) {
	f, err := r.VideoReader.Read()
	if err != nil || r.o.state.Load() == 0 {
		return f, err
	}
	defer f.Release()
	degrees, mirror := r.o.Get()
	return turn(f, degrees, mirror, r.pool.get), nil
}

// turn makes a frame of f turned and then mirrored.
func turn(f *Frame, degrees int, mirror bool, get func(w, h int) *Frame) *Frame {
	w, h := f.Rect.Dx(), f.Rect.Dy()
	if degrees%180 != 0 {
		w, h = h, w
	}
	t := get(w, h)
	t.Time = f.Time
	turnPlane(f.Y, f.YStride, f.Rect.Dx(), f.Rect.Dy(), t.Y, t.YStride, degrees, mirror)
	turnPlane(f.Cb, f.CStride, f.Rect.Dx()/2, f.Rect.Dy()/2, t.Cb, t.CStride, degrees, mirror)
	turnPlane(f.Cr, f.CStride, f.Rect.Dx()/2, f.Rect.Dy()/2, t.Cr, t.CStride, degrees, mirror)
	return t
}

func turnPlane(s []byte, stride, w, h int, d []byte, dstride, degrees int, mirror bool) {
	flag := func(b bool) C.int {
		if b {
			return 1
		}
		return 0
	}
	from, ss, cw, ch, to, ds := first(s), C.int(stride), C.int(w), C.int(h), first(d), C.int(dstride)
	if degrees%180 == 0 {
		C.rows(from, ss, cw, ch, to, ds, flag(degrees == 180), flag((degrees == 180) != mirror))
		return
	}
	// A quarter clockwise makes the lowest row the first column, so rows are
	// taken from below; mirroring then swaps the columns, which undoes that.
	C.columns(from, ss, cw, ch, to, ds, flag((degrees == 90) != mirror), flag(degrees == 270))
}
