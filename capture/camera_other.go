//go:build darwin || windows

package capture

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/pion/mediadevices/pkg/driver"
	"github.com/pion/mediadevices/pkg/driver/availability"
	cameras "github.com/pion/mediadevices/pkg/driver/camera"
)

// registerCameras lets mediadevices register the cameras that are plugged in
// now (AVFoundation, DirectShow).
func registerCameras(*driver.Manager, *slog.Logger) error {
	cameras.Initialize()
	return nil
}

// cameraDevice describes a camera that mediadevices registered: its label is
// the system's own identifier. Cameras that come and go, or show something
// else than a room, are not what "auto" means while there is another.
func cameraDevice(i driver.Info) (d Device, order int) {
	d = Device{Kind: KindCamera, ID: i.Label, Name: i.Name, Path: i.Label}
	if d.Name == "" {
		d.Name = i.Label
	}
	for _, guest := range []string{"virtual", "obs", "iphone", "ipad", "desk view"} {
		if strings.Contains(strings.ToLower(d.Name), guest) {
			order = 1
		}
	}
	return d, order
}

// cameraReason explains an error of AVFoundation or DirectShow, which comes
// without a code.
func cameraReason(err error) string {
	return "is another program using it, and may this one use the camera (privacy settings of the system)?"
}

func isBusy(err error) bool { return errors.Is(err, availability.ErrBusy) }
