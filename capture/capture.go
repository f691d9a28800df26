// Package capture turns cameras, microphones, files, commands and pipes into
// frames and samples stamped when they were taken.
//
// It knows nobody else: encode knows its types, cmd wires the two.
//
// Invariants kept here:
//   - Time is taken at capture: Frame.Time and Samples.Time say when the light
//     and the sound were there, as a time.Time with its monotonic reading.
//   - One reader a source. Who wants several fans out behind it.
//   - Buffers are recycled: a Frame is its holder's until Release.
//   - Close unblocks Read, and returns only when all that Open started has ended.
package capture

import (
	"context"
	"image"
	"io"
	"sync/atomic"
	"time"
)

// Frame is one picture, 4:2:0 with even width and height. It satisfies
// image.Image through the embedded YCbCr, so that it can pass through
// mediadevices' video.Reader without losing its time.
//
// A Frame has one holder, who calls Release exactly once and does not touch
// the planes afterwards.
type Frame struct {
	*image.YCbCr
	// Time is when the picture was taken.
	Time time.Time

	pool     *framePool
	released atomic.Bool
}

// Release hands the planes back to the source that made the frame.
func (f *Frame) Release() {
	if f.released.Swap(true) || f.pool == nil {
		return
	}
	f.pool.put(f)
}

// Format is a picture's size in pixels and its rate in frames a second. In a
// wish, zero means whatever the source likes best; in a statement, an FPS of
// zero means not known.
type Format struct {
	Width, Height int
	FPS           float64
}

// VideoSource is something that can be opened for pictures, again and again,
// but by one reader at a time.
type VideoSource interface {
	// Open starts capture as near to want as the source can. An error names
	// the source, says what happened and what to do about it.
	Open(ctx context.Context, want Format) (VideoReader, error)
	// String names the source for people ("FaceTime HD Camera", "test").
	String() string
}

// VideoReader delivers the pictures of an open source.
type VideoReader interface {
	// Read blocks until the next picture. io.EOF: the source has ended and
	// will not go on. ErrClosed: Close was called. Sizes may change from one
	// frame to the next.
	Read() (*Frame, error)
	// Format is what the source promised when it was opened.
	Format() Format
	io.Closer
}

// Samples is a run of sound: interleaved signed 16 bit PCM.
type Samples struct {
	// PCM holds len(PCM)/Channels samples a channel, valid until the next Read.
	PCM []int16
	// Rate is samples a second and channel.
	Rate int
	// Channels is 1 or 2; sources with more mix down.
	Channels int
	// Time is when the first sample was taken.
	Time time.Time
}

// AudioSource is something that can be opened for sound.
type AudioSource interface {
	Open(ctx context.Context) (AudioReader, error)
	String() string
}

// AudioReader delivers the sound of an open source, in runs of about 10 ms.
type AudioReader interface {
	// Read blocks until the next run; errors as VideoReader.Read.
	Read() (*Samples, error)
	io.Closer
}
