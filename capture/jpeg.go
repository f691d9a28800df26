package capture

/*
#cgo pkg-config: libturbojpeg
#cgo CFLAGS: -O3
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <turbojpeg.h>

typedef struct { int w, h, sub, space, failed; } jpeg_header;

// Results by value and planes as arguments, so that Go need not allocate.
static jpeg_header header(tjhandle t, const unsigned char *p, unsigned long n) {
	jpeg_header h = {0};
	h.failed = tjDecompressHeader3(t, p, n, &h.w, &h.h, &h.sub, &h.space) != 0
		&& tjGetErrorCode(t) != TJERR_WARNING;
	return h;
}

static int planes(tjhandle t, const unsigned char *p, unsigned long n, int w, int h,
		uint8_t *y, uint8_t *u, uint8_t *v, int ys, int cs) {
	unsigned char *dst[3] = {y, u, v};
	int strides[3] = {ys, cs, cs};
	if (tjDecompressToYUVPlanes(t, p, n, dst, w, strides, h, TJFLAG_FASTDCT | TJFLAG_LIMITSCANS) == 0)
		return 0;
	// A few stray bytes, which some cameras always send, do no harm. After other
	// warnings a part of the picture is grey or garbage.
	unsigned int stray = 0;
	return tjGetErrorCode(t) == TJERR_WARNING
		&& sscanf(tjGetErrorStr2(t), "Corrupt JPEG data: %u extraneous bytes", &stray) == 1 && stray <= 16 ? 0 : -1;
}

// shrink brings one chroma plane to w x h, the size it has in 4:2:0. Each row
// of it comes from two rows of s where tall is set, each pixel from two where
// wide > 0, and two pixels from one where wide < 0.
static void shrink(const uint8_t *s, int stride, int tall, int wide, uint8_t *restrict d, int ds, int w, int h) {
	for (int row = 0; row < h; row++, s += stride << tall, d += ds) {
		const uint8_t *a = s, *b = s + (tall ? stride : 0);
		if (wide > 0)
			for (int i = 0; i < w; i++) d[i] = (a[2 * i] + a[2 * i + 1] + b[2 * i] + b[2 * i + 1] + 2) >> 2;
		else if (wide < 0)
			for (int i = 0; i < w; i++) d[i] = (a[i / 2] + b[i / 2] + 1) >> 1;
		else
			for (int i = 0; i < w; i++) d[i] = (a[i] + b[i] + 1) >> 1;
	}
}

static void crop(const uint8_t *s, int stride, uint8_t *d, int ds, int w, int h) {
	for (; h > 0; h--, s += stride, d += ds) memcpy(d, s, w);
}
*/
import "C"

import (
	"bytes"
	"errors"
	"fmt"
)

// jpegDecoder turns JPEG pictures (ITU-T T.81), among them Motion JPEG without
// Huffman tables, into frames by libjpeg-turbo, never passing through RGB. It
// serves one goroutine.
type jpegDecoder struct {
	handle  C.tjhandle
	scratch [3][]byte // planes that are not yet 4:2:0
	whole   []byte    // a picture with the end that it lacked
}

func newJPEGDecoder() *jpegDecoder { return &jpegDecoder{handle: C.tjInitDecompress()} }

// close frees what libjpeg-turbo holds; closing again does nothing.
func (d *jpegDecoder) close() {
	if d.handle != nil {
		C.tjDestroy(d.handle)
		d.handle = nil
	}
}

// Decode decodes one picture into a frame from get, which is asked for the
// even size at or below the picture's and refuses one by nil. A picture that is
// damaged or cut off is an error, even where libjpeg-turbo can make something
// of it. The caller stamps it.
func (d *jpegDecoder) Decode(data []byte, get func(w, h int) *Frame) (*Frame, error) {
	if d.handle == nil {
		return nil, errors.New("JPEG decoder is closed")
	}
	if len(data) == 0 {
		return nil, errors.New("JPEG picture is empty")
	}
	data = d.ended(data)
	p, n := (*C.uchar)(&data[0]), C.ulong(len(data))
	head := C.header(d.handle, p, n)
	if head.failed != 0 {
		return nil, d.failure(len(data))
	}
	w, h := int(head.w), int(head.h)
	if min(w, h) < 2 || max(w, h) > maxSide {
		return nil, fmt.Errorf("JPEG picture is %dx%d pixels; 2x2 to %dx%d are possible", w, h, maxSide, maxSide)
	}
	if head.space != C.TJCS_YCbCr && head.space != C.TJCS_GRAY {
		return nil, fmt.Errorf("JPEG picture of %dx%d is neither YCbCr nor grey; cameras send YCbCr", w, h)
	}

	f := get(w&^1, h&^1)
	if f == nil {
		return nil, fmt.Errorf("JPEG picture is %dx%d pixels, unlike the ones before", w, h)
	}
	y, ys := d.plane(0, head, f.Y, f.YStride, f.Rect.Dy())
	u, us := d.plane(1, head, f.Cb, f.CStride, f.Rect.Dy()/2)
	v, _ := d.plane(2, head, f.Cr, f.CStride, f.Rect.Dy()/2)
	if C.planes(d.handle, p, n, head.w, head.h, first(y), first(u), first(v), C.int(ys), C.int(us)) != 0 {
		f.Release()
		return nil, d.failure(len(data))
	}
	d.finish(f, head.sub, y, u, v, ys, us)
	return f, nil
}

// ended returns the picture with its end marker, which some cameras leave out.
// Without it libjpeg-turbo's first warning, the only one it tells, would be of
// that, and a picture that is cut off could not be told from a whole one.
func (d *jpegDecoder) ended(data []byte) []byte {
	tail := data[max(0, len(data)-jpegPadding):]
	if bytes.LastIndex(tail, jpegEnd) >= 0 {
		return data
	}
	d.whole = append(append(d.whole[:0], bytes.TrimRight(data, "\x00")...), jpegEnd...)
	return d.whole
}

// jpegPadding is how far before the end of a buffer the end marker is looked
// for: drivers pad.
const jpegPadding = 4096

var jpegEnd = []byte{0xff, 0xd9}

// plane is where component c is decoded to: right into the frame where its
// plane has the same shape there, else into scratch.
func (d *jpegDecoder) plane(c int, head C.jpeg_header, own []byte, stride, rows int) ([]byte, int) {
	if c > 0 && head.sub == C.TJSAMP_GRAY {
		return nil, stride
	}
	w := int(C.tjPlaneWidth(C.int(c), head.w, head.sub))
	h := int(C.tjPlaneHeight(C.int(c), head.h, head.sub))
	if w <= stride && h <= rows && (c == 0 || head.sub == C.TJSAMP_420) {
		return own, stride
	}
	if cap(d.scratch[c]) < w*h {
		d.scratch[c] = make([]byte, w*h)
	}
	d.scratch[c] = d.scratch[c][:w*h]
	return d.scratch[c], w
}

// finish brings into the frame what was decoded beside it.
func (d *jpegDecoder) finish(f *Frame, sub C.int, y, u, v []byte, ys, cs int) {
	w, h := C.int(f.Rect.Dx()), C.int(f.Rect.Dy())
	if &y[0] != &f.Y[0] {
		C.crop(first(y), C.int(ys), first(f.Y), C.int(f.YStride), w, h)
	}
	if sub == C.TJSAMP_GRAY {
		for i := range f.Cb {
			f.Cb[i], f.Cr[i] = 128, 128
		}
		return
	}
	if &u[0] == &f.Cb[0] {
		return
	}
	shape, known := chromaShapes[int(sub)]
	if !known { // 4:2:0 of an odd size
		C.crop(first(u), C.int(cs), first(f.Cb), C.int(f.CStride), w/2, h/2)
		C.crop(first(v), C.int(cs), first(f.Cr), C.int(f.CStride), w/2, h/2)
		return
	}
	C.shrink(first(u), C.int(cs), shape.tall, shape.wide, first(f.Cb), C.int(f.CStride), w/2, h/2)
	C.shrink(first(v), C.int(cs), shape.tall, shape.wide, first(f.Cr), C.int(f.CStride), w/2, h/2)
}

// chromaShapes tells for each subsampling but 4:2:0 what shrink is to do.
var chromaShapes = map[int]struct{ tall, wide C.int }{
	C.TJSAMP_444: {1, 1},
	C.TJSAMP_422: {1, 0},
	C.TJSAMP_440: {0, 1},
	C.TJSAMP_411: {1, -1},
}

// failure describes libjpeg-turbo's last error and begins anew: after an error
// in a header it would take the next picture for that one's continuation.
func (d *jpegDecoder) failure(size int) error {
	err := fmt.Errorf("JPEG picture of %d bytes cannot be decoded: %s", size, C.GoString(C.tjGetErrorStr2(d.handle)))
	C.tjDestroy(d.handle)
	d.handle = C.tjInitDecompress()
	return err
}

func first(b []byte) *C.uint8_t {
	if len(b) == 0 {
		return nil
	}
	return (*C.uint8_t)(&b[0])
}
