package capture

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/mediadevices/pkg/driver"
	"github.com/pion/mediadevices/pkg/io/video"
	"github.com/pion/mediadevices/pkg/prop"
)

// managerMu guards what mediadevices' driver manager, one a process, holds: a
// scan replaces all devices of a kind in it and must not meet another.
var managerMu sync.Mutex

// cameraDriver is what plays a camera: mediadevices' own drivers on macOS and
// Windows, v4l2Camera on Linux.
type cameraDriver interface {
	driver.Adapter
	driver.VideoRecorder
}

// camera is a camera that findCameras found.
type camera struct {
	cameraDriver
	dev Device
}

// scanCameras looks for cameras anew, so that one plugged in again is found,
// and returns them in an order that does not change from scan to scan.
func scanCameras(log *slog.Logger) ([]camera, error) {
	managerMu.Lock()
	defer managerMu.Unlock()
	all, err := findCameras(log)
	if err != nil {
		return nil, fmt.Errorf("looking for cameras: %w", err)
	}
	if len(all) > 0 {
		all[0].dev.Default = true
	}
	return all, nil
}

// listCameras describes the cameras that are plugged in.
func listCameras(ctx context.Context) ([]Device, error) {
	cams, err := scanCameras(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	all := devicesOf(cams)
	for i, c := range cams {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := c.Open(); err != nil {
			all[i].Err = cameraError("open", c.dev, err).Error()
			continue
		}
		all[i].Formats = formatsOf(c.Properties())
		if err := c.Close(); err != nil {
			all[i].Err = cameraError("close", c.dev, err).Error()
		} else if err := c.busy(); err != nil {
			all[i].Err = cameraError("open", c.dev, err).Error()
		}
		all[i].Controls, _ = c.controls() // a camera without is one all the same
	}
	return all, nil
}

// busy is the error that another program's use of the camera causes.
func (c camera) busy() error {
	if a, ok := c.cameraDriver.(driver.AvailabilityAdapter); ok {
		if _, err := a.IsAvailable(); isBusy(err) {
			return err
		}
	}
	return nil
}

func formatsOf(have []prop.Media) []DeviceFormat {
	var formats []DeviceFormat
	for _, p := range have {
		f := DeviceFormat{PixelFormat: string(p.FrameFormat), Width: p.Width, Height: p.Height}
		if p.FrameRate > 0 {
			f.FPS = []float64{math.Round(float64(p.FrameRate)*100) / 100}
		}
		formats = append(formats, f)
	}
	return groupFormats(formats)
}

func devicesOf(cams []camera) []Device {
	all := make([]Device, len(cams))
	for i, c := range cams {
		all[i] = c.dev
	}
	return all
}

// cameraReader reads an open camera.
type cameraReader struct {
	cam    camera
	video  video.Reader
	format Format
	counts *cameraCounts
	log    *slog.Logger
	rate   pictureRate
	judged bool      // the rate was compared with the promise
	pool   framePool // for drivers that do not deliver frames themselves
	closed atomic.Bool
	close  sync.Once
	err    error // of close
}

func (r *cameraReader) Format() Format { return r.format }

func (r *cameraReader) Read() (*Frame, error) {
	f, err := r.read()
	switch {
	case err == nil:
	case r.closed.Load():
		return nil, ErrClosed
	case errors.Is(err, io.EOF): // a camera does not end, it fails
		return nil, cameraError("read from", r.cam.dev, errors.New("it has stopped"))
	default:
		return nil, cameraError("read from", r.cam.dev, err)
	}
	r.rate.add(f.Time)
	r.counts.frames.Add(1)
	r.counts.fps.Store(math.Float64bits(r.rate.fps()))
	r.judge()
	return f, nil
}

func (r *cameraReader) read() (*Frame, error) {
	img, release, err := r.video.Read()
	if err != nil {
		return nil, err
	}
	if f, ok := img.(*Frame); ok {
		return f, nil
	}
	arrived := time.Now()
	defer release()
	f, err := frameOf(img, r.pool.get)
	if err != nil {
		return nil, err
	}
	f.Time = arrived
	return f, nil
}

// judge says once when a camera gives much less than it promised.
func (r *cameraReader) judge() {
	if r.judged || !r.rate.full() {
		return
	}
	r.judged = true
	if fps := r.rate.fps(); fps < 0.8*r.format.FPS {
		r.log.Info("the camera gives fewer pictures than it says: in the dark it may expose longer, or the bus may be slow",
			"name", r.cam.dev.Name, "fps", math.Round(10*fps)/10, "promised", r.format.FPS)
	}
}

func (r *cameraReader) Close() error {
	r.close.Do(func() {
		r.closed.Store(true)
		r.err = r.cam.Close()
		r.counts.fps.Store(0)
	})
	return r.err
}

// nothing is what our drivers give to mediadevices as release: a *Frame has its
// own, and sound is valid until the next read.
func nothing() {}

// frameOf copies a picture of one of the kinds that mediadevices' drivers
// deliver into a frame.
func frameOf(img image.Image, get func(w, h int) *Frame) (*Frame, error) {
	p, ok := img.(*image.YCbCr)
	if !ok {
		return nil, fmt.Errorf("pictures of type %T are not understood", img)
	}
	w, h := p.Rect.Dx(), p.Rect.Dy()
	if min(w, h) < 2 || max(w, h) > maxSide {
		return nil, fmt.Errorf("picture is %dx%d pixels; 2x2 to %dx%d are possible", w, h, maxSide, maxSide)
	}
	f := get(w, h)
	w, h = f.Rect.Dx(), f.Rect.Dy()
	for row := range h {
		copy(f.Y[row*f.YStride:][:w], p.Y[row*p.YStride:])
	}
	for _, c := range [...]struct{ out, in []byte }{{f.Cb, p.Cb}, {f.Cr, p.Cr}} {
		for row := range h / 2 {
			line := c.out[row*f.CStride:][:w/2]
			switch p.SubsampleRatio {
			case image.YCbCrSubsampleRatio420:
				copy(line, c.in[row*p.CStride:])
			case image.YCbCrSubsampleRatio422:
				average2(line, c.in[2*row*p.CStride:], c.in[(2*row+1)*p.CStride:])
			case image.YCbCrSubsampleRatio444:
				average4(line, c.in[2*row*p.CStride:], c.in[(2*row+1)*p.CStride:])
			default:
				f.Release()
				return nil, fmt.Errorf("pictures of chroma subsampling %v are not understood", p.SubsampleRatio)
			}
		}
	}
	return f, nil
}
