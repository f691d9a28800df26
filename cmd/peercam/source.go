package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/peercam/peercam/capture"
)

// sourceFlags say what is sent and how well; share and paste have them.
type sourceFlags struct {
	Camera  string        `help:"Where the picture comes from: auto, a camera's NAME or PATH, test, rpi (a Raspberry Pi's camera module), file:PATH (Y4M, MJPEG, IVF), exec:COMMAND (writes Y4M or MJPEG), or - (the same on stdin)." default:"auto" placeholder:"SOURCE"`
	Mic     string        `help:"Where the sound comes from: auto, a microphone's NAME, test, none, file:PATH.wav, or exec:COMMAND (writes WAV or s16le)." default:"auto" placeholder:"SOURCE"`
	MicGain float64       `name:"mic-gain" help:"Make the sound this much louder, in dB; what would clip is turned down." default:"0" placeholder:"DB"`
	Size    size          `help:"Size of the picture." default:"1280x720" placeholder:"WxH"`
	FPS     float64       `name:"fps" help:"Pictures a second." default:"30"`
	Bitrate bitrate       `help:"Most bit/s of video." default:"2500k" placeholder:"RATE"`
	Linger  time.Duration `help:"How long the camera stays open after the last viewer has left." default:"10s"`
	Always  bool          `help:"Keep the camera open even when nobody watches."`

	cameraFlags
}

// sources are what is to be captured. A nil sound is none.
type sources struct {
	video capture.VideoSource
	audio *capture.Sound
	// how the picture is turned, and whether both are covered; see cameraFlags
	orientation *capture.Orientation
	privacy     *capture.Privacy
}

// check tells of values that are out of range.
func (s *sourceFlags) check() error {
	if !(s.FPS >= 1 && s.FPS <= 120) { // NaN is neither
		return usage("--fps %g is out of range: it must be from 1 to 120", s.FPS)
	}
	if !(s.MicGain >= -60 && s.MicGain <= 60) {
		return usage("--mic-gain %g is out of range: it must be from -60 to 60 dB", s.MicGain)
	}
	return nil
}

func (s *sourceFlags) format() capture.Format {
	return capture.Format{Width: s.Size.Width, Height: s.Size.Height, FPS: s.FPS}
}

func (s *sourceFlags) openSources(ctx context.Context, env environment, log *slog.Logger) (*sources, error) {
	o := capture.Options{Log: log, Stdin: env.stdin, Want: s.format()}
	if s.Camera == "-" && s.Mic == "-" {
		return nil, usage("--camera - and --mic - cannot both read stdin: give one of them by exec: or file:")
	}
	if err := s.options(&o); err != nil {
		return nil, err
	}
	video, err := capture.ParseVideo(s.Camera, o)
	if err != nil {
		return nil, usageError{err}
	}
	if video == nil {
		return nil, usage("--camera none leaves nothing to see: name a camera, or --camera test")
	}
	audio, err := s.openMic(ctx, o, log)
	if err != nil {
		return nil, errors.Join(usageError{err}, closeSource(video))
	}
	src := &sources{audio: audio}
	if err := src.picture(video, s.cameraFlags, log); err != nil {
		return nil, errors.Join(err, closeSource(video))
	}
	return src, nil
}

func (s *sourceFlags) openMic(ctx context.Context, o capture.Options, log *slog.Logger) (*capture.Sound, error) {
	if s.Mic == "auto" {
		devices, err := capture.Devices(ctx)
		if err != nil {
			log.Debug("listing devices", "err", err)
		}
		if !hasMicrophone(devices) {
			log.Warn("no microphone found, so there will be silence until one is plugged in: or name a source with --mic")
		}
	}
	audio, err := capture.ParseAudio(s.Mic, o)
	if audio == nil || err != nil {
		return nil, err
	}
	return capture.NewSound(audio, capture.SoundOptions{Log: log, Gain: s.MicGain}), nil
}

func hasMicrophone(devices []capture.Device) bool {
	for _, d := range devices {
		if d.Kind == capture.KindMicrophone {
			return true
		}
	}
	return false
}

func closeSource(source any) error {
	if c, ok := source.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func (s *sources) close() {
	_ = closeSource(s.video) // the process ends; its pipes end with it
	if s.audio != nil {
		_ = s.audio.Close()
	}
}
