package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newIPv6 is two namespaces that know no IPv4 but for the loopback's, with a
// cable between.
func newIPv6(t *testing.T) (camera, viewer *namespace) {
	t.Helper()
	camera, viewer = newSpace(t), newSpace(t)
	err := errors.Join(camera.cable(viewer, "eth0", "eth0", "10.9.9.1", "10.9.9.2"))
	for i, n := range []*namespace{camera, viewer} {
		err = errors.Join(err, n.within(func() error {
			return errors.Join(ip("-4 addr flush dev eth0"), ip([]string{"addr add fd00:9::1/64 dev eth0 nodad", "addr add fd00:9::2/64 dev eth0 nodad"}[i]))
		}))
	}
	if err != nil {
		t.Fatal(err)
	}
	return camera, viewer
}

func TestANetworkWithoutIPv4(t *testing.T) {
	for name, c := range map[string]struct{ listen, args string }{
		"everywhere":     {":8080", "--no-stun"},
		"at one address": {"[fd00:9::1]:8080", "--udp-port 8189"},
	} {
		t.Run(name, func(t *testing.T) {
			camera, viewer := newIPv6(t)
			p := camera.spawn(t, append([]string{"share", "--camera", "test", "--mic", "test", "--room", "kitchen",
				"--key-file", filepath.Join(t.TempDir(), "key"), "--listen", c.listen}, append(small, strings.Fields(c.args)...)...)...)
			if !strings.HasPrefix(p.first, "http://[fd00:9::1]:8080/kitchen#k=") {
				t.Errorf("the link is %s", p.first)
			}
			v := openIn(t, viewer.browser(t), p.first)
			v.live()
			v.clean()
		})
	}
}

// An address of IPv6 cannot be used until it is known to be nobody else's. That
// hinders neither the start nor, later, its use.
func TestAnAddressThatIsNotYetUsable(t *testing.T) {
	camera, viewer := newIPv6(t)
	err := camera.within(func() error {
		return errors.Join(os.WriteFile("/proc/sys/net/ipv6/conf/eth0/dad_transmits", []byte("4"), 0o600), ip("addr add fd00:9::3/64 dev eth0"))
	})
	if err != nil {
		t.Fatal(err)
	}
	p := camera.spawn(t, append([]string{"share", "--camera", "test", "--mic", "none", "--room", "kitchen", "--open", "--no-stun",
		"--listen", "[fd00:9::1]:8080", "--udp-port", "8189"}, small...)...)
	v := openIn(t, viewer.browser(t), p.first)
	v.live()
	eventually(t, "the port is open at the second address, too", func() bool {
		return strings.Contains(p.stderr.String(), `at=[fd00:9::3]:8189`)
	})
	v.clean()
}
