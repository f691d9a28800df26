package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/pion/mediadevices/pkg/frame"
)

// cameraSource is the camera that a person named, whichever device that is at
// the time of Open.
type cameraSource struct {
	spec     string
	log      *slog.Logger
	want     Format
	pixels   frame.Format // "" for the best
	settings settings
	counts   cameraCounts
	now      atomic.Pointer[camera] // found or opened last
}

// newCamera returns the camera that spec names: "auto" (the first that opens),
// a name (exact, else a part of it in any case), a serial number, or a path
// such as /dev/video0 or one below /dev/v4l/by-id. A name or path that is not
// there now is an error that lists those that are; "auto" may find its camera
// later. So is a pixel format or a control that a camera which is there has not.
func newCamera(spec string, o Options) (VideoSource, error) {
	c := &cameraSource{spec: spec, log: o.log(), want: o.Want}
	var err error
	if c.pixels, err = parsePixelFormat(o.PixelFormat); err != nil {
		return nil, err
	}
	c.settings.ask(o.Controls)
	cams, err := c.find()
	switch {
	case err == nil:
	case spec == autoDevice && errors.Is(err, ErrNoDevice):
		return c, nil
	default:
		return nil, err
	}
	if spec != autoDevice {
		c.now.Store(&cams[0])
	}
	if err := c.check(cams); err != nil {
		return nil, err
	}
	return c, nil
}

// find returns the cameras that are meant, best first.
func (c *cameraSource) find() ([]camera, error) {
	cams, err := scanCameras(c.log)
	if err != nil {
		return nil, err
	}
	var last *Device
	if now := c.now.Load(); now != nil && c.spec != autoDevice {
		last = &now.dev
	}
	found, err := meant(c.spec, last, devicesOf(cams))
	if err != nil {
		return nil, err
	}
	all := make([]camera, len(found))
	for i, f := range found {
		all[i] = cams[f]
	}
	return all, nil
}

// meant returns the indices of the cameras that spec means, best first. The
// one that it meant last, if it is known by more than its path, comes first,
// wherever it is now: /dev/video0 may be another camera after a replug.
func meant(spec string, last *Device, have []Device) (all []int, err error) {
	if last != nil && last.stable() {
		if i := slices.IndexFunc(have, func(d Device) bool { return d.ID == last.ID }); i >= 0 {
			all = append(all, i)
		}
	}
	found, err := findDevices(KindCamera, spec, have)
	if err != nil && len(all) == 0 {
		return nil, err
	}
	for _, i := range found {
		if !slices.Contains(all, i) {
			all = append(all, i)
		}
	}
	return all, nil
}

// check finds wishes that no camera which is there can fulfil.
func (c *cameraSource) check(cams []camera) error {
	if c.pixels == "" && c.settings.empty() {
		return nil
	}
	var errs []error
	for _, cam := range cams {
		err := c.checkOne(cam)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c *cameraSource) checkOne(cam camera) error {
	if err := cam.Open(); err != nil {
		return nil // the slate will say so, and that may pass
	}
	have := cam.Properties()
	if err := cam.Close(); err != nil {
		return cameraError("close", cam.dev, err)
	}
	if _, err := onlyFormat(have, c.pixels); err != nil {
		return cameraError("use", cam.dev, err)
	}
	controls, err := cam.controls()
	if err == nil {
		_, err = c.settings.resolve(controls)
	}
	if err != nil && !c.settings.empty() {
		return cameraError("set up", cam.dev, err)
	}
	return nil
}

func (c *cameraSource) String() string {
	switch now := c.now.Load(); {
	case now != nil:
		return now.dev.Name
	case c.spec == autoDevice:
		return "camera"
	}
	return c.spec
}

func (c *cameraSource) watch() *deviceWatch { return watchCameras() }

func (c *cameraSource) Open(ctx context.Context, want Format) (VideoReader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	cams, err := c.find()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, cam := range cams {
		r, err := c.open(cam, want.or(c.want))
		if err == nil {
			return r, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (c *cameraSource) open(cam camera, want Format) (VideoReader, error) {
	if err := cam.Open(); err != nil {
		return nil, cameraError("open", cam.dev, err)
	}
	have, err := onlyFormat(cam.Properties(), c.pixels)
	if err != nil {
		cam.Close()
		return nil, cameraError("use", cam.dev, err)
	}
	p, ok := chooseFormat(have, want)
	if !ok {
		cam.Close()
		return nil, cameraError("use", cam.dev, fmt.Errorf("none of its %d formats is understood", len(have)))
	}
	if n, ok := cam.cameraDriver.(interface{ countIn(*cameraCounts) }); ok {
		n.countIn(&c.counts)
	}
	v, err := cam.VideoRecord(p)
	if err != nil {
		cam.Close()
		return nil, cameraError("start", cam.dev, err)
	}
	format := Format{Width: p.Width &^ 1, Height: p.Height &^ 1, FPS: float64(p.FrameRate)}
	if a, ok := cam.cameraDriver.(interface{ agreed() Format }); ok {
		format = a.agreed()
	}
	c.log.Info("camera opened", "name", cam.dev.Name, "path", cam.dev.Path, "width", format.Width, "height", format.Height,
		"fps", format.FPS, "pixels", p.FrameFormat)
	c.now.Store(&cam)
	c.applySettings(cam)
	return &cameraReader{cam: cam, video: v, format: format, counts: &c.counts, log: c.log}, nil
}
