package capture

import (
	"strconv"
	"strings"
	"testing"
)

var someControls = []Control{
	{Name: "brightness", Kind: ControlInteger, Min: -64, Max: 64, Step: 1},
	{Name: "auto_exposure", Kind: ControlMenu, Max: 3, Menu: []ControlItem{{1, "Manual Mode"}, {3, "Aperture Priority Mode"}}},
	{Name: "exposure_time_absolute", Kind: ControlInteger, Min: 3, Max: 2047, Step: 1},
	{Name: "exposure_dynamic_framerate", Kind: ControlBoolean, Max: 1},
	{Name: "white_balance_automatic", Kind: ControlBoolean, Max: 1},
	{Name: "white_balance_temperature", Kind: ControlInteger, Min: 2800, Max: 6500},
	{Name: "pan_absolute", Kind: ControlInteger, Min: -36000, Max: 36000, Step: 3600},
	{Name: "pan_speed", Kind: ControlInteger, Min: -1, Max: 1},
	{Name: "focus_automatic_continuous", Kind: ControlBoolean, Max: 1, ReadOnly: true},
	{Name: "torch", Kind: ControlButton},
}

func TestControlSettings(t *testing.T) {
	for text, want := range map[string]string{
		"brightness=20":                  "brightness=20",
		"Brightness = -64":               "brightness=-64",
		"exposure=300":                   "exposure_time_absolute=300", // by what usually follows
		"pan=3600":                       "pan_absolute=3600",
		"white_balance_t=4000":           "white_balance_temperature=4000", // the only one that begins so
		"white_balance_automatic=off":    "white_balance_automatic=0",
		"auto_exposure=manual mode":      "auto_exposure=1",
		"auto_exposure=3":                "auto_exposure=3",
		"torch=1":                        "torch=1",
		"exposure_dynamic_framerate=on":  "exposure_dynamic_framerate=1",
		"brightness":                     "write NAME=VALUE",
		"=3":                             "write NAME=VALUE",
		"brightness=65":                  "write brightness=-64..64",
		"brightness=bright":              "write brightness=-64..64",
		"auto_exposure=2":                "Manual Mode|Aperture Priority Mode", // a gap in the menu
		"white_balance_automatic=2":      "on|off",
		"white_balance=1":                "that could mean white_balance_automatic=on|off, white_balance_temperature=2800..6500",
		"focus_automatic_continuous=off": "can only be read",
		"focus_automatic_continuous=1":   "can only be read",
		"sharpness=3":                    "it has brightness=-64..64",
	} {
		got := ""
		c, err := ParseControl(text)
		if err == nil {
			var s settings
			s.ask([]ControlSetting{c})
			var all []controlValue
			if all, err = s.resolve(someControls); err == nil && len(all) == 1 {
				got = all[0].Name + "=" + strconv.Itoa(all[0].value)
			}
		}
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	var s settings
	s.ask([]ControlSetting{{"brightness", "1"}, {"pan", "0"}, {"brightness", "2"}})
	all, err := s.resolve(someControls)
	if err != nil || len(all) != 2 || all[0].Name != "pan_absolute" || all[1].value != 2 {
		t.Errorf("settings %v, %v", all, err)
	}
	if _, err := s.resolve(nil); err == nil || !strings.Contains(err.Error(), "no controls") {
		t.Errorf("a camera without controls: %v", err)
	}
}

func TestControlName(t *testing.T) {
	for in, want := range map[string]string{
		"Exposure, Auto": "exposure_auto", "White Balance Temperature, Auto": "white_balance_temperature_auto",
		"zoom_absolute": "zoom_absolute", " LED1 Mode ": "led1_mode", "": "", "Ä": "",
	} {
		if got := controlName(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}
