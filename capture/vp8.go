package capture

/*
#cgo pkg-config: vpx
#include <stdlib.h>
#include <vpx/vpx_decoder.h>
#include <vpx/vp8dx.h>

static vpx_codec_ctx_t *vp8_new(void) {
	vpx_codec_ctx_t *c = calloc(1, sizeof *c);
	vpx_codec_dec_cfg_t cfg = {1, 0, 0};
	if (c && vpx_codec_dec_init(c, vpx_codec_vp8_dx(), &cfg, 0) != VPX_CODEC_OK) {
		free(c);
		c = NULL;
	}
	return c;
}

static void vp8_free(vpx_codec_ctx_t *c) {
	vpx_codec_destroy(c);
	free(c);
}

// The picture belongs to the decoder, until the next call.
static vpx_image_t *vp8_decode(vpx_codec_ctx_t *c, const uint8_t *p, unsigned n, int *err) {
	vpx_codec_iter_t it = NULL;
	*err = vpx_codec_decode(c, p, n, NULL, 0);
	return *err ? NULL : vpx_codec_get_frame(c, &it);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// maxVP8 bounds a picture in pixels: libvpx allocates several by what the key
// frame says.
const maxVP8 = 4096 * 4096

var errVP8 = errors.New("broken VP8")

// vp8Decoder decodes VP8 (RFC 6386) by libvpx. It serves one goroutine.
type vp8Decoder struct {
	ctx *C.vpx_codec_ctx_t
	err *C.int
}

func newVP8Decoder() (*vp8Decoder, error) {
	ctx := C.vp8_new()
	if ctx == nil {
		return nil, errors.New("libvpx has no VP8 decoder, or no memory")
	}
	return &vp8Decoder{ctx: ctx, err: new(C.int)}, nil
}

// decode returns the picture after data, which is one frame; nil when the
// frame is not to be shown. The caller stamps it.
func (d *vp8Decoder) decode(data []byte, get func(w, h int) *Frame) (*Frame, error) {
	if len(data) == 0 { // a dropped frame: the last picture stands
		return nil, nil
	}
	if err := checkVP8(data); err != nil {
		return nil, err
	}
	img := C.vp8_decode(d.ctx, (*C.uint8_t)(&data[0]), C.uint(len(data)), d.err)
	if *d.err != 0 {
		return nil, fmt.Errorf("%w: %s", errVP8, C.GoString(C.vpx_codec_err_to_string(C.vpx_codec_err_t(*d.err))))
	}
	if img == nil {
		return nil, nil
	}
	w, h := int(img.d_w)&^1, int(img.d_h)&^1
	if w == 0 || h == 0 {
		return nil, fmt.Errorf("%w: a size of %dx%d", errVP8, img.d_w, img.d_h)
	}
	f := get(w, h)
	copyPlane(f.Y, f.YStride, img, 0, w, h)
	copyPlane(f.Cb, f.CStride, img, 1, w/2, h/2)
	copyPlane(f.Cr, f.CStride, img, 2, w/2, h/2)
	return f, nil
}

func copyPlane(dst []byte, stride int, img *C.vpx_image_t, i, w, h int) {
	from := int(img.stride[i])
	src := unsafe.Slice((*byte)(unsafe.Pointer(img.planes[i])), (h-1)*from+w)
	for y := range h {
		copy(dst[y*stride:][:w], src[y*from:])
	}
}

// checkVP8 looks at a key frame's size before libvpx does (RFC 6386, 9.1).
func checkVP8(b []byte) error {
	if b[0]&1 != 0 { // not a key frame
		return nil
	}
	if len(b) < 10 {
		return fmt.Errorf("%w: a key frame of %d bytes", errVP8, len(b))
	}
	w := int(b[6]) | int(b[7]&0x3f)<<8
	h := int(b[8]) | int(b[9]&0x3f)<<8
	if w < 2 || h < 2 || w > maxSide || h > maxSide || w*h > maxVP8 {
		return fmt.Errorf("%w: a size of %dx%d", errVP8, w, h)
	}
	return nil
}

func (d *vp8Decoder) close() {
	if d.ctx != nil {
		C.vp8_free(d.ctx)
		d.ctx = nil
	}
}
