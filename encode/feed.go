package encode

import (
	"sync/atomic"

	"github.com/peercam/peercam/capture"
)

// feed reads an open source in its own goroutine and keeps the newest frame
// until it is fetched: a mailbox of one, so that a slow encoder makes the
// stream jerky rather than late.
type feed struct {
	reader   capture.VideoReader
	frames   chan *capture.Frame // closed when the source failed or was closed
	err      error               // why, once frames is closed
	captured *atomic.Uint64
	dropped  *atomic.Uint64
}

func startFeed(r capture.VideoReader, captured, dropped *atomic.Uint64) *feed {
	f := &feed{reader: r, frames: make(chan *capture.Frame, 1), captured: captured, dropped: dropped}
	go f.run()
	return f
}

func (f *feed) run() {
	defer close(f.frames)
	for {
		frame, err := f.reader.Read()
		if err != nil {
			f.err = err
			return
		}
		f.captured.Add(1)
		select {
		case old := <-f.frames:
			old.Release()
			f.dropped.Add(1)
		default:
		}
		f.frames <- frame // room there is: nobody else sends
	}
}

// close ends the source and waits until its goroutine has ended.
func (f *feed) close() error {
	err := f.reader.Close()
	for frame := range f.frames {
		frame.Release()
	}
	return err
}
