package capture

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFindDevices(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	node, link := filepath.Join(dir, "video2"), filepath.Join(dir, "my-camera")
	if err := os.WriteFile(node, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(node, link); err != nil {
		t.Fatal(err)
	}
	have := []Device{
		{Name: "Integrated Camera", ID: "/dev/v4l/by-id/usb-Chicony", Path: "/dev/video0", Serial: "0001"},
		{Name: "HD Pro Webcam C920", ID: "/dev/v4l/by-id/usb-046d_C920_1", Path: node},
		{Name: "HD Pro Webcam C920", ID: "/dev/v4l/by-id/usb-046d_C920_2", Path: "/dev/video4"},
		{Name: "camera", ID: "/dev/video6", Path: "/dev/video6"},
	}
	for spec, want := range map[string][]int{
		"auto":                           {0, 1, 2, 3},
		"Integrated Camera":              {0},
		"integrated camera":              {0},
		"INTEGRATED":                     {0},
		"c920":                           {1, 2},
		"camera":                         {3}, // exact beats part
		"Camera":                         {3},
		"/dev/video4":                    {2},
		"/dev/v4l/by-id/usb-046d_C920_2": {2},
		link:                             {1},
		"0001":                           {0},
		"usb-046d_C920_1":                {1},
	} {
		if got, err := findDevices(KindCamera, spec, have); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", spec, got, err, want)
		}
	}
	for _, spec := range []string{"C930", "/dev/video9", ""} {
		_, err := findDevices(KindCamera, spec, have)
		if !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), spec) || !strings.Contains(err.Error(), `"HD Pro Webcam C920" (/dev/video4)`) {
			t.Errorf("%q: %v", spec, err)
		}
	}
	for _, spec := range []string{"auto", "C920"} {
		if _, err := findDevices(KindMicrophone, spec, nil); !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), "no microphone found") {
			t.Errorf("%q among nothing: %v", spec, err)
		}
	}
}

// A camera stays the same one under another path, and a path means what is
// there if the camera that it meant is not.
func TestMeant(t *testing.T) {
	a := Device{Name: "Cam", ID: "/dev/v4l/by-id/a", Path: "/dev/video0"}
	b := Device{Name: "Cam", ID: "/dev/v4l/by-id/b", Path: "/dev/video2"}
	plain := Device{Name: "Old", ID: "/dev/video4", Path: "/dev/video4"}
	at := func(d Device, path string) Device { d.Path = path; return d }
	for name, c := range map[string]struct {
		spec string
		last *Device
		have []Device
		want []int
	}{
		"first time":             {"/dev/video0", nil, []Device{a, b}, []int{0}},
		"swapped":                {"/dev/video0", &a, []Device{at(b, "/dev/video0"), at(a, "/dev/video2")}, []int{1, 0}},
		"only another fits":      {"/dev/video0", &a, []Device{at(b, "/dev/video0")}, []int{0}},
		"only elsewhere":         {"/dev/video0", &a, []Device{at(a, "/dev/video1")}, []int{0}},
		"same name, same camera": {"Cam", &b, []Device{a, b}, []int{1, 0}},
		"known by its path only": {"/dev/video4", &plain, []Device{a, plain}, []int{1}},
	} {
		if got, err := meant(c.spec, c.last, c.have); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
	if _, err := meant("/dev/video0", &a, []Device{b}); !errors.Is(err, ErrNoDevice) {
		t.Errorf("neither: %v", err)
	}
}

func TestGroupFormats(t *testing.T) {
	got := groupFormats([]DeviceFormat{
		{"YUYV", 640, 480, []float64{15}}, {"MJPEG", 640, 480, []float64{30}}, {"YUYV", 1280, 720, nil},
		{"YUYV", 640, 480, []float64{30}}, {"YUYV", 640, 480, []float64{15}},
	})
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"pixelFormat":"MJPEG","width":640,"height":480,"fps":[30]},{"pixelFormat":"YUYV","width":1280,"height":720},` +
		`{"pixelFormat":"YUYV","width":640,"height":480,"fps":[30,15]}]`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

// Whatever the machine has, listing it works, names everything, and marks at
// most one default of a kind.
func TestDevices(t *testing.T) {
	all, err := Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]int{}
	for _, d := range all {
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s", b)
		if d.Name == "" || d.ID == "" || d.Path == "" || d.Kind != KindCamera && d.Kind != KindMicrophone {
			t.Errorf("something is missing: %s", b)
		}
		if d.Err == "" && len(d.Formats) == 0 && len(d.Rates) == 0 {
			t.Errorf("opens, but has no formats: %s", b)
		}
		if d.Default {
			defaults[d.Kind]++
		}
		if d.Kind == KindMicrophone && d.ID == "null" {
			t.Errorf("offers the null PCM: %s", b)
		}
	}
	for kind, n := range defaults {
		if n != 1 {
			t.Errorf("%d default %ss", n, kind)
		}
	}
}

// Sources named "auto" may be made before there is a device; opening them says
// that there is none.
func TestAutoWithoutDevice(t *testing.T) {
	all, err := Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	has := func(kind string) bool { return slices.ContainsFunc(all, func(d Device) bool { return d.Kind == kind }) }
	cam, err := newCamera("auto", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !has(KindCamera) {
		if _, err := cam.Open(t.Context(), Format{}); !errors.Is(err, ErrNoDevice) {
			t.Errorf("camera: %v", err)
		}
	}
	mic, err := newMicrophone("auto", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !has(KindMicrophone) {
		if _, err := mic.Open(t.Context()); !errors.Is(err, ErrNoDevice) {
			t.Errorf("microphone: %v", err)
		}
	}
	if _, err := newCamera("no such camera", Options{}); !errors.Is(err, ErrNoDevice) {
		t.Errorf("unknown camera: %v", err)
	}
	if _, err := newMicrophone("no such microphone", Options{}); !errors.Is(err, ErrNoDevice) {
		t.Errorf("unknown microphone: %v", err)
	}
}
