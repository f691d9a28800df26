package main

import (
	"log/slog"

	"github.com/peercam/peercam/capture"
)

// cameraFlags say how a camera is set up and its picture turned.
type cameraFlags struct {
	CameraFormat string   `name:"camera-format" help:"Take the camera's pictures in this pixel format (mjpeg, yuyv, nv12, ...) instead of the best one." default:"auto" placeholder:"FORMAT"`
	Control      []string `name:"control" sep:"none" help:"Set a control of the camera, such as brightness=20 or zoom=200; 'peercam devices' lists them. May be repeated." placeholder:"NAME=VALUE"`
	Rotate       int      `help:"Turn the picture clockwise: 0, 90, 180 or 270 degrees." enum:"0,90,180,270" default:"0"`
	Mirror       bool     `help:"Swap left and right."`
	Privacy      bool     `help:"Begin with the camera covered and the microphone muted: both stay closed, and viewers see a slate."`
}

// options adds what concerns the camera itself.
func (f cameraFlags) options(o *capture.Options) error {
	o.PixelFormat = f.CameraFormat
	for _, text := range f.Control {
		c, err := capture.ParseControl(text)
		if err != nil {
			return usage("--control: %w", err)
		}
		o.Controls = append(o.Controls, c)
	}
	return nil
}

// picture makes of a camera what is encoded, and of the sources what can be
// covered.
func (s *sources) picture(camera capture.VideoSource, f cameraFlags, log *slog.Logger) error {
	s.orientation, s.privacy = new(capture.Orientation), new(capture.Privacy)
	if err := s.orientation.Set(f.Rotate, f.Mirror); err != nil {
		return usageError{err}
	}
	s.video = capture.Steady(capture.Oriented(camera, s.orientation), capture.SteadyOptions{Log: log, Privacy: s.privacy})
	return nil
}
