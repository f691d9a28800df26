package encode

import (
	"errors"
	"image"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/mediadevices/pkg/codec"
	"github.com/pion/mediadevices/pkg/codec/vpx"
	"github.com/pion/mediadevices/pkg/io/video"
	"github.com/pion/mediadevices/pkg/prop"

	"github.com/peercam/peercam/capture"
)

// VP8Params makes VP8Encoder an encoder for pion/mediadevices
// (codec.VideoEncoderBuilder). Of vpx.VP8Params it heeds BitRate,
// KeyFrameInterval and the quantizer bounds; the rest is what a live stream
// needs and not open to choice.
type VP8Params struct {
	vpx.VP8Params
	// CPUUsed and Threads are VP8Config's. 0: chosen.
	CPUUsed, Threads int
}

// NewVP8Params returns what suits a camera, with 1 Mbit/s.
func NewVP8Params() (*VP8Params, error) {
	p, err := vpx.NewVP8Params()
	if err != nil {
		return nil, err
	}
	p.BitRate = 1_000_000
	p.KeyFrameInterval = 3000
	p.RateControlEndUsage = vpx.RateControlCBR
	p.RateControlUndershootPercent = 100
	p.RateControlOvershootPercent = 15
	p.RateControlMinQuantizer = 2
	p.RateControlMaxQuantizer = 56
	p.ErrorResilient = vpx.ErrorResilientDefault
	return &VP8Params{VP8Params: p}, nil
}

// BuildVideoEncoder encodes what r delivers: *capture.Frame with its own time,
// anything else stamped on arrival and converted to 4:2:0. The encoder's
// Controller is a codec.KeyFrameController and a codec.BitRateController.
func (p *VP8Params) BuildVideoEncoder(r video.Reader, property prop.Media) (codec.ReadCloser, error) {
	e, err := NewVP8(VP8Config{
		Width: property.Width, Height: property.Height, FPS: float64(property.FrameRate),
		Bitrate: p.BitRate, KeyInterval: p.KeyFrameInterval,
		MinQuantizer: int(p.RateControlMinQuantizer), MaxQuantizer: int(p.RateControlMaxQuantizer),
		CPUUsed: p.CPUUsed, Threads: p.Threads,
	})
	if err != nil {
		return nil, err
	}
	w := &videoEncoder{reader: r, encoder: e}
	w.bitrate.Store(int64(p.BitRate))
	w.converted = video.ToI420(video.ReaderFunc(func() (image.Image, func(), error) {
		return w.foreign, func() {}, nil
	}))
	return w, nil
}

// videoEncoder is a codec.ReadCloser and its own controller.
type videoEncoder struct {
	reader    video.Reader
	foreign   image.Image  // what converted reads
	converted video.Reader // foreign as 4:2:0

	key     atomic.Bool
	bitrate atomic.Int64

	mu      sync.Mutex // held over Read, so that Close waits for it
	encoder *VP8Encoder
	closed  bool
}

// Read returns the next frame's bitstream, until release. io.EOF: closed.
func (e *videoEncoder) Read() (b []byte, release func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.closed {
		f, err := e.next()
		if err != nil {
			return nil, func() {}, err
		}
		if len(f.Data) > 0 {
			return f.Data, f.Release, nil
		}
		f.Release() // the rate control left it out
	}
	return nil, func() {}, io.EOF
}

func (e *videoEncoder) next() (*Frame, error) {
	img, release, err := e.reader.Read()
	if err != nil {
		return nil, err
	}
	if release != nil {
		defer release()
	}
	picture, t := (*image.YCbCr)(nil), time.Now()
	switch p := img.(type) {
	case *capture.Frame:
		picture, t = p.YCbCr, p.Time
	default:
		e.foreign = img
		i420, done, err := e.converted.Read()
		if err != nil {
			return nil, err
		}
		defer done()
		picture = i420.(*image.YCbCr)
	}
	if err := e.encoder.SetBitrate(int(e.bitrate.Load())); err != nil {
		return nil, err
	}
	f := NewFrame()
	key := e.key.Swap(false)
	if err := e.encoder.Encode(picture, t, key, f); err != nil {
		f.Release()
		return nil, err
	}
	return f, nil
}

// Controller is e itself.
func (e *videoEncoder) Controller() codec.EncoderController { return e }

// ForceKeyFrame makes the next frame a key frame.
func (e *videoEncoder) ForceKeyFrame() error {
	e.key.Store(true)
	return nil
}

// SetBitRate changes the target from the next frame on, in bit/s.
func (e *videoEncoder) SetBitRate(bps int) error {
	if bps <= 0 {
		return errors.New("a bit rate must be more than nothing")
	}
	e.bitrate.Store(int64(bps))
	return nil
}

// Close frees the encoder once a Read under way has returned.
func (e *videoEncoder) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return e.encoder.Close()
}
