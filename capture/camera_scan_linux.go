package capture

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// findCameras looks for V4L2 cameras, in the order in which they were plugged
// in. Nodes that are no cameras (metadata, outputs, codecs) are left out; one
// that may not be opened is kept, so that the error can be told.
func findCameras(log *slog.Logger) (all []camera, err error) {
	nodes, err := filepath.Glob("/dev/video*")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(nodes, func(a, b string) int { return cmp.Compare(nodeNumber(a), nodeNumber(b)) })
	stable := stableNames("/dev/v4l/by-id/*", "/dev/v4l/by-path/*")
	for _, node := range nodes {
		name := sysFile(node, "name")
		n, err := openV4L2(node)
		switch {
		case err == nil:
			name = n.card
			n.close()
		case errors.Is(err, errNotCamera), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENXIO):
			continue
		case sysIndex(node) > 0: // a camera's second node, most likely of metadata
			continue
		}
		dev := Device{Kind: KindCamera, ID: cmp.Or(stable[node], node), Name: cmp.Or(name, filepath.Base(node)), Path: node,
			Serial: sysFile(node, "device/../serial")}
		all = append(all, camera{&v4l2Camera{path: node, log: log, stop: -1, counts: new(cameraCounts)}, dev})
	}
	return all, nil
}

func nodeNumber(path string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), "video"))
	if err != nil {
		return 1 << 20
	}
	return n
}

// stableNames maps nodes to the first link to them that the patterns find.
func stableNames(patterns ...string) map[string]string {
	names := make(map[string]string)
	for _, pattern := range patterns {
		links, _ := filepath.Glob(pattern) // fails only for a bad pattern
		for _, link := range links {
			if node, err := filepath.EvalSymlinks(link); err == nil && names[node] == "" {
				names[node] = link
			}
		}
	}
	return names
}

// sysFile is what sysfs tells of a node; "" when it does not. A USB camera's
// serial number lies with the device, one above the interface.
func sysFile(node, file string) string {
	b, err := os.ReadFile("/sys/class/video4linux/" + filepath.Base(node) + "/" + file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func sysIndex(node string) int {
	n, _ := strconv.Atoi(sysFile(node, "index"))
	return n
}

// cameraReason says what an error of V4L2 means and what to do.
func cameraReason(d Device, err error) (reason, remedy string) {
	switch {
	case isBusy(err):
		who := holders("/proc", d.Path)
		if len(who) == 0 {
			return "another program uses it", "end that program or choose another camera"
		}
		return "in use by " + strings.Join(who, ", "), "end that program or choose another camera"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		group := nodeGroup(d.Path)
		if inGroup(group) {
			return "no permission", fmt.Sprintf("you are in the group %s, but not yet in this session: log out and in again", group)
		}
		return "no permission", fmt.Sprintf("add yourself to the group %[1]s (sudo usermod -aG %[1]s $USER) and log in again", group)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENOENT):
		return "unplugged", "plug it in again"
	case errors.Is(err, unix.ENOSPC):
		return "the USB bus has no room for it", "plug it into another port or ask for a smaller size"
	case errors.Is(err, unix.EIO), errors.Is(err, unix.EPROTO), errors.Is(err, unix.ETIMEDOUT):
		return "it does not answer", "unplug it and plug it in again, best without a hub"
	case errors.Is(err, errNoFormat):
		return "no usable pixel format", "a Raspberry Pi's camera module is --camera rpi; others need a program that decodes: --camera exec:COMMAND"
	}
	return "", ""
}

func isBusy(err error) bool { return errors.Is(err, unix.EBUSY) }

// sinceBoot is the time since boot with and without what was slept.
func sinceBoot() (with, without time.Duration) {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil {
		return 0, 0
	}
	return time.Duration(boot.Nano()), time.Duration(mono.Nano())
}
