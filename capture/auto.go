package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// NoCamera is the caption of the test picture that stands in for a camera.
const NoCamera = "no camera found"

// errPluggedIn ends the test picture.
var errPluggedIn = fmt.Errorf("a camera was plugged in: %w", errAgain)

// autoVideo is the camera. As long as there has been none it is the test
// picture that says so, which ends when a camera is plugged in.
type autoVideo struct {
	camera, standIn VideoSource
	log             *slog.Logger
	told            atomic.Bool // that there is none
	had             atomic.Bool // a camera
}

func newAutoVideo(o Options) (VideoSource, error) {
	camera, err := newCamera(autoDevice, o)
	if err != nil {
		return nil, err
	}
	a := &autoVideo{camera: camera, standIn: Captioned(&testVideo{want: o.Want}, NoCamera), log: o.log()}
	// Who starts without a camera should hear it now, not from the first viewer.
	if cameras, err := scanCameras(o.log()); err == nil && len(cameras) == 0 {
		a.tell()
	}
	return a, nil
}

func (a *autoVideo) tell() {
	if !a.told.Swap(true) {
		a.log.Warn("no camera found, showing the test picture: plug one in, or name a source with --camera test, file:PATH or exec:COMMAND")
	}
}

func (a *autoVideo) String() string      { return a.camera.String() }
func (a *autoVideo) Unwrap() VideoSource { return a.camera }

func (a *autoVideo) Open(ctx context.Context, want Format) (VideoReader, error) {
	r, err := a.camera.Open(ctx, want)
	if !errors.Is(err, ErrNoDevice) {
		a.told.Store(false)
		a.had.Store(true)
		return r, err
	}
	if a.had.Load() { // it was unplugged, and everybody knows what it shows
		return nil, err
	}
	a.tell()
	r, err = a.standIn.Open(ctx, want)
	if err != nil {
		return nil, err
	}
	n, ok := a.camera.(notifier)
	if !ok {
		return r, nil
	}
	s := &standIn{VideoReader: r, watch: n.watch(), done: make(chan struct{})}
	s.wait.Go(s.look)
	return s, nil
}

// standIn is a picture that is shown until there is a camera.
type standIn struct {
	VideoReader
	watch *deviceWatch
	found atomic.Bool
	done  chan struct{}
	once  sync.Once
	wait  sync.WaitGroup
}

// look looks for a camera whenever a device has come, and now and then in case
// that was missed.
func (s *standIn) look() {
	ticker := time.NewTicker(devicePoll)
	defer ticker.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-s.watch.C:
		case <-ticker.C:
		}
		if cams, err := scanCameras(slog.New(slog.DiscardHandler)); err == nil && len(cams) > 0 {
			s.found.Store(true)
			return
		}
	}
}

func (s *standIn) Read() (*Frame, error) {
	if s.found.Load() {
		select {
		case <-s.done: // Close is told first
		default:
			return nil, errPluggedIn
		}
	}
	return s.VideoReader.Read()
}

func (s *standIn) Close() error {
	s.once.Do(func() {
		close(s.done)
		s.watch.close()
		s.wait.Wait()
	})
	return s.VideoReader.Close()
}
