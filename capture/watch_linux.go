package capture

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// watchCameras watches the cameras' nodes in /dev. The kernel makes and removes
// them itself; IN_ATTRIB comes when udev then gives one to the group that may
// use it. Netlink would tell neither that nor anything within a container.
func watchCameras() *deviceWatch {
	w, err := watchNodes("/dev", "video")
	if err != nil { // the user has used up all instances
		return pollDevices(devicePoll)
	}
	return w
}

// watchNodes watches what is called prefix... in dir.
func watchNodes(dir, prefix string) (*deviceWatch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_DELETE|unix.IN_ATTRIB|unix.IN_MOVED_TO|unix.IN_MOVED_FROM); err != nil {
		unix.Close(fd)
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "inotify") // pollable, so Close ends Read
	c := make(chan struct{}, 1)
	var wait sync.WaitGroup
	wait.Go(func() {
		var room [4096]byte
		for {
			n, err := f.Read(room[:])
			if err != nil {
				return
			}
			if names(room[:n], prefix) {
				notify(c)
			}
		}
	})
	return &deviceWatch{c, sync.OnceFunc(func() { f.Close(); wait.Wait() })}, nil
}

// names tells whether one of the events (inotify(7)) is about a file whose
// name begins with prefix, or whether events were lost.
func names(events []byte, prefix string) bool {
	for len(events) >= unix.SizeofInotifyEvent {
		mask := binary.NativeEndian.Uint32(events[4:])
		end := min(len(events), unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(events[12:])))
		name, _, _ := bytes.Cut(events[unix.SizeofInotifyEvent:end], []byte{0})
		if mask&unix.IN_Q_OVERFLOW != 0 || strings.HasPrefix(string(name), prefix) {
			return true
		}
		events = events[end:]
	}
	return false
}
