package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/peercam/peercam/capture"
	"github.com/peercam/peercam/encode"
)

// checkCodecs encodes a picture and a packet of sound.
func checkCodecs(ctx context.Context) finding {
	f := finding{Verdict: fine, Summary: fmt.Sprintf("VP8 by libvpx %s, Opus by %s", encode.LibvpxVersion(), encode.OpusVersion())}
	const reinstall = "install libvpx and libopus again, of one version each, or take a peercam that was built on this system"
	if err := encodePicture(); err != nil {
		return f.with(problem, err.Error(), reinstall)
	}
	if err := encodeSound(ctx); err != nil {
		return f.with(problem, err.Error(), reinstall)
	}
	return f
}

func encodePicture() error {
	e, err := encode.NewVP8(encode.VP8Config{Width: 320, Height: 180, Bitrate: 300_000})
	if err != nil {
		return err
	}
	defer e.Close()
	var out encode.Frame
	if err := e.Encode(newScenery(320, 180).picture(0), time.Now(), true, &out); err != nil {
		return err
	}
	if !out.Key || len(out.Data) == 0 {
		return errors.New("libvpx made no key frame of a picture")
	}
	return nil
}

func encodeSound(ctx context.Context) error {
	source, err := capture.ParseAudio("test", capture.Options{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	packets := 0
	voice := encode.NewVoice(encode.VoiceConfig{Source: source, Always: true, Log: slog.New(slog.DiscardHandler)})
	voice.Want(true)
	err = voice.Run(ctx, func(*encode.AudioFrame) {
		packets++
		cancel()
	})
	if packets > 0 {
		return nil
	}
	return errors.Join(errors.New("libopus made no packet of sound"), err, voice.Stats().Err)
}

// speed is what encoding a picture takes.
type speed struct {
	cost time.Duration // of one core
	pace time.Duration // with as many cores as share uses
}

const (
	warmUp = 3 // pictures: the first is a key frame, which few are
	// speedPictures are measured, or fewer in speedTime.
	speedPictures = 30
	speedTime     = 1500 * time.Millisecond
)

// measureSpeed encodes a moving picture as share would, as fast as it goes.
func measureSpeed(ctx context.Context, s size, fps float64) (m speed, err error) {
	// The time a thread has run is true on a busy machine too, but can be
	// asked only for the thread that asks.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if m.cost, err = timePictures(ctx, s, fps, 1, threadClock()); err != nil {
		return m, err
	}
	began := time.Now()
	m.pace, err = timePictures(ctx, s, fps, 0, func() time.Duration { return time.Since(began) })
	return m, err
}

// timePictures returns what a picture takes by a clock.
func timePictures(ctx context.Context, s size, fps float64, threads int, clock func() time.Duration) (time.Duration, error) {
	e, err := encode.NewVP8(encode.VP8Config{Width: s.Width, Height: s.Height, Bitrate: 2_500_000, FPS: fps, Threads: threads})
	if err != nil {
		return 0, err
	}
	defer e.Close()
	film := newScenery(s.Width, s.Height)
	var out encode.Frame
	var from time.Duration
	began := time.Now()
	for n := 0; ; n++ {
		if n == warmUp {
			from = clock()
		}
		if n == warmUp+speedPictures || n > warmUp && time.Since(began) > speedTime {
			return (clock() - from) / time.Duration(n-warmUp), nil
		}
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("not even %d pictures were encoded in time", warmUp+1)
		}
		taken := began.Add(time.Duration(float64(n) / fps * float64(time.Second)))
		if err := e.Encode(film.picture(n), taken, n == 0, &out); err != nil {
			return 0, err
		}
	}
}

// speedFinding judges whether the machine keeps up.
func speedFinding(m speed, err error, s size, fps float64, cores int) finding {
	what := formatText(capture.Format{Width: s.Width, Height: s.Height, FPS: fps})
	if err != nil {
		return finding{Verdict: problem, Summary: fmt.Sprintf("encoding %s: %v", what, err), Remedy: "ask for less with --size"}
	}
	core, load := m.cost.Seconds()*fps, m.pace.Seconds()*fps
	f := finding{Verdict: fine, Summary: fmt.Sprintf("%s takes %.0f %% of one core (%d here)", what, 100*core, cores)}
	switch {
	case load > 1.5:
		f.Verdict = problem
	case load > 0.8:
		f.Verdict = warning
	default:
		return f
	}
	f.Summary = fmt.Sprintf("%s: this machine encodes %.0f pictures a second", what, 1/m.pace.Seconds())
	f.Remedy = speedAdvice(load, s, fps)
	return f
}

// speedAdvice is the largest usual size, in the shape of s, that takes at most
// 0.6 of the time: what a picture takes goes with its area.
func speedAdvice(load float64, s size, fps float64) string {
	for _, height := range []int{1080, 720, 540, 480, 360, 240, 180} {
		w := int(math.Round(float64(height*s.Width)/float64(s.Height)/2)) * 2
		if less := float64(w*height) / float64(s.Width*s.Height); less < 1 && load*less <= 0.6 {
			return fmt.Sprintf("ask for less: --size %dx%d", w, height)
		}
	}
	return fmt.Sprintf("ask for less: --size 320x180 --fps %.0f", max(1, math.Floor(fps/2)))
}

// scenery is a picture that moves and has detail everywhere, as an encoder's
// work depends on both: noise that drifts.
type scenery struct {
	texture []byte
	img     *image.YCbCr
}

func newScenery(w, h int) *scenery {
	s := &scenery{texture: make([]byte, 1<<16), img: image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range s.texture {
		s.texture[i] = byte(110 + r.IntN(26))
	}
	for i := range s.img.Cb {
		s.img.Cb[i], s.img.Cr[i] = 128, 128
	}
	return s
}

// picture is the nth, until the next.
func (s *scenery) picture(n int) *image.YCbCr {
	h := s.img.Rect.Dy()
	for y := range h {
		row := s.img.Y[y*s.img.YStride:][:s.img.YStride]
		for at := ((y+n)*s.img.YStride + 2*n) % len(s.texture); len(row) > 0; at = 0 {
			row = row[copy(row, s.texture[at:]):]
		}
	}
	return s.img
}
