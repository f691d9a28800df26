// Package encode turns frames into VP8 and samples into Opus, once for
// everybody who watches.
//
// Invariants kept here:
//   - Only the encode goroutine touches the encoder. Key frames, bit rates and
//     wanted rungs are requests, coalesced until the next frame.
//   - Nobody watching, nothing running: the source is opened for the first
//     viewer and closed when the last one has been gone for the linger.
//   - Every queue is bounded: between camera and encoder there is room for one
//     frame; a newer one replaces it, and the replaced one is counted.
package encode

import (
	"sync"
	"sync/atomic"
	"time"
)

// Frame is one encoded picture of one rung. It is shared by all sessions, so
// it is read-only and counted: who keeps it beyond the call that handed it
// over calls Retain first and Release when done.
type Frame struct {
	// Data is the VP8 bitstream of the frame (RFC 6386).
	Data []byte
	// Time is when the picture was taken.
	Time time.Time
	// Rung is the index in the ladder, 0 the largest.
	Rung int
	// Layer is the temporal layer, 0 the base.
	Layer int
	// Key tells that the frame can be decoded without any other.
	Key bool
	// Sync tells that an upper layer's frame refers to base layer frames only,
	// so that a viewer may step up to its layer here.
	Sync bool
	// Width and Height are the coded size in pixels.
	Width, Height int

	refs atomic.Int32
}

// Size is that of a picture in pixels.
type Size struct{ Width, Height int }

// LayerShare is what part of a rung's bit rate its temporal layers up to and
// including the i-th take. With the base layer alone a quarter of the pictures
// arrive, with two layers half of them. So all pictures are about as large, and take a
// link as long; with the usual 0.4 and 0.6 a base layer's picture takes twice as long as
// those around it, and the screen shows one less. It costs up to 0.5 dB.
var LayerShare = [...]float64{0.28, 0.53, 1}

// AudioFrame is one Opus packet. It is read-only and left to the garbage
// collector, being small.
type AudioFrame struct {
	Data []byte
	// Time is when its first sample was taken.
	Time time.Time
	// Timestamp counts samples at 48 kHz since the encoder began; it rises by
	// the packet's length unless the source paused.
	Timestamp uint32
	// Samples is the packet's length at 48 kHz (960: 20 ms).
	Samples int
}

var frames = sync.Pool{New: func() any { return new(Frame) }}

// NewFrame takes a frame from the pool, held once by the caller, with an empty
// Data whose room is reused.
func NewFrame() *Frame {
	f := frames.Get().(*Frame)
	*f = Frame{Data: f.Data[:0]}
	f.refs.Store(1)
	return f
}

// Retain adds a holder.
func (f *Frame) Retain() { f.refs.Add(1) }

// Release takes one holder away; after the last one the frame is recycled.
func (f *Frame) Release() {
	switch n := f.refs.Add(-1); {
	case n == 0:
		frames.Put(f)
	case n < 0:
		panic("encode: frame released more often than it was held")
	}
}
