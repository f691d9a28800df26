package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
)

// rpiPrograms deliver the pictures of a Raspberry Pi's camera module, the newer
// name first.
var rpiPrograms = []string{"rpicam-vid", "libcamera-vid"}

// rpiVideo is a Raspberry Pi's camera module, whose pictures come from
// libcamera rather than V4L2 (https://www.raspberrypi.com/documentation/computers/camera_software.html).
type rpiVideo struct {
	want  Format
	mjpeg bool
	log   *slog.Logger
}

func newRPi(o Options) (VideoSource, error) {
	r := &rpiVideo{want: o.Want, log: o.log()}
	switch f, err := parsePixelFormat(o.PixelFormat); {
	case err != nil:
		return nil, err
	case f == pixelNames["mjpeg"]:
		r.mjpeg = true
	case f != "" && f != pixelNames["i420"]:
		return nil, fmt.Errorf("--camera-format %s: --camera rpi has i420 and mjpeg", o.PixelFormat)
	}
	if len(o.Controls) > 0 {
		return nil, errors.New("--control: --camera rpi has none; give rpicam-vid its options by --camera 'exec:rpicam-vid -n -t 0 --flush --codec mjpeg -o - ...'")
	}
	_, err := r.program()
	return r, err
}

func (r *rpiVideo) program() (string, error) {
	for _, p := range rpiPrograms {
		if _, err := exec.LookPath(p); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("--camera rpi: %s is not installed: on Raspberry Pi OS, sudo apt install rpicam-apps-lite (libcamera-apps-lite before 2024); a USB camera needs neither: --camera auto",
		rpiPrograms[0])
}

func (r *rpiVideo) String() string { return "Raspberry Pi camera" }

func (r *rpiVideo) Open(ctx context.Context, want Format) (VideoReader, error) {
	program, err := r.program()
	if err != nil {
		return nil, err
	}
	f := want.or(r.want).or(defaultFormat)
	f.Width, f.Height = f.Width&^1, f.Height&^1
	// Raw pictures cost the Pi least. Their rows are padded to 64 bytes, which
	// without a header could not be told; then JPEGs say their size themselves.
	codec, open := "yuv420", openRawVideo(f)
	if r.mjpeg || f.Width%64 != 0 {
		codec, open = "mjpeg", openVideo(r.log)
	}
	// --flush: else the end of a picture waits in stdio's buffer for the next.
	line := fmt.Sprintf("%s -n -t 0 --flush --codec %s --width %d --height %d --framerate %g -o -", program, codec, f.Width, f.Height, f.FPS)
	return command{line, r.log}.run(ctx, open)
}
