package capture

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/mediadevices/pkg/driver"
	"github.com/pion/mediadevices/pkg/io/video"
)

// managerMu guards what mediadevices' driver manager, one a process, holds:
// a scan replaces all cameras in it and must not meet another.
var managerMu sync.Mutex

// camera is a camera that a scan found.
type camera struct {
	driver.Driver
	dev   Device
	order int
}

// scanCameras looks for cameras anew, so that one plugged in again is found,
// and returns them in an order that does not change from scan to scan.
func scanCameras(log *slog.Logger) ([]camera, error) {
	managerMu.Lock()
	defer managerMu.Unlock()
	m := driver.GetManager()
	isCamera := driver.FilterDeviceType(driver.Camera)
	for _, d := range m.Query(isCamera) {
		m.Delete(d.ID())
	}
	if err := registerCameras(m, log); err != nil {
		return nil, err
	}
	var all []camera
	for _, d := range m.Query(isCamera) {
		dev, order := cameraDevice(d.Info())
		all = append(all, camera{d, dev, order})
	}
	slices.SortFunc(all, func(a, b camera) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.dev.Name, b.dev.Name), cmp.Compare(a.dev.ID, b.dev.ID))
	})
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
		var formats []DeviceFormat
		for _, p := range c.Properties() {
			f := DeviceFormat{PixelFormat: string(p.FrameFormat), Width: p.Width, Height: p.Height}
			if p.FrameRate > 0 {
				f.FPS = []float64{math.Round(float64(p.FrameRate)*100) / 100}
			}
			formats = append(formats, f)
		}
		all[i].Formats = groupFormats(formats)
		if err := c.Close(); err != nil {
			all[i].Err = cameraError("close", c.dev, err).Error()
		} else if _, err := driver.IsAvailable(c.Driver); isBusy(err) {
			all[i].Err = cameraError("open", c.dev, err).Error()
		}
	}
	return all, nil
}

// cameraSource is the camera that a person named, whichever device that is at
// the time of Open.
type cameraSource struct {
	spec string
	log  *slog.Logger
	want Format
	name atomic.Pointer[string] // of the camera opened last
}

// newCamera returns the camera that spec names: "auto" (the first that opens),
// a name (exact, else a part of it in any case), or a path such as /dev/video0
// or one below /dev/v4l/by-id. A name or path that is not there now is an
// error that lists those that are; "auto" may find its camera later.
func newCamera(spec string, o Options) (VideoSource, error) {
	c := &cameraSource{spec: spec, log: o.log(), want: o.Want}
	if spec == autoDevice {
		return c, nil
	}
	cams, err := scanCameras(c.log)
	if err != nil {
		return nil, err
	}
	found, err := findDevices(KindCamera, spec, devicesOf(cams))
	if err != nil {
		return nil, err
	}
	c.name.Store(&cams[found[0]].dev.Name)
	return c, nil
}

func devicesOf(cams []camera) []Device {
	all := make([]Device, len(cams))
	for i, c := range cams {
		all[i] = c.dev
	}
	return all
}

func (c *cameraSource) String() string {
	switch name := c.name.Load(); {
	case name != nil:
		return *name
	case c.spec == autoDevice:
		return "camera"
	}
	return c.spec
}

func (c *cameraSource) Open(ctx context.Context, want Format) (VideoReader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cams, err := scanCameras(c.log)
	if err != nil {
		return nil, err
	}
	found, err := findDevices(KindCamera, c.spec, devicesOf(cams))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, i := range found {
		r, err := openCamera(cams[i], want.or(c.want), c.log)
		if err == nil {
			c.name.Store(&cams[i].dev.Name)
			return r, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func openCamera(cam camera, want Format, log *slog.Logger) (*cameraReader, error) {
	if err := cam.Open(); err != nil {
		return nil, cameraError("open", cam.dev, err)
	}
	have := cam.Properties()
	p, ok := chooseFormat(have, want)
	if !ok {
		cam.Close()
		return nil, cameraError("use", cam.dev, fmt.Errorf("none of its %d formats is understood", len(have)))
	}
	v, err := cam.Driver.(driver.VideoRecorder).VideoRecord(p)
	if err != nil {
		return nil, cameraError("start", cam.dev, err)
	}
	format := Format{Width: p.Width &^ 1, Height: p.Height &^ 1, FPS: float64(p.FrameRate)}
	log.Info("camera opened", "name", cam.dev.Name, "path", cam.dev.Path, "width", format.Width, "height", format.Height,
		"fps", format.FPS, "pixels", p.FrameFormat)
	return &cameraReader{cam: cam, video: v, format: format}, nil
}

// cameraError says of which camera an error is and, where known, the way out.
func cameraError(what string, d Device, err error) error {
	name := fmt.Sprintf("%s camera %q", what, d.Name)
	if d.Path != d.Name {
		name += " (" + d.Path + ")"
	}
	if reason := cameraReason(err); reason != "" {
		return fmt.Errorf("%s: %s: %w", name, reason, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

type cameraReader struct {
	cam    camera
	video  video.Reader
	format Format
	pool   framePool // for drivers that do not deliver frames themselves
	closed atomic.Bool
	close  sync.Once
	err    error // of close
}

func (r *cameraReader) Format() Format { return r.format }

func (r *cameraReader) Read() (*Frame, error) {
	img, release, err := r.video.Read()
	if err != nil {
		if r.closed.Load() {
			return nil, ErrClosed
		}
		if errors.Is(err, io.EOF) { // a camera does not end, it fails
			err = errors.New("it has stopped")
		}
		return nil, cameraError("read from", r.cam.dev, err)
	}
	if f, ok := img.(*Frame); ok {
		return f, nil
	}
	arrived := time.Now()
	defer release()
	f, err := frameOf(img, r.pool.get)
	if err != nil {
		return nil, cameraError("read from", r.cam.dev, err)
	}
	f.Time = arrived
	return f, nil
}

func (r *cameraReader) Close() error {
	r.close.Do(func() {
		r.closed.Store(true)
		r.err = r.cam.Close()
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
