package capture

import "errors"

// ErrClosed is what Read returns after Close.
var ErrClosed = errors.New("source is closed")

// ErrNoDevice is wrapped by the error of a source whose camera or microphone
// is not there, or not any more.
var ErrNoDevice = errors.New("no such device")
