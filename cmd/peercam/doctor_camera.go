package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/peercam/peercam/capture"
)

// trial is how opening a camera for one picture went.
type trial struct {
	name   string
	format capture.Format // what the source promised
	took   time.Duration  // until the first picture
	err    error
}

// tryCamera opens what --camera names and takes one picture.
func tryCamera(ctx context.Context, spec string, o capture.Options) trial {
	began := time.Now()
	source, err := capture.ParseVideo(spec, o)
	if err != nil || source == nil {
		return trial{err: err}
	}
	reader, err := source.Open(ctx, o.Want)
	if err != nil {
		return trial{err: err}
	}
	stop := context.AfterFunc(ctx, func() { _ = reader.Close() }) // ends a Read that waits for ever
	defer stop()
	t := trial{name: source.String(), format: reader.Format()}
	frame, err := reader.Read()
	t.took = time.Since(began)
	if err == nil {
		t.format.Width, t.format.Height = frame.Rect.Dx(), frame.Rect.Dy()
		frame.Release()
	} else if ctx.Err() != nil {
		err = errors.New("it opens, but sends no picture")
	}
	t.err = errors.Join(err, reader.Close())
	return t
}

// isDevice tells whether a source of --camera or --mic is a device.
func isDevice(spec string) bool {
	kind, _, colon := strings.Cut(spec, ":")
	return spec != "test" && spec != "none" && spec != "-" && !(colon && (kind == "file" || kind == "exec"))
}

// cameraFinding judges the cameras that are there and the one that would be
// used. try takes a picture.
func cameraFinding(spec string, want capture.Format, devices []capture.Device, listing error, try func() trial) finding {
	f := finding{Verdict: fine}
	cameras := ofKind(devices, capture.KindCamera)
	for _, d := range cameras {
		line := deviceName(d)
		if d.Err != "" {
			line = d.Err
		} else if len(d.Formats) > 0 {
			line += ": " + formatsLine(d.Formats)
		}
		f.Details = append(f.Details, line)
	}
	switch {
	case spec == "-":
		f.Summary = "stdin, which is share's to read"
		return f
	case spec == "none":
		return f.with(problem, "--camera none leaves nothing to see", "name a camera, or --camera test")
	case isDevice(spec) && listing != nil && len(cameras) == 0:
		return f.with(problem, listing.Error(), "run it again; if it lasts, restart the machine, or film something else with --camera")
	case isDevice(spec) && len(cameras) == 0:
		return f.with(problem, "no camera found, so viewers would see the test picture", noCameraRemedy(runtime.GOOS))
	}
	t := try()
	if t.err != nil {
		summary, remedy := cameraTrouble(t.err, cameras)
		return f.with(problem, summary, remedy)
	}
	f.Summary = fmt.Sprintf("%s: %s, first picture after %d ms", t.name, formatText(t.format), t.took.Milliseconds())
	if !isDevice(spec) {
		return f
	}
	slow := t.format.FPS > 0 && t.format.FPS < 0.9*want.FPS
	smaller := t.format.Width*t.format.Height < want.Width*want.Height*9/10
	if slow || smaller {
		f.Verdict = warning
		f.Summary += fmt.Sprintf("; asked for is %s", formatText(want))
		f.Remedy = formatAdvice(cameras, t.name, want)
	}
	return f
}

func (f finding) with(v verdict, summary, remedy string) finding {
	f.Verdict, f.Summary, f.Remedy = v, summary, remedy
	return f
}

func ofKind(devices []capture.Device, kind string) (some []capture.Device) {
	for _, d := range devices {
		if d.Kind == kind {
			some = append(some, d)
		}
	}
	return some
}

func deviceName(d capture.Device) string {
	if d.Path == "" || d.Path == d.Name {
		return d.Name
	}
	return fmt.Sprintf("%s (%s)", d.Name, d.Path)
}

func formatText(f capture.Format) string {
	if f.FPS == 0 {
		return fmt.Sprintf("%dx%d", f.Width, f.Height)
	}
	return fmt.Sprintf("%dx%d at %.4g fps", f.Width, f.Height, f.FPS)
}

// formatsLine tells the largest size of each pixel format.
func formatsLine(formats []capture.DeviceFormat) string {
	largest := map[string]capture.DeviceFormat{}
	for _, d := range formats {
		if have, ok := largest[d.PixelFormat]; !ok || d.Width*d.Height > have.Width*have.Height {
			largest[d.PixelFormat] = d
		}
	}
	var parts []string
	for pixels, d := range largest {
		parts = append(parts, pixels+" up to "+formatText(capture.Format{Width: d.Width, Height: d.Height, FPS: highest(d.FPS)}))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func highest(rates []float64) float64 {
	if len(rates) == 0 {
		return 0
	}
	return slices.Max(rates)
}

// formatAdvice names the largest size, up to the one wanted, that the camera
// has at the wanted rate, else its fastest.
func formatAdvice(cameras []capture.Device, name string, want capture.Format) string {
	var have []capture.Format
	for _, d := range cameras {
		for _, f := range d.Formats {
			if d.Name == name && f.Width*f.Height <= want.Width*want.Height {
				have = append(have, capture.Format{Width: f.Width, Height: f.Height, FPS: highest(f.FPS)})
			}
		}
	}
	if len(have) == 0 {
		return "it goes on with what the camera has; another camera may have more"
	}
	best := slices.MaxFunc(have, func(a, b capture.Format) int {
		return cmp.Or(cmp.Compare(min(a.FPS, want.FPS), min(b.FPS, want.FPS)), cmp.Compare(a.Width*a.Height, b.Width*b.Height))
	})
	return fmt.Sprintf("the camera has %s: --size %dx%d", formatText(best), best.Width, best.Height)
}

func noCameraRemedy(system string) string {
	remedy := "plug one in, or film something else with --camera test, file:PATH or exec:COMMAND"
	switch system {
	case "darwin":
		remedy += "; System Settings, Privacy & Security, Camera must allow the terminal"
	case "windows":
		remedy += "; Settings, Privacy & security, Camera must allow desktop apps"
	}
	return remedy
}

// cameraTrouble tells an error of opening a camera from the way out of it.
func cameraTrouble(err error, cameras []capture.Device) (summary, remedy string) {
	var device *capture.DeviceError
	switch {
	case errors.Is(err, capture.ErrNoDevice):
		remedy = "name one of those with --camera, or plug in the one that is missing"
	case errors.As(err, &device) && device.Remedy != "":
		said := *device
		said.Remedy = ""
		return said.Error(), device.Remedy
	case len(cameras) == 0:
		remedy = "put right what --camera names"
	default:
		remedy = "unplug it and plug it in again, or name another with --camera"
	}
	return err.Error(), remedy
}
