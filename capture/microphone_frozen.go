package capture

import (
	"context"
	"errors"
	"time"
)

// errFrozen is what asking the sound system returns when nothing comes back.
var errFrozen = errors.New("the sound system does not answer; restart it (PulseAudio: pulseaudio -k; PipeWire: systemctl --user restart pipewire pipewire-pulse)")

const (
	// micAnswer is how long the sound system may take to open a microphone, or
	// to list them. Bluetooth takes seconds.
	micAnswer = 10 * time.Second
	// micLetGo is how long it may take to close one: somebody waits for the
	// program's end, or for another microphone.
	micLetGo = 2 * time.Second
)

// soundCalls makes calls to the sound system one at a time, each in a goroutine
// of its own. miniaudio waits for the answer of a sound server without an end:
// a call to one that is frozen is left behind, and nothing else is asked until
// it has returned, so that not more and more of them pile up.
type soundCalls chan struct{} // of capacity 1: a call is under way

func newSoundCalls() soundCalls { return make(soundCalls, 1) }

// ask returns what f does, or an error when that takes longer than patience.
// Then late, if not nil, is told of what f has made as soon as it returns.
func ask[T any](ctx context.Context, c soundCalls, patience time.Duration, f func() (T, error), late func(T)) (none T, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errFrozen)
	defer cancel()
	select {
	case c <- struct{}{}:
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer)
	go func() {
		defer func() { <-c }()
		v, err := f()
		select {
		case answered <- answer{v, err}:
		case <-ctx.Done():
			if err == nil && late != nil {
				late(v)
			}
		}
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// letGo waits for f, which closes a device, no longer than micLetGo. f is always
// called, after what is under way.
func (c soundCalls) letGo(f func() error) error {
	closed := make(chan error, 1)
	go func() {
		c <- struct{}{}
		err := f()
		<-c
		closed <- err
	}()
	patience := time.NewTimer(micLetGo)
	defer patience.Stop()
	select {
	case err := <-closed:
		return err
	case <-patience.C:
		return errFrozen
	}
}
