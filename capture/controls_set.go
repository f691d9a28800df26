package capture

import (
	"errors"
	"slices"
	"strconv"
	"sync"
)

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
