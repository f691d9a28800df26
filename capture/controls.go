package capture

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Kinds of Control.
const (
	ControlInteger = "integer"
	ControlBoolean = "boolean" // 0 or 1
	ControlMenu    = "menu"    // the values of Menu
	ControlButton  = "button"  // any value presses it
)

// Control is something that can be set on a camera: brightness, zoom_absolute.
type Control struct {
	// Name is the driver's in lower case, with _ for what is neither letter
	// nor digit, as v4l2-ctl spells it.
	Name string `json:"name"`
	// Kind is one of the above.
	Kind string `json:"kind"`
	// Min, Max and Step bound an integer.
	Min  int `json:"min"`
	Max  int `json:"max"`
	Step int `json:"step"`
	// Default is the device's own value, Value the present one.
	Default int `json:"default"`
	Value   int `json:"value"`
	// Menu is what a menu offers.
	Menu []ControlItem `json:"menu,omitempty"`
	// Inactive tells that another control has to be set before this one has
	// an effect: exposure_auto before exposure_absolute.
	Inactive bool `json:"inactive,omitempty"`
	// ReadOnly tells that it can only be looked at.
	ReadOnly bool `json:"readOnly,omitempty"`
}

// ControlItem is one line of a menu.
type ControlItem struct {
	Value int    `json:"value"`
	Name  string `json:"name"`
}

// Controller is a source with a camera whose controls can be set. Any goroutine
// may call it, whether the source is open or not.
type Controller interface {
	// Controls lists what the camera has. An error that wraps ErrNoDevice
	// means that it is not there now.
	Controls() ([]Control, error)
	// SetControl sets a control, named in full or as ControlSetting has it.
	// The value lasts: it is set again when the camera comes back.
	SetControl(name string, value int) error
}

// ControllerOf finds the camera in src; ok is false when there is none.
func ControllerOf(src VideoSource) (c Controller, ok bool) { return as[Controller](src) }

// ControlSetting is a control and its value as a person writes them. Name may
// leave out "_absolute" and what else follows, as long as one control is meant.
// Value is a number, on, off, or what a menu calls it.
type ControlSetting struct{ Name, Value string }

// ParseControl parses NAME=VALUE.
func ParseControl(s string) (ControlSetting, error) {
	name, value, ok := strings.Cut(s, "=")
	c := ControlSetting{controlName(name), strings.TrimSpace(value)}
	if !ok || c.Name == "" || c.Value == "" {
		return c, fmt.Errorf("%q is no control: write NAME=VALUE, such as brightness=20; peercam devices lists what each camera has", s)
	}
	return c, nil
}

// controlName spells a name as v4l2-ctl does.
func controlName(s string) string {
	var b strings.Builder
	gap := false
	for _, c := range strings.ToLower(s) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			if gap && b.Len() > 0 {
				b.WriteByte('_')
			}
			gap = false
			b.WriteRune(c)
		} else {
			gap = true
		}
	}
	return b.String()
}

// findControl returns the control that name means.
func findControl(have []Control, name string) (Control, error) {
	name = controlName(name)
	for _, full := range []string{name, name + "_absolute", name + "_time_absolute"} {
		if i := slices.IndexFunc(have, func(c Control) bool { return c.Name == full }); i >= 0 {
			return have[i], nil
		}
	}
	var found []Control
	for _, c := range have {
		if strings.HasPrefix(c.Name, name) {
			found = append(found, c)
		}
	}
	if len(found) == 1 && name != "" {
		return found[0], nil
	}
	if len(have) == 0 {
		return Control{}, fmt.Errorf("control %q: it has no controls", name)
	}
	what := "it has"
	if len(found) > 1 && name != "" {
		have, what = found, "that could mean"
	}
	var all []string
	for _, c := range have {
		all = append(all, c.String())
	}
	return Control{}, fmt.Errorf("control %q: %s %s", name, what, strings.Join(all, ", "))
}

// String is the control with what it can be set to.
func (c Control) String() string {
	switch c.Kind {
	case ControlBoolean:
		return c.Name + "=on|off"
	case ControlMenu:
		var items []string
		for _, i := range c.Menu {
			items = append(items, i.Name)
		}
		return c.Name + "=" + strings.Join(items, "|")
	case ControlButton:
		return c.Name + "=1"
	}
	return fmt.Sprintf("%s=%d..%d", c.Name, c.Min, c.Max)
}

// parse understands a value as a person writes it.
func (c Control) parse(s string) (int, error) {
	if c.Kind == ControlBoolean {
		switch strings.ToLower(s) {
		case "on", "true", "yes":
			s = "1"
		case "off", "false", "no":
			s = "0"
		}
	}
	for _, i := range c.Menu {
		if strings.EqualFold(i.Name, s) {
			s = strconv.Itoa(i.Value)
		}
	}
	v, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("control %s cannot be %q: write %s", c.Name, s, c)
	}
	return v, c.check(v)
}

// check finds values that the control cannot have.
func (c Control) check(v int) error {
	ok := v >= c.Min && v <= c.Max
	switch c.Kind {
	case ControlButton:
		ok = true
	case ControlMenu:
		ok = slices.ContainsFunc(c.Menu, func(i ControlItem) bool { return i.Value == v })
	}
	switch {
	case c.ReadOnly:
		return fmt.Errorf("control %s can only be read", c.Name)
	case !ok:
		return fmt.Errorf("control %s cannot be %d: write %s", c.Name, v, c)
	}
	return nil
}

// settings are what a camera is to be set to whenever it is opened, in the
// order in which it was asked for.
type settings struct {
	mu  sync.Mutex
	all []ControlSetting
}

func (s *settings) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all) == 0
}

// ask adds settings. A control that is set again takes its place at the end.
func (s *settings) ask(more []ControlSetting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range more {
		s.all = slices.DeleteFunc(s.all, func(c ControlSetting) bool { return c.Name == m.Name })
		s.all = append(s.all, m)
	}
}

// controlValue is a setting as a camera understands it.
type controlValue struct {
	Control
	value int
}

// resolve finds the settings among a camera's controls. What it has not is in
// the error.
func (s *settings) resolve(have []Control) (all []controlValue, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, one := range s.all {
		c, err := findControl(have, one.Name)
		var v int
		if err == nil {
			v, err = c.parse(one.Value)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, controlValue{c, v})
	}
	return all, errors.Join(errs...)
}

// controlled is a driver whose controls can be set, also while it is open.
type controlled interface {
	controls() ([]Control, error)
	setControl(name string, value int) error
}

var errNoControls = errors.New("controls of cameras can be set on Linux only")

func (c camera) controls() ([]Control, error) {
	d, ok := c.cameraDriver.(controlled)
	if !ok {
		return nil, errNoControls
	}
	return d.controls()
}

// device is the camera that controls are about: the one that was opened last
// as long as it is there, else what would be opened next.
func (c *cameraSource) device() (camera, error) {
	if now := c.now.Load(); now != nil {
		if _, err := now.controls(); err == nil {
			return *now, nil
		}
	}
	cams, err := c.find()
	if err != nil {
		return camera{}, err
	}
	return cams[0], nil
}

// Controls is part of Controller.
func (c *cameraSource) Controls() ([]Control, error) {
	cam, err := c.device()
	if err != nil {
		return nil, err
	}
	all, err := cam.controls()
	if err != nil {
		return nil, cameraError("ask", cam.dev, err)
	}
	return all, nil
}

// SetControl is part of Controller.
func (c *cameraSource) SetControl(name string, value int) error {
	cam, err := c.device()
	if err != nil {
		return err
	}
	have, err := cam.controls()
	if err != nil {
		return cameraError("ask", cam.dev, err)
	}
	control, err := findControl(have, name)
	if err == nil {
		err = control.check(value)
	}
	if err == nil {
		err = cam.cameraDriver.(controlled).setControl(control.Name, value)
	}
	if err != nil {
		return cameraError("set up", cam.dev, err)
	}
	if control.Kind != ControlButton { // pressed once, not at every opening
		c.settings.ask([]ControlSetting{{control.Name, strconv.Itoa(value)}})
	}
	return nil
}

// applySettings sets what was asked for. What cannot be set is told and left.
func (c *cameraSource) applySettings(cam camera) {
	if c.settings.empty() {
		return
	}
	have, err := cam.controls()
	if err != nil {
		c.log.Warn("controls not set", "camera", cam.dev.Name, "err", err)
		return
	}
	all, err := c.settings.resolve(have)
	if err != nil {
		c.log.Warn("controls not set", "camera", cam.dev.Name, "err", err)
	}
	for _, one := range all {
		if err := cam.cameraDriver.(controlled).setControl(one.Name, one.value); err != nil {
			c.log.Warn("control not set", "camera", cam.dev.Name, "control", one.Name, "value", one.value, "err", err)
		}
	}
}
