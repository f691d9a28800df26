//go:build darwin || windows

package capture

import (
	"cmp"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"

	"github.com/pion/mediadevices/pkg/driver"
	"github.com/pion/mediadevices/pkg/driver/availability"
	cameras "github.com/pion/mediadevices/pkg/driver/camera"
)

// findCameras lets mediadevices register the cameras that are plugged in now
// (AVFoundation, DirectShow). Their labels are the system's own identifiers.
// Cameras that come and go, or show something else than a room, are not what
// "auto" means while there is another.
func findCameras(*slog.Logger) (all []camera, err error) {
	m := driver.GetManager()
	isCamera := driver.FilterDeviceType(driver.Camera)
	for _, d := range m.Query(isCamera) {
		m.Delete(d.ID())
	}
	cameras.Initialize()
	for _, d := range m.Query(isCamera) {
		i := d.Info()
		all = append(all, camera{d.(cameraDriver), Device{Kind: KindCamera, ID: i.Label, Name: cmp.Or(i.Name, i.Label), Path: i.Label}})
	}
	slices.SortFunc(all, func(a, b camera) int {
		return cmp.Or(cmp.Compare(guest(a.dev.Name), guest(b.dev.Name)), cmp.Compare(a.dev.Name, b.dev.Name), cmp.Compare(a.dev.ID, b.dev.ID))
	})
	return all, nil
}

// guest is 1 for cameras that come and go.
func guest(name string) int {
	for _, s := range []string{"virtual", "obs", "iphone", "ipad", "desk view"} {
		if strings.Contains(strings.ToLower(name), s) {
			return 1
		}
	}
	return 0
}

// cameraReason explains an error of AVFoundation or DirectShow, which mostly
// comes without a code.
func cameraReason(_ Device, err error) (reason, remedy string) {
	setting := "System Settings, Privacy & Security, Camera: allow the program that started this one (Terminal, for instance), then start it again"
	if runtime.GOOS == "windows" {
		setting = "Settings, Privacy & security, Camera: turn on camera access, and let desktop apps access your camera"
	}
	if isBusy(err) {
		return "another program uses it", "end that program or choose another camera"
	}
	return "it does not open", "end other programs that use it; if there are none, open " + setting
}

func isBusy(err error) bool { return errors.Is(err, availability.ErrBusy) }
