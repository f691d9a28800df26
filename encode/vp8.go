package encode

// #cgo pkg-config: vpx
// #include <stdlib.h>
// #include "vp8.h"
import "C"

import (
	"errors"
	"fmt"
	"image"
	"io"
	"runtime"
	"time"
	"unsafe"
)

// VP8Config says how to encode. The zero value of every field but the size and
// the bit rate means: chosen.
type VP8Config struct {
	// Width and Height in pixels, 1 to 16383 (RFC 6386, 9.1). Encode follows
	// the pictures when they have another size.
	Width, Height int
	// Bitrate is the target in bit/s.
	Bitrate int
	// FPS is the rate expected, frames a second (30). The true one is taken
	// from the frames' times as they come.
	FPS float64
	// CPUUsed is libvpx's cpu-used in real time, -16 (fast) to -1 (fine);
	// Threads is how many encode one picture. See tune.
	CPUUsed, Threads int
	// KeyInterval is the most frames from one key frame to the next (3000).
	KeyInterval int
	// Layered divides the stream into three temporal layers; see LayerShare.
	Layered bool
	// Steady keeps pictures from coming in larger bursts than a link of the target's rate
	// takes, at the price of some quality where much changes at once: key frames, and in
	// temporal layers all.
	Steady bool
	// MinQuantizer and MaxQuantizer bound the quantizer, 0 to 63 (2 and 56).
	MinQuantizer, MaxQuantizer int
}

// VP8Encoder encodes 4:2:0 pictures through libvpx, in real time and with a
// constant bit rate. It is for one goroutine at a time.
type VP8Encoder struct {
	config VP8Config
	clock  ptsClock
	layers pattern
	link   steady
	again  uint64 // pictures made again to suit the link
	kbits  int    // as libvpx knows it

	cpuUsed, hurry int // what was chosen, and how much faster it is by now

	c *C.peercam_vp8_encoder
}

// NewVP8 makes an encoder. Close gives its memory back, which is C's.
func NewVP8(config VP8Config) (*VP8Encoder, error) {
	if config.FPS <= 0 {
		config.FPS = 30
	}
	if config.KeyInterval == 0 {
		config.KeyInterval = 3000
	}
	if config.MinQuantizer == 0 {
		config.MinQuantizer = 2
	}
	if config.MaxQuantizer == 0 {
		config.MaxQuantizer = 56
	}
	e := &VP8Encoder{config: config, clock: newPTSClock(config.FPS)}
	e.c = (*C.peercam_vp8_encoder)(C.calloc(1, C.sizeof_peercam_vp8_encoder))
	if e.c == nil {
		return nil, errors.New("no memory for a VP8 encoder")
	}
	if err := e.open(); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *VP8Encoder) open() error {
	c := e.config
	if c.Width < 1 || c.Height < 1 || c.Width > 16383 || c.Height > 16383 {
		return fmt.Errorf("VP8 cannot encode %dx%d pixels: each side must be 1 to 16383", c.Width, c.Height)
	}
	cpuUsed, threads := tune(c.Width, c.Height, runtime.GOMAXPROCS(0), slowCores(), c.Layered)
	if c.CPUUsed != 0 {
		cpuUsed = c.CPUUsed
	}
	if c.Threads != 0 {
		threads = c.Threads
	}
	e.cpuUsed, cpuUsed = cpuUsed, hurried(cpuUsed, e.hurry)
	e.kbits = kbits(c.Bitrate)
	e.layers = pattern{layered: c.Layered}
	e.link = steady{}
	layered := C.int(0)
	if c.Layered {
		layered = 1
	}
	s := C.peercam_vp8_settings{
		width: C.uint(c.Width), height: C.uint(c.Height),
		kbits: layerKbits(e.kbits), layered: layered,
		threads:         C.uint(threads),
		partitions_log2: C.uint(partitionsLog2(threads)),
		cpu_used:        C.int(cpuUsed),
		min_q:           C.uint(c.MinQuantizer), max_q: C.uint(c.MaxQuantizer),
		key_interval:  C.uint(c.KeyInterval),
		max_intra_pct: C.uint(maxIntraPercent(c.FPS, c.Steady)),
	}
	if code := C.peercam_vp8_open(e.c, &s); code != C.VPX_CODEC_OK {
		err := e.err(code)
		C.peercam_vp8_close(e.c)
		return fmt.Errorf("open the VP8 encoder for %dx%d at %d kbit/s with cpu-used %d and %d threads: %w",
			c.Width, c.Height, e.kbits, cpuUsed, threads, err)
	}
	return nil
}

// Encode writes the bitstream of img, taken at t, into.Data, whose room is
// reused, and sets into's Time, Key, Layer, Sync, Width and Height. No Data and no error:
// the rate control left the picture out, to keep a thin link from falling
// behind. A key frame asked for is never left out.
//
// Times that stand still or run backwards are taken for small steps forward.
func (e *VP8Encoder) Encode(img *image.YCbCr, t time.Time, key bool, into *Frame) error {
	if e.c == nil {
		return io.ErrClosedPipe
	}
	into.Data = into.Data[:0]
	if err := checkPicture(img); err != nil {
		return err
	}
	if err := e.Resize(img.Rect.Dx(), img.Rect.Dy()); err != nil {
		return err
	}
	steadily := e.config.Steady && e.config.Layered
	if e.link.full(t, e.clock.gap(), e.kbits, steadily) && !key {
		e.clock.leave(t)
		return nil
	}
	pts, duration := e.clock.next(t)
	y := img.YOffset(img.Rect.Min.X, img.Rect.Min.Y)
	c := img.COffset(img.Rect.Min.X, img.Rect.Min.Y)
	layer, flags, base := e.layers.next(key)
	encode := func(leastQuantizer int) error {
		code := C.peercam_vp8_bound(e.c, C.uint(leastQuantizer))
		if code == C.VPX_CODEC_OK {
			code = C.peercam_vp8_encode(e.c,
				(*C.uchar)(&img.Y[y]), (*C.uchar)(&img.Cb[c]), (*C.uchar)(&img.Cr[c]),
				C.int(img.YStride), C.int(img.CStride), C.int64_t(pts), C.ulong(duration), flags, C.int(layer))
		}
		if code != C.VPX_CODEC_OK {
			return fmt.Errorf("encode a picture of %dx%d: %w", e.config.Width, e.config.Height, e.err(code))
		}
		return nil
	}
	least, most := e.config.MinQuantizer, e.config.MaxQuantizer
	if steadily {
		least = e.link.bound(least, most)
	}
	if err := encode(least); err != nil {
		return err
	}
	if steadily && e.c.key == 0 && e.link.again(int(e.c.size), int(e.c.quantizer), most) {
		flags |= e.layers.again()
		pts = e.clock.skip()
		e.again++
		if err := encode(most); err != nil {
			return err
		}
	}
	e.link.sent(int(e.c.size), int(e.c.quantizer))
	into.Data = append(into.Data, unsafe.Slice((*byte)(e.c.data), int(e.c.size))...)
	into.Time = t
	into.Key = e.c.key != 0
	if into.Key {
		layer = 0
	}
	into.Layer, into.Sync = layer, layer > 0 && base
	e.layers.done(into.Key)
	into.Width, into.Height = e.config.Width, e.config.Height
	return nil
}

// SetBitrate changes the target from the next frame on, in bit/s.
func (e *VP8Encoder) SetBitrate(bps int) error {
	e.config.Bitrate = bps
	return e.setRate(kbits(bps), e.config.Layered)
}

// SetLayered divides the stream into temporal layers, or no longer, from the
// next frame on, which need not be a key frame.
func (e *VP8Encoder) SetLayered(layered bool) error {
	return e.setRate(e.kbits, layered)
}

func (e *VP8Encoder) setRate(k int, layered bool) error {
	if e.c == nil {
		return io.ErrClosedPipe
	}
	if k == e.kbits && layered == e.config.Layered {
		return nil
	}
	shares, on := layerKbits(k), C.int(0)
	if layered {
		on = 1
	}
	if code := C.peercam_vp8_set_rate(e.c, &shares[0], on); code != C.VPX_CODEC_OK {
		return fmt.Errorf("set the VP8 encoder to %d kbit/s (temporal layers: %v): %w", k, layered, e.err(code))
	}
	if layered != e.config.Layered {
		e.layers.set(layered)
	}
	e.kbits, e.config.Layered = k, layered
	return nil
}

// Hurry makes the encoder faster and coarser than chosen, by 0 to 2 steps, from
// the next frame on, which need not be a key frame. See hurried.
func (e *VP8Encoder) Hurry(steps int) error {
	if e.c == nil {
		return io.ErrClosedPipe
	}
	if steps == e.hurry {
		return nil
	}
	cpuUsed := hurried(e.cpuUsed, steps)
	if code := C.peercam_vp8_set_cpu_used(e.c, C.int(cpuUsed)); code != C.VPX_CODEC_OK {
		return fmt.Errorf("set the VP8 encoder to cpu-used %d: %w", cpuUsed, e.err(code))
	}
	e.hurry = steps
	return nil
}

// Resize makes the next frame, a key frame, one of width x height pixels. It
// does nothing if that is the size already.
func (e *VP8Encoder) Resize(width, height int) error {
	if e.c == nil {
		return io.ErrClosedPipe
	}
	if e.c.open != 0 && width == e.config.Width && height == e.config.Height {
		return nil
	}
	// libvpx can only shrink a running encoder, and not well: begin anew.
	C.peercam_vp8_close(e.c)
	e.config.Width, e.config.Height = width, height
	e.clock = newPTSClock(e.config.FPS)
	return e.open()
}

// Close frees the encoder; a second one does nothing.
func (e *VP8Encoder) Close() error {
	if e.c != nil {
		C.peercam_vp8_close(e.c)
		C.free(unsafe.Pointer(e.c))
		e.c = nil
	}
	return nil
}

func (e *VP8Encoder) err(code C.vpx_codec_err_t) error {
	return errors.New("libvpx: " + C.GoString(C.peercam_vp8_error(e.c, code)))
}

// checkPicture keeps libvpx from reading beyond img's planes.
func checkPicture(img *image.YCbCr) error {
	if img == nil {
		return errors.New("no picture to encode")
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	if img.SubsampleRatio != image.YCbCrSubsampleRatio420 {
		name := img.SubsampleRatio.String() // "YCbCrSubsampleRatio444"
		name = name[len(name)-3:]
		return fmt.Errorf("VP8 encodes 4:2:0 pictures, not %c:%c:%c: convert them first", name[0], name[1], name[2])
	}
	if w < 1 || h < 1 {
		return fmt.Errorf("VP8 cannot encode a picture of %dx%d pixels", w, h)
	}
	x, y := img.Rect.Min.X, img.Rect.Min.Y
	if x&1 != 0 || y&1 != 0 {
		return fmt.Errorf("VP8 cannot encode a picture that begins at the odd pixel %d,%d: its colours lie between", x, y)
	}
	cw, ch := (w+1)/2, (h+1)/2
	last := (h-1)*img.YStride + w
	lastC := (ch-1)*img.CStride + cw
	offset, offsetC := img.YOffset(x, y), img.COffset(x, y)
	if img.YStride < w || img.CStride < cw || len(img.Y) < offset+last || len(img.Cb) < offsetC+lastC || len(img.Cr) < offsetC+lastC {
		return fmt.Errorf("a picture of %dx%d pixels has planes of only %d, %d and %d bytes with strides %d and %d",
			w, h, len(img.Y), len(img.Cb), len(img.Cr), img.YStride, img.CStride)
	}
	return nil
}
