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
static void biplanar_i420(const uint8_t *s, int stride, const uint8_t *c, int cstride, int w, int h,
		uint8_t *y, uint8_t *u, uint8_t *v, int ys, int cs) {
	copy_plane(s, stride, y, ys, w, h);
	for (int row = 0; row < h / 2; row++, c += cstride, u += cs, v += cs) {
		every2nd(c, u, w / 2);
		every2nd(c + 1, v, w / 2);
	}
}

static void planar_i420(const uint8_t *s, int stride, const uint8_t *p, int pstride, const uint8_t *q, int qstride,
		int w, int h, uint8_t *y, uint8_t *u, uint8_t *v, int ys, int cs) {
	copy_plane(s, stride, y, ys, w, h);
	copy_plane(p, pstride, u, cs, w / 2, h / 2);
	copy_plane(q, qstride, v, cs, w / 2, h / 2);
}

static void grey_i420(const uint8_t *s, int stride, int w, int h, uint8_t *y, uint8_t *u, uint8_t *v, int ys, int cs) {
	copy_plane(s, stride, y, ys, w, h);
	memset(u, 128, cs * (h / 2));
	memset(v, 128, cs * (h / 2));
}
*/
import "C"

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pion/mediadevices/pkg/frame"
	"github.com/pion/mediadevices/pkg/prop"
)

// Pixel formats beyond those that mediadevices names.
const (
	formatYV12 frame.Format = "YV12" // I420 with Cr before Cb
	formatYVYU frame.Format = "YVYU" // YUYV with Cr before Cb
	formatGrey frame.Format = "GREY" // luma only
)

// pixelCost orders the formats that unpack understands by what a picture
// costs on its way to I420; 0 means that the format is not understood. Grey
// comes last: whoever offers colour as well is asked for that.
func pixelCost(f frame.Format) int {
	switch f {
	case frame.FormatI420, formatYV12:
		return 1
	case frame.FormatNV12, frame.FormatNV21:
		return 2
	case frame.FormatYUYV, frame.FormatYUY2, frame.FormatUYVY, formatYVYU:
		return 3
	case frame.FormatMJPEG:
		return 4
	case formatGrey:
		return 5
	}
	return 0
}

// pixelNames are what --camera-format may be called.
var pixelNames = map[string]frame.Format{
	"i420": frame.FormatI420, "yu12": frame.FormatI420, "yuv420": frame.FormatI420, "yv12": formatYV12,
	"nv12": frame.FormatNV12, "nv21": frame.FormatNV21,
	"yuyv": frame.FormatYUYV, "yuy2": frame.FormatYUYV, "uyvy": frame.FormatUYVY, "yvyu": formatYVYU,
	"mjpeg": frame.FormatMJPEG, "mjpg": frame.FormatMJPEG, "jpeg": frame.FormatMJPEG,
	"grey": formatGrey, "gray": formatGrey,
}

// parsePixelFormat understands a pixel format's name; "" and "auto" are none.
func parsePixelFormat(name string) (frame.Format, error) {
	if name == "" || name == "auto" {
		return "", nil
	}
	if f, ok := pixelNames[strings.ToLower(name)]; ok {
		return f, nil
	}
	return "", fmt.Errorf("--camera-format %q is not known: it may be %s, or auto", name,
		strings.Join(slices.Sorted(maps.Keys(pixelNames)), ", "))
}

// onlyFormat leaves what is in one pixel format; "" is any.
func onlyFormat(have []prop.Media, f frame.Format) (some []prop.Media, err error) {
	if f == "" {
		return have, nil
	}
	offered := map[string]bool{}
	for _, p := range have {
		if p.FrameFormat == f || p.FrameFormat == frame.FormatYUY2 && f == frame.FormatYUYV {
			some = append(some, p)
		}
		offered[string(p.FrameFormat)] = true
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("it does not offer %s; it has %s", f, strings.Join(slices.Sorted(maps.Keys(offered)), ", "))
	}
	return some, nil
}

// rawPicture is a picture as a driver hands it over. The chroma planes follow
// the luma plane in its memory unless they are given.
type rawPicture struct {
	planes  [3][]byte
	strides [3]int // bytes from row to row; of chroma 0: by the format's own rule
}

// rawPlane is what a plane must hold at least: rows of so many bytes.
type rawPlane struct{ rows, width int }

// rawPlanes are the planes of a w x h picture.
func rawPlanes(f frame.Format, w, h int) (p [3]rawPlane) {
	cw, ch := (w+1)/2, (h+1)/2
	switch f {
	case frame.FormatYUYV, frame.FormatYUY2, frame.FormatUYVY, formatYVYU:
		p[0] = rawPlane{h, 2 * w}
	case frame.FormatNV12, frame.FormatNV21:
		p[0], p[1] = rawPlane{h, w}, rawPlane{h / 2, w}
	case formatGrey:
		p[0] = rawPlane{h, w}
	default:
		p[0], p[1], p[2] = rawPlane{h, w}, rawPlane{ch, cw}, rawPlane{ch, cw}
	}
	return p
}

// split finds the chroma planes that follow the luma plane, and checks that
// every plane holds what it must. The padding after its very last row may be
// missing.
func (s *rawPicture) split(f frame.Format, w, h int) error {
	stride, rest := s.strides[0], s.planes[0]
	for i, p := range rawPlanes(f, w, h) {
		if p.rows == 0 {
			break
		}
		if i > 0 && s.strides[i] == 0 {
			s.strides[i] = stride
			if p.width < w {
				s.strides[i] = stride / 2
			}
		}
		if i > 0 && s.planes[i] == nil {
			s.planes[i] = rest
		}
		have, need := s.planes[i], s.strides[i]*(p.rows-1)+p.width
		if s.strides[i] < p.width || len(have) < need {
			return fmt.Errorf("%s picture of %dx%d: plane %d holds %d bytes, %d are needed (stride %d)", f, w, h, i, len(have), need, s.strides[i])
		}
		rest = have[min(len(have), s.strides[i]*p.rows):]
	}
	return nil
}

// unpack turns a raw picture of w x h pixels, both at least 2, into dst, which
// has the even size at or below it. Of 4:2:2 it averages the chroma of two rows.
func unpack(dst *Frame, f frame.Format, src rawPicture, w, h int) error {
	if pixelCost(f) == 0 || f == frame.FormatMJPEG {
		return fmt.Errorf("pixel format %s is not understood", f)
	}
	if err := src.split(f, w, h); err != nil {
		return err
	}
	s, st := first(src.planes[0]), C.int(src.strides[0])
	p, pt := first(src.planes[1]), C.int(src.strides[1])
	q, qt := first(src.planes[2]), C.int(src.strides[2])
	y, u, v := first(dst.Y), first(dst.Cb), first(dst.Cr)
	ys, cs := C.int(dst.YStride), C.int(dst.CStride)
	cw, ch := C.int(w&^1), C.int(h&^1)
	switch f {
	case formatYV12, frame.FormatNV21, formatYVYU:
		u, v = v, u
	}
	switch f {
	case frame.FormatI420, formatYV12:
		C.planar_i420(s, st, p, pt, q, qt, cw, ch, y, u, v, ys, cs)
	case frame.FormatNV12, frame.FormatNV21:
		C.biplanar_i420(s, st, p, pt, cw, ch, y, u, v, ys, cs)
	case frame.FormatUYVY:
		C.packed_i420(s, st, 1, cw, ch, y, u, v, ys, cs)
	case formatGrey:
		C.grey_i420(s, st, cw, ch, y, u, v, ys, cs)
	default: // YUYV and YVYU
		C.packed_i420(s, st, 0, cw, ch, y, u, v, ys, cs)
	}
	return nil
}
