package capture

import "io"

// wrapper is a source made of another one.
type wrapper interface {
	VideoSource
	// Unwrap is the source within.
	Unwrap() VideoSource
}

// as finds what can do T: src itself, or a source within it.
func as[T any](src VideoSource) (found T, ok bool) {
	for src != nil {
		if found, ok = src.(T); ok {
			return found, true
		}
		w, wraps := src.(wrapper)
		if !wraps {
			break
		}
		src = w.Unwrap()
	}
	return found, false
}

// forwardClose makes outer an io.Closer if what it is made of is one.
func forwardClose(outer wrapper) VideoSource {
	if c, ok := outer.Unwrap().(io.Closer); ok {
		return closing{outer, c}
	}
	return outer
}

// closing is a source that closes what it is made of.
type closing struct {
	wrapper
	io.Closer
}

// Unwrap is the source that closing stands for.
func (c closing) Unwrap() VideoSource { return c.wrapper }
