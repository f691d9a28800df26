package capture

/*
#cgo CFLAGS: -O3
#include <stdint.h>
#include <string.h>

// Rows are handled one plane at a time: compilers turn such loops into SIMD.

static void every2nd(const uint8_t *s, uint8_t *restrict d, int n) {
	for (int i = 0; i < n; i++) d[i] = s[2 * i];
}

// average of the bytes at s and t, a group of `step` apart, rounded to nearest
static void average4th(const uint8_t *s, const uint8_t *t, uint8_t *restrict d, int n) {
	for (int i = 0; i < n; i++) d[i] = (s[4 * i] + t[4 * i] + 1) >> 1;
}

// luma is 0 for YUYV, 1 for UYVY: where in a pair of bytes Y stands.
static void packed_i420(const uint8_t *s, int stride, int luma, int w, int h,
		uint8_t *y, uint8_t *u, uint8_t *v, int ys, int cs) {
	int cb = luma ? 0 : 1;
	for (int row = 0; row < h; row += 2, s += 2 * stride, y += 2 * ys, u += cs, v += cs) {
		every2nd(s + luma, y, w);
		every2nd(s + stride + luma, y + ys, w);
		average4th(s + cb, s + stride + cb, u, w / 2);
		average4th(s + cb + 2, s + stride + cb + 2, v, w / 2);
	}
}

static void copy_plane(const uint8_t *s, int stride, uint8_t *d, int ds, int w, int h) {
	for (; h > 0; h--, s += stride, d += ds) memcpy(d, s, w);
}

// NV12; with u and v swapped NV21.
static void biplanar_i420(const uint8_t *s, const uint8_t *c, int stride, int w, int h,
		uint8_t *y, uint8_t *u, uint8_t *v, int ys, int cs) {
	copy_plane(s, stride, y, ys, w, h);
	for (int row = 0; row < h / 2; row++, c += stride, u += cs, v += cs) {
		every2nd(c, u, w / 2);
		every2nd(c + 1, v, w / 2);
	}
}

static void planar_i420(const uint8_t *s, int stride, int height, int w, int h,
		uint8_t *y, uint8_t *u, uint8_t *v, int ys, int cs) {
	const uint8_t *p = s + (long)stride * height, *q = p + (long)(stride / 2) * ((height + 1) / 2);
	copy_plane(s, stride, y, ys, w, h);
	copy_plane(p, stride / 2, u, cs, w / 2, h / 2);
	copy_plane(q, stride / 2, v, cs, w / 2, h / 2);
}
*/
import "C"

import (
	"fmt"

	"github.com/pion/mediadevices/pkg/frame"
)

// Pixel formats beyond those that mediadevices names.
const formatYV12 frame.Format = "YV12" // I420 with Cr before Cb

// pixelCost orders the formats that unpack understands by what a picture
// costs on its way to I420; 0 means that the format is not understood.
func pixelCost(f frame.Format) int {
	switch f {
	case frame.FormatI420, formatYV12:
		return 1
	case frame.FormatNV12, frame.FormatNV21:
		return 2
	case frame.FormatYUYV, frame.FormatYUY2, frame.FormatUYVY:
		return 3
	case frame.FormatMJPEG:
		return 4
	}
	return 0
}

// rawSize is the least number of bytes of a w x h picture whose luma rows are
// stride bytes apart; the padding after the very last row may be missing.
func rawSize(f frame.Format, stride, w, h int) int {
	switch f {
	case frame.FormatYUYV, frame.FormatYUY2, frame.FormatUYVY:
		return stride*(h-1) + 2*w
	case frame.FormatNV12, frame.FormatNV21:
		return stride*(h+h/2-1) + w
	default: // planar
		return stride*h + stride/2*((h+1)/2*2-1) + w/2
	}
}

// unpack turns a raw picture of w x h pixels, both at least 2, whose luma rows
// are stride bytes apart into dst, which has the even size at or below it. Of
// 4:2:2 it averages the chroma of two rows.
func unpack(dst *Frame, f frame.Format, src []byte, stride, w, h int) error {
	least := w
	if f == frame.FormatYUYV || f == frame.FormatYUY2 || f == frame.FormatUYVY {
		least = 2 * w
	}
	if n := rawSize(f, stride, w, h); stride < least || len(src) < n {
		return fmt.Errorf("%s picture of %dx%d holds %d bytes, %d are needed (stride %d)", f, w, h, len(src), n, stride)
	}
	s := (*C.uint8_t)(&src[0])
	y, u, v := (*C.uint8_t)(&dst.Y[0]), (*C.uint8_t)(&dst.Cb[0]), (*C.uint8_t)(&dst.Cr[0])
	ys, cs := C.int(dst.YStride), C.int(dst.CStride)
	cw, ch, st := C.int(w&^1), C.int(h&^1), C.int(stride)
	switch f {
	case frame.FormatI420:
		C.planar_i420(s, st, C.int(h), cw, ch, y, u, v, ys, cs)
	case formatYV12:
		C.planar_i420(s, st, C.int(h), cw, ch, y, v, u, ys, cs)
	case frame.FormatNV12:
		C.biplanar_i420(s, (*C.uint8_t)(&src[stride*h]), st, cw, ch, y, u, v, ys, cs)
	case frame.FormatNV21:
		C.biplanar_i420(s, (*C.uint8_t)(&src[stride*h]), st, cw, ch, y, v, u, ys, cs)
	case frame.FormatYUYV, frame.FormatYUY2:
		C.packed_i420(s, st, 0, cw, ch, y, u, v, ys, cs)
	case frame.FormatUYVY:
		C.packed_i420(s, st, 1, cw, ch, y, u, v, ys, cs)
	default:
		return fmt.Errorf("pixel format %s is not understood", f)
	}
	return nil
}
