package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/peercam/peercam/capture"
)

// soundTrial is what listening for a moment gave.
type soundTrial struct {
	name string
	peak int // of 32767
	err  error
}

// listenTime is how much sound is listened to. Bluetooth and sound servers
// begin with silence.
const listenTime = time.Second

// tryMicrophone opens what --mic names and listens until it hears something,
// at most for listenTime.
func tryMicrophone(ctx context.Context, spec string, o capture.Options) soundTrial {
	source, err := capture.ParseAudio(spec, o)
	if err != nil || source == nil {
		return soundTrial{err: err}
	}
	reader, err := source.Open(ctx)
	if err != nil {
		return soundTrial{err: err}
	}
	stop := context.AfterFunc(ctx, func() { _ = reader.Close() }) // ends a Read that waits for ever
	defer stop()
	t := soundTrial{name: source.String()}
	for heard := time.Duration(0); heard < listenTime && t.peak == 0 && err == nil; {
		var s *capture.Samples
		if s, err = reader.Read(); err == nil {
			heard += time.Duration(len(s.PCM)/s.Channels) * time.Second / time.Duration(s.Rate)
			for _, v := range s.PCM {
				t.peak = max(t.peak, int(math.Abs(float64(v))))
			}
		}
	}
	if ctx.Err() != nil {
		err = errors.New("it opens, but sends no sound")
	}
	t.err = errors.Join(err, reader.Close())
	return t
}

// microphoneFinding judges the microphones that are there and the one that
// would be used. Sharing works without sound, unless a name was given.
func microphoneFinding(spec string, devices []capture.Device, listing error, try func() soundTrial) finding {
	f := finding{Verdict: fine}
	mics := ofKind(devices, capture.KindMicrophone)
	for _, d := range mics {
		line := deviceName(d)
		if d.Err != "" {
			line = d.Err
		}
		f.Details = append(f.Details, line)
	}
	bad := problem
	if spec == "auto" {
		bad = warning
	}
	switch {
	case spec == "none":
		f.Summary = "none, as --mic none asks"
		return f
	case spec == "-":
		f.Summary = "stdin, which is share's to read"
		return f
	case isDevice(spec) && listing != nil && len(mics) == 0:
		return f.with(bad, listing.Error(), "start the sound system (PipeWire, PulseAudio), or say --mic none")
	case isDevice(spec) && len(mics) == 0:
		return f.with(bad, "no microphone found, so there will be no sound", "plug one in, or say --mic none to mean it")
	}
	t := try()
	switch {
	case errors.Is(t.err, capture.ErrNoDevice):
		return f.with(bad, t.err.Error(), "name one of those with --mic, or say --mic none")
	case t.err != nil:
		return f.with(bad, t.err.Error(), "end the program that uses it, look whether the system allows it, or name another with --mic")
	case t.peak == 0 && isDevice(spec):
		return f.with(warning, t.name+": digital silence", "it may be muted: unmute it in the system's sound settings, or name another with --mic")
	case t.peak == 0:
		f.Summary = t.name
		return f
	}
	f.Summary = fmt.Sprintf("%s: sound arrives", t.name)
	return f
}
