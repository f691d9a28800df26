package capture

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Kinds of Device.
const (
	KindCamera     = "camera"
	KindMicrophone = "microphone"
)

// autoDevice names the default device.
const autoDevice = "auto"

// Device is a camera or microphone of this machine.
type Device struct {
	// Kind is KindCamera or KindMicrophone.
	Kind string `json:"kind"`
	// ID stays the same when the device is plugged in again: a link below
	// /dev/v4l/by-id or by-path, else the path; for microphones the sound
	// system's own identifier.
	ID string `json:"id"`
	// Serial is a camera's serial number, where the system knows one. Cheap
	// ones share theirs.
	Serial string `json:"serial,omitempty"`
	// Name is for people.
	Name string `json:"name"`
	// Path is where the system finds it now.
	Path string `json:"path"`
	// Default tells that "auto" means this one.
	Default bool `json:"default"`
	// Formats are those of a camera that can be used.
	Formats []DeviceFormat `json:"formats,omitempty"`
	// Controls are those that a camera has.
	Controls []Control `json:"controls,omitempty"`
	// Rates and Channels are what a microphone offers by itself, in samples
	// a second; it is read at 48 kHz all the same.
	Rates    []int `json:"rates,omitempty"`
	Channels []int `json:"channels,omitempty"`
	// Err says why the device cannot be opened now; "" when it can.
	Err string `json:"err,omitempty"`
}

// stable tells whether ID means the device itself rather than its place.
func (d Device) stable() bool { return d.ID != d.Path }

// DeviceFormat is a size in a pixel format that a camera offers, with its
// frame rates, highest first; no rates means that it does not tell.
type DeviceFormat struct {
	PixelFormat string    `json:"pixelFormat"`
	Width       int       `json:"width"`
	Height      int       `json:"height"`
	FPS         []float64 `json:"fps,omitempty"`
}

// Devices lists cameras, then microphones, the default of each first, opening
// each for a moment. A device that cannot be opened is listed with the reason;
// an error means that the system could not be asked at all.
func Devices(ctx context.Context) ([]Device, error) {
	cams, err := listCameras(ctx)
	if err != nil {
		return nil, err
	}
	mics, err := listMicrophones(ctx)
	if err != nil {
		return cams, err
	}
	return append(cams, mics...), ctx.Err()
}

// findDevices returns the indices of the devices that spec names, best first:
// all of them for "auto", else those that match in the strictest sense in
// which any does.
func findDevices(kind, spec string, have []Device) (found []int, err error) {
	switch {
	case len(have) == 0 && spec == autoDevice:
		return nil, fmt.Errorf("no %s found: %w; plug one in, or choose another source", kind, ErrNoDevice)
	case len(have) == 0:
		return nil, fmt.Errorf("no %s found, so none is called %q: %w; plug it in, or choose another source", kind, spec, ErrNoDevice)
	}
	senses := []func(Device) bool{
		func(d Device) bool { return d.ID == spec || d.Path == spec || d.Name == spec },
		func(d Device) bool { return d.Serial == spec || filepath.Base(d.ID) == spec },
		func(d Device) bool { return samePath(d.Path, spec) },
		func(d Device) bool { return strings.EqualFold(d.Name, spec) },
		func(d Device) bool { return strings.Contains(strings.ToLower(d.Name), strings.ToLower(spec)) },
	}
	if spec == autoDevice {
		senses = []func(Device) bool{func(Device) bool { return true }}
	} else if spec == "" {
		senses = nil
	}
	for _, means := range senses {
		for i, d := range have {
			if means(d) {
				found = append(found, i)
			}
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	var names []string
	for _, d := range have {
		names = append(names, fmt.Sprintf("%q (%s)", d.Name, d.Path))
	}
	return nil, fmt.Errorf("no %s is called %q: %w; there are: %s", kind, spec, ErrNoDevice, strings.Join(names, ", "))
}

// samePath tells whether spec is another name, such as a link, of path.
func samePath(path, spec string) bool {
	if !filepath.IsAbs(spec) {
		return false
	}
	real, err := filepath.EvalSymlinks(spec)
	return err == nil && real == path
}

// groupFormats gathers the rates of each pixel format and size.
func groupFormats(p []DeviceFormat) []DeviceFormat {
	slices.SortStableFunc(p, func(a, b DeviceFormat) int {
		return cmp.Or(cmp.Compare(a.PixelFormat, b.PixelFormat), cmp.Compare(b.Width*b.Height, a.Width*a.Height),
			cmp.Compare(b.Width, a.Width))
	})
	var all []DeviceFormat
	for _, f := range p {
		if n := len(all); n > 0 && all[n-1].PixelFormat == f.PixelFormat && all[n-1].Width == f.Width && all[n-1].Height == f.Height {
			all[n-1].FPS = append(all[n-1].FPS, f.FPS...)
		} else {
			all = append(all, f)
		}
	}
	for i := range all {
		slices.SortFunc(all[i].FPS, func(a, b float64) int { return cmp.Compare(b, a) })
		all[i].FPS = slices.Compact(all[i].FPS)
	}
	return all
}
