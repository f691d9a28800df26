package capture

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// Options are what sources share.
type Options struct {
	// Log takes what is worth telling outside of errors; nil for silence.
	Log *slog.Logger
	// Stdin is what "-" reads; nil for os.Stdin.
	Stdin io.Reader
	// Want fills what the Format given to Open leaves open.
	Want Format
	// PixelFormat is the only one to take a camera's pictures in, such as
	// "mjpeg" or "yuyv"; "" or "auto" for the best.
	PixelFormat string
	// Controls are what a camera is set to whenever it is opened, in this
	// order.
	Controls []ControlSetting
}

func (o Options) log() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

// or fills zero fields from d.
func (f Format) or(d Format) Format {
	if f.Width == 0 && f.Height == 0 {
		f.Width, f.Height = d.Width, d.Height
	}
	if f.FPS == 0 {
		f.FPS = d.FPS
	}
	return f
}

// ParseVideo turns what was given as --camera into a source:
//
//	auto          the best camera; the test picture when there is none
//	NAME, PATH    the camera with that name or device path
//	test          a moving picture with the time in it
//	none          no picture: a nil source
//	file:PATH     a Y4M, MJPEG or IVF (VP8) file, looped
//	rpi           a Raspberry Pi's camera module, by rpicam-vid
//	exec:COMMAND  a shell command that writes Y4M or Motion JPEG to its stdout
//	-             Y4M or Motion JPEG on stdin
//
// Nothing is opened yet, except that "-" begins to read: a stream that nobody
// watches is thrown away, so that it is never stale. The source then is an
// io.Closer too, and Close ends that.
func ParseVideo(spec string, o Options) (VideoSource, error) {
	kind, rest, hasColon := strings.Cut(spec, ":")
	switch {
	case spec == "none":
		return nil, nil
	case spec == "test":
		return &testVideo{want: o.Want}, nil
	case spec == "auto":
		return newAutoVideo(o)
	case spec == "rpi":
		return newRPi(o)
	case spec == "-":
		in, err := openStdin(o, "--camera", "Y4M or Motion JPEG")
		if err != nil {
			return nil, err
		}
		return stdinVideo{newDrain(in, o.log(), openVideo(o.log()))}, nil
	case hasColon && kind == "exec":
		if strings.TrimSpace(rest) == "" {
			return nil, errors.New("--camera exec: needs a command that writes Y4M, such as 'exec:ffmpeg -i ... -f yuv4mpegpipe -'")
		}
		return &execVideo{command{rest, o.log()}}, nil
	case hasColon && kind == "file":
		return newFileVideo(rest, o)
	}
	if err := checkDeviceSpec("--camera", spec); err != nil {
		return nil, err
	}
	return newCamera(spec, o)
}

// ParseAudio turns what was given as --mic into a source, like ParseVideo:
//
//	auto          the default microphone
//	NAME          the microphone with that name
//	test          a beep of 1 kHz at each full second, with the test picture's flash
//	none          no sound: a nil source
//	file:PATH     a WAV file, looped
//	exec:COMMAND  a shell command that writes WAV, or s16le at 48 kHz mono, to its stdout
//	-             the same on stdin; the source then is an io.Closer too
func ParseAudio(spec string, o Options) (AudioSource, error) {
	kind, rest, hasColon := strings.Cut(spec, ":")
	switch {
	case spec == "none":
		return nil, nil
	case spec == "test":
		return testAudio{}, nil
	case spec == "-":
		in, err := openStdin(o, "--mic", "WAV or s16le")
		if err != nil {
			return nil, err
		}
		return stdinAudio{newDrain(in, o.log(), openAudioStream)}, nil
	case hasColon && kind == "exec":
		if strings.TrimSpace(rest) == "" {
			return nil, errors.New("--mic exec: needs a command that writes WAV or s16le, such as 'exec:ffmpeg -i ... -f wav -'")
		}
		return &execAudio{command{rest, o.log()}}, nil
	case hasColon && kind == "file":
		return newFileAudio(rest, o)
	case spec == "auto":
		return newMicrophone(spec, o)
	}
	if err := checkDeviceSpec("--mic", spec); err != nil {
		return nil, err
	}
	return newMicrophone(spec, o)
}

// checkDeviceSpec finds the slips that would else end in "no such device".
func checkDeviceSpec(flag, spec string) error {
	if strings.TrimSpace(spec) == "" {
		return fmt.Errorf("%s is empty: name a device, or say auto, test or none", flag)
	}
	if fi, err := os.Stat(spec); err == nil && fi.Mode().IsRegular() {
		return fmt.Errorf("%s %q is a file, not a device: write %s file:%s", flag, spec, flag, spec)
	}
	return nil
}

// checkFile reports early what can be known before a file is opened.
func checkFile(flag, path string) error {
	if path == "" {
		return fmt.Errorf("%s file: needs a path", flag)
	}
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("%s file: %w", flag, err)
	case fi.IsDir():
		return fmt.Errorf("%s file:%s is a directory: name a file in it", flag, path)
	case !fi.Mode().IsRegular():
		return fmt.Errorf("%s file:%s is not a regular file: write %s 'exec:cat %s'", flag, path, flag, path)
	case fi.Size() == 0:
		return fmt.Errorf("%s file:%s is empty", flag, path)
	}
	return nil
}

// fileName is how a file source is called: without the directories, as the
// name is shown to viewers.
func fileName(path string) string { return filepath.Base(path) }
