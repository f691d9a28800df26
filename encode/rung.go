package encode

import (
	"image"
	"log/slog"
	"sync/atomic"
	"time"
)

// rung is one size of the picture. Its requests come from anywhere; all else
// is the encode goroutine's.
type rung struct {
	index   int
	key     atomic.Bool
	bitrate atomic.Int64

	encoder *VP8Encoder
	config  VP8Config
	running bool      // the frame before was encoded as well
	broken  error     // why the encoder is not there
	retry   time.Time // by frame time, when to build it again
	log     *slog.Logger

	encoded, keyFrames, skipped, again, bytes atomic.Uint64
	spent                                     atomic.Int64 // ns
}

// encode encodes img, taken at t, in temporal layers or not, so many steps
// faster than chosen, and hands the result to sink.
func (r *rung) encode(img *image.YCbCr, t time.Time, layered bool, hurry int, sink func(*Frame)) {
	if r.broken != nil && t.Before(r.retry) {
		return
	}
	// Asked before, so that a request that comes meanwhile is for the next one.
	key := r.key.Swap(false) || !r.running
	frame := NewFrame()
	defer frame.Release()
	start := time.Now()
	err := r.try(img, t, key, layered, hurry, frame)
	r.spent.Add(int64(time.Since(start)))
	if err != nil {
		r.fail(err, t)
		return
	}
	r.broken = nil
	r.running = true
	if key && !frame.Key {
		r.key.Store(true)
	}
	if len(frame.Data) == 0 {
		r.skipped.Add(1)
		return
	}
	r.encoded.Add(1)
	r.bytes.Add(uint64(len(frame.Data)))
	if frame.Key {
		r.keyFrames.Add(1)
	}
	frame.Rung = r.index
	sink(frame)
}

func (r *rung) try(img *image.YCbCr, t time.Time, key, layered bool, hurry int, into *Frame) error {
	bitrate := int(r.bitrate.Load())
	if r.encoder == nil {
		c := r.config
		c.Width, c.Height, c.Bitrate, c.Layered, c.Steady = img.Rect.Dx(), img.Rect.Dy(), bitrate, layered, true
		encoder, err := NewVP8(c)
		if err != nil {
			return err
		}
		r.encoder = encoder
	}
	if err := r.encoder.SetBitrate(bitrate); err != nil {
		return err
	}
	if err := r.encoder.SetLayered(layered); err != nil {
		return err
	}
	if err := r.encoder.Hurry(hurry); err != nil {
		return err
	}
	before := r.encoder.again
	err := r.encoder.Encode(img, t, key, into)
	r.again.Add(r.encoder.again - before)
	return err
}

// fail gives the encoder up for a second of frames, and says so once.
func (r *rung) fail(err error, at time.Time) {
	if r.broken == nil || r.broken.Error() != err.Error() {
		r.log.Error("encoding failed; the encoder is built anew every second", "rung", r.index, "err", err)
	}
	r.stop()
	r.broken = err
	r.retry = at.Add(time.Second)
}

// stop frees the encoder; the next frame will be a key frame.
func (r *rung) stop() {
	if r.encoder != nil {
		r.encoder.Close()
		r.encoder = nil
	}
	r.running = false
}
