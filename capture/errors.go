package capture

import "errors"

// ErrClosed is what Read returns after Close.
var ErrClosed = errors.New("source is closed")

// ErrNoDevice is wrapped by the error of a source that found no camera or no
// microphone at all.
var ErrNoDevice = errors.New("no such device")
