package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// roaming is a camera and a viewer in networks of their own, each with a way to a
// server that also joins them.
type roaming struct {
	server, camera, viewer *namespace
}

const (
	cameraNet, viewerNet = "10.78.1.", "10.78.2."
	roamingServer        = cameraNet + "1"
)

func newRoaming(t *testing.T) *roaming {
	t.Helper()
	w := &roaming{newSpace(t), newSpace(t), newSpace(t)}
	err := errors.Join(
		w.server.cable(w.camera, "camera", "eth0", cameraNet+"1", cameraNet+"2"),
		w.server.cable(w.viewer, "viewer", "eth0", viewerNet+"1", viewerNet+"2"),
		w.server.within(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600) }),
		w.camera.within(func() error { return ip("route add default via " + cameraNet + "1") }),
		w.viewer.within(func() error { return ip("route add default via " + viewerNet + "1") }),
	)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// move gives a namespace another address, and tells when it had it.
func (n *namespace) move(t *testing.T, network, host string) time.Time {
	t.Helper()
	err := n.within(func() error {
		return errors.Join(ip("addr flush dev eth0"), ip("addr add "+network+host+"/24 dev eth0"), ip("route add default via "+network+"1"))
	})
	if err != nil {
		t.Fatal(err)
	}
	return time.Now()
}

func (w *roaming) share(t *testing.T, args ...string) *process {
	t.Helper()
	w.server.spawn(t, "serve", "--listen", ":8080")
	return w.camera.spawn(t, append(append([]string{"share", "--camera", "test", "--mic", "test", "--room", "kitchen", "--no-stun",
		"--key-file", filepath.Join(t.TempDir(), "key"), "--signal", "ws://" + roamingServer + ":8080"}, small...), args...)...)
}

func TestThePictureGoesOnWhenTheCameraMoves(t *testing.T) {
	for name, args := range map[string][]string{"a port a session": nil, "one port": {"--udp-port", "8189"}} {
		t.Run(name, func(t *testing.T) {
			w := newRoaming(t)
			camera := w.share(t, args...)
			v := openIn(t, w.viewer.browser(t), camera.first)
			v.live()
			for host := 3; host < 6; host++ {
				at := w.camera.move(t, cameraNet, strconv.Itoa(host))
				v.since(at)
				t.Logf("picture %v after the camera's address changed", time.Since(at).Round(time.Millisecond))
			}
			if n := js[int](v, "document.querySelectorAll('video').length"); n != 1 {
				t.Errorf("%d pictures of one camera", n)
			}
			v.clean()
		})
	}
}

func TestThePictureComesBackWhenTheViewerMoves(t *testing.T) {
	w := newRoaming(t)
	camera := w.share(t)
	v := openIn(t, w.viewer.browser(t), camera.first)
	v.live()
	for host := 3; host < 6; host++ {
		at := w.viewer.move(t, viewerNet, fmt.Sprint(host))
		v.since(at)
		t.Logf("picture %v after the viewer's address changed", time.Since(at).Round(time.Millisecond))
	}
}
