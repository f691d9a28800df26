package capture

import (
	"errors"
	"fmt"
)

// DeviceError tells of which device an error is and, where known, what it
// means and the way out.
type DeviceError struct {
	// Doing is what was tried: "open camera".
	Doing string
	// Name and Path are those of Device.
	Name, Path string
	// Reason is what happened, short enough for viewers; "" when not known.
	Reason string
	// Remedy is what to do; "" when not known.
	Remedy string
	// Err is what the system said.
	Err error
}

func (e *DeviceError) Error() string {
	s := fmt.Sprintf("%s %q", e.Doing, e.Name)
	if e.Path != e.Name {
		s += " (" + e.Path + ")"
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s + ": " + e.Err.Error()
}

func (e *DeviceError) Unwrap() error { return e.Err }

func cameraError(what string, d Device, err error) error {
	if errors.Is(err, errAgain) {
		return err
	}
	reason, remedy := cameraReason(d, err)
	return &DeviceError{Doing: what + " camera", Name: d.Name, Path: d.Path, Reason: reason, Remedy: remedy, Err: err}
}
