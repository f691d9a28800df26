package capture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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
