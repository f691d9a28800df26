package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Remote is what viewers may set up from afar: brightness, zoom, how the
// picture is turned. Any call may take as long as a device does; a Publisher
// makes one at a time.
type Remote interface {
	// Controls lists what there is just now; none while the device is away.
	Controls() []Control
	// Set gives a control a value. An error is shown to who asked.
	Set(name string, value int) error
	// Step adds so many steps to a control's value, as far as that goes.
	Step(name string, steps int) error
	// Changed has room for one: something was changed otherwise than by Set
	// and Step.
	Changed() <-chan struct{}
}

// Control is something that a viewer can set, or only look at.
type Control struct {
	// Name is what Set is told: lower case letters, digits and _.
	Name string `json:"name"`
	// Kind is integer, boolean (0 or 1), menu (the values of Menu) or button
	// (any value presses it).
	Kind string `json:"kind"`
	// Min, Max and Step bound an integer.
	Min     int        `json:"min"`
	Max     int        `json:"max"`
	Step    int        `json:"step"`
	Default int        `json:"default"`
	Value   int        `json:"value"`
	Menu    []MenuItem `json:"menu,omitempty"`
	// Inactive tells that another control has to be set before this one has
	// an effect.
	Inactive bool `json:"inactive,omitempty"`
	// ReadOnly tells that Set fails, for now or for good.
	ReadOnly bool `json:"readOnly,omitempty"`
}

// MenuItem is one line of a menu.
type MenuItem struct {
	Value int    `json:"value"`
	Name  string `json:"name"`
}

const (
	// remoteQueue is how many requests of all viewers may wait for the device;
	// who asks for more is told that it is busy.
	remoteQueue = 32
	// remoteRate is how many requests a second a viewer may make over
	// remoteBurst, as a slider that is dragged makes them.
	remoteRate, remoteBurst = 20, 40
	// maxRemoteError is the most bytes of an error that a viewer is told.
	maxRemoteError = 400
)

// controlsMessage tells what can be set. It answers `controls`, and whoever
// asked once is told of every change.
type controlsMessage struct {
	Type     string    `json:"type"` // controls
	Controls []Control `json:"controls"`
}

// errorMessage answers a request that could not be done.
type errorMessage struct {
	Type    string `json:"type"` // error
	Code    string `json:"code"`
	About   string `json:"about"` // the request's type
	Name    string `json:"name,omitempty"`
	Message string `json:"message"`
}

// remoteError has a code for programs besides its words for people.
type remoteError struct{ code, words string }

func (e *remoteError) Error() string { return e.words }

var (
	errForbidden   = &remoteError{"forbidden", "this camera is not to be set up from afar"}
	errUnproved    = &remoteError{"forbidden", "only who holds the key may set up this camera"}
	errRateLimited = &remoteError{"rate-limited", fmt.Sprintf("more than %d requests a second", remoteRate)}
	errRemoteBusy  = &remoteError{"busy", "the camera has not done yet what was asked before"}
	errBadRequest  = &remoteError{"bad-request", "set needs a name and a value that is a whole number, true or false; step a name and by, a whole number other than 0"}
)

// remotes carries out what viewers ask of a Remote, one after the other.
type remotes struct {
	r    Remote // nil: nothing is to be set from afar
	asks chan remoteAsk
}

type remoteAsk struct {
	s *Session
	q request
}

// remoteSeat is a viewer's part in it.
type remoteSeat struct {
	limit    *rate.Limiter // its data channel's reader alone uses it
	attached atomic.Bool   // it is told of changes
}

func newRemoteSeat() remoteSeat {
	return remoteSeat{limit: rate.NewLimiter(remoteRate, remoteBurst)}
}

// ask takes a viewer's request; who may not, or asks too much, is told so.
func (r *remotes) ask(now time.Time, s *Session, q request) {
	if err := r.admit(now, s, q); err != nil {
		s.refuse(q, err)
	}
}

func (r *remotes) admit(now time.Time, s *Session, q request) error {
	switch {
	case !s.remote.limit.AllowN(now, 1):
		return errRateLimited
	case r.r == nil:
		return errForbidden
	case !s.signal.Proved:
		return errUnproved
	}
	select {
	case r.asks <- remoteAsk{s, q}:
		return nil
	default:
		return errRemoteBusy
	}
}

// run serves until ctx is done. list are the sessions that there are.
func (r *remotes) run(ctx context.Context, list func() []*Session) {
	if r.r == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-r.asks:
			if err := carryOut(r.r, a.q); err != nil {
				a.s.refuse(a.q, err)
			}
			a.s.remote.attached.Store(true)
		case <-r.r.Changed():
		}
		// What a camera has may take a while to list: once for all that waits.
		if len(r.asks) > 0 {
			continue
		}
		attached := func(s *Session) bool { return s.remote.attached.Load() }
		all := list()
		if !slices.ContainsFunc(all, attached) {
			continue
		}
		m := controlsMessage{Type: "controls", Controls: r.r.Controls()}
		if m.Controls == nil {
			m.Controls = []Control{}
		}
		for _, s := range all {
			if attached(s) {
				s.post(func() { s.say(m) })
			}
		}
	}
}

// carryOut does what a request asks of the camera.
func carryOut(r Remote, q request) error {
	switch q.Type {
	case "set":
		value, err := settingValue(q.Value)
		if err != nil || q.Name == "" {
			return errBadRequest
		}
		return r.Set(q.Name, value)
	case "step":
		if q.Name == "" || q.By == 0 {
			return errBadRequest
		}
		return r.Step(q.Name, q.By)
	}
	return nil // controls: they are listed anyway
}

// settingValue reads a whole number, true or false.
func settingValue(raw json.RawMessage) (int, error) {
	switch string(raw) {
	case "true":
		return 1, nil
	case "false":
		return 0, nil
	}
	v, err := strconv.ParseInt(string(raw), 10, 32)
	return int(v), err
}

// refuse tells a viewer why what it asked for is not done.
func (s *Session) refuse(q request, err error) {
	code := "failed"
	if e := (*remoteError)(nil); errors.As(err, &e) {
		code = e.code
	}
	m := errorMessage{Type: "error", Code: code, About: q.Type, Name: brief(q.Name, maxControlName), Message: brief(err.Error(), maxRemoteError)}
	s.post(func() { s.say(m) })
}

// maxControlName is the most bytes of a control's name that come back.
const maxControlName = 64

// brief cuts text after so many bytes.
func brief(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && text[most]&0xc0 == 0x80 { // not within a rune
		most--
	}
	return text[:most] + "…"
}
