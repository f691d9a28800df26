package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/peercam/peercam/capture"
	"github.com/peercam/peercam/peer"
)

// Controls that every camera has. They come before the device's own of the
// same name.
const (
	remotePrivacy = "privacy"
	remoteMute    = "mute"
	remoteRotate  = "rotate"
	remoteMirror  = "mirror"
)

// remote is what can be set while the program runs: by viewers, as far as they
// may, through peer.Remote; and at the camera itself by the other methods.
//
// Who covers the camera wants to be sure of it: from afar it can be covered, but
// not uncovered, and what was muted at the camera stays muted.
type remote struct {
	src     *sources
	log     *slog.Logger
	changed chan struct{}

	mu                    sync.Mutex
	covered               bool
	mutedHere, mutedThere bool
}

// newRemote takes over how src is covered.
func newRemote(src *sources, covered bool, log *slog.Logger) *remote {
	r := &remote{src: src, log: log, changed: make(chan struct{}, 1), covered: covered}
	r.apply()
	return r
}

// apply carries out what is covered and muted.
func (r *remote) apply() {
	r.src.privacy.Set(r.covered)
	if r.src.audio != nil {
		r.src.audio.Mute(r.covered || r.mutedHere || r.mutedThere)
	}
}

// here changes something at the camera itself, and lets viewers know.
func (r *remote) here(change func()) {
	r.mu.Lock()
	change()
	r.apply()
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// togglePrivacy covers picture and sound where they begin, or uncovers them.
func (r *remote) togglePrivacy() { r.here(func() { r.covered = !r.covered }) }

// toggleMute mutes the microphone, or lets it be heard, whoever muted it.
func (r *remote) toggleMute() {
	r.here(func() { r.mutedHere, r.mutedThere = !r.mutedHere && !r.mutedThere, false })
}

// Changed is part of peer.Remote.
func (r *remote) Changed() <-chan struct{} { return r.changed }

// Controls is part of peer.Remote.
func (r *remote) Controls() []peer.Control {
	degrees, mirror := r.src.orientation.Get()
	r.mu.Lock()
	all := []peer.Control{
		{Name: remotePrivacy, Kind: capture.ControlBoolean, Max: 1, Step: 1, Value: flag(r.covered), ReadOnly: r.covered},
	}
	if r.src.audio != nil {
		all = append(all, peer.Control{Name: remoteMute, Kind: capture.ControlBoolean, Max: 1, Step: 1,
			Value: flag(r.covered || r.mutedHere || r.mutedThere), ReadOnly: r.covered || r.mutedHere})
	}
	r.mu.Unlock()
	rotate := peer.Control{Name: remoteRotate, Kind: capture.ControlMenu, Max: 270, Step: 90, Value: degrees}
	for d := 0; d < 360; d += 90 {
		rotate.Menu = append(rotate.Menu, peer.MenuItem{Value: d, Name: fmt.Sprintf("%d°", d)})
	}
	all = append(all, rotate, peer.Control{Name: remoteMirror, Kind: capture.ControlBoolean, Max: 1, Step: 1, Value: flag(mirror)})
	own := len(all)
	for _, c := range r.device() {
		if slices.ContainsFunc(all[:own], func(o peer.Control) bool { return o.Name == c.Name }) {
			continue
		}
		p := peer.Control{Name: c.Name, Kind: c.Kind, Min: c.Min, Max: c.Max, Step: c.Step, Default: c.Default, Value: c.Value,
			Inactive: c.Inactive, ReadOnly: c.ReadOnly}
		for _, i := range c.Menu {
			p.Menu = append(p.Menu, peer.MenuItem(i))
		}
		all = append(all, p)
	}
	return all
}

// device lists what the camera itself has; nothing while it is away.
func (r *remote) device() []capture.Control {
	c, ok := capture.ControllerOf(r.src.video)
	if !ok {
		return nil
	}
	all, err := c.Controls()
	if err != nil {
		return nil // the slate says why it is away
	}
	return all
}

var (
	errCovered   = errors.New("privacy is on: only at the camera itself can it be turned off")
	errMutedHere = errors.New("the microphone was muted at the camera, and only there can it be heard again")
	errNoSound   = errors.New("this camera has no microphone")
)

// Set is part of peer.Remote.
func (r *remote) Set(name string, value int) error {
	degrees, mirror := r.src.orientation.Get()
	switch name {
	case remoteRotate:
		return r.src.orientation.Set(value, mirror)
	case remotePrivacy, remoteMute, remoteMirror:
		if value != 0 && value != 1 {
			return fmt.Errorf("%s cannot be %d: it is 0 or 1", name, value)
		}
		if name == remoteMirror {
			return r.src.orientation.Set(degrees, value == 1)
		}
		return r.cover(name, value == 1)
	}
	c, ok := capture.ControllerOf(r.src.video)
	if !ok {
		return fmt.Errorf("%s has no control %q", r.src.video, name)
	}
	return c.SetControl(name, value)
}

// cover is what viewers may do of it.
func (r *remote) cover(name string, on bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case name == remotePrivacy && r.covered && !on, name == remoteMute && r.covered:
		return errCovered
	case name == remotePrivacy && on && !r.covered:
		r.covered = true
		r.log.Warn("a viewer has covered the camera: press p in this terminal to uncover it, or start peercam again")
	case name == remotePrivacy: // as it is already
	case r.src.audio == nil:
		return errNoSound
	case r.mutedHere && !on:
		return errMutedHere
	default:
		r.mutedThere = on
	}
	r.apply()
	return nil
}

// Step is part of peer.Remote.
func (r *remote) Step(name string, steps int) error {
	for _, c := range r.Controls() {
		switch {
		case c.Name != name:
		case c.Kind != capture.ControlInteger:
			return fmt.Errorf("control %s has no steps, it is a %s: set it", name, c.Kind)
		default:
			step := int64(max(c.Step, 1)) // products of what a viewer says may not fit an int
			value := min(max(int64(c.Value)+int64(steps)*step, int64(c.Min)), int64(c.Max))
			return r.Set(name, int(value))
		}
	}
	return fmt.Errorf("%s has no control %q", r.src.video, name)
}
