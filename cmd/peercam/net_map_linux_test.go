package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// routerIP is a router's address on the internet: miniupnpd forwards nothing at
// one that is for documentation only.
const routerIP = "5.5.5.2"

// forwards starts Debian's miniupnpd at a home's router, as homes have it.
func (w *internet) forwards(t *testing.T, home int, config string) {
	t.Helper()
	path, err := exec.LookPath("miniupnpd")
	if err != nil {
		t.Fatalf("%v: run `make deps-test`, which installs it", err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "miniupnpd.conf")
	if err := os.WriteFile(file, []byte("ext_ifname=wan\nlistening_ip=lan\nsecure_mode=yes\nuuid=00000000-0000-0000-0000-000000000001\n"+
		"allow 1024-65535 192.168.1.0/24 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
	w.must(t, w.server.within(func() error { return ip(fmt.Sprintf("addr add 5.5.5.1/24 dev home%d", home)) }))
	w.must(t, w.routers[home].within(func() error {
		return errors.Join(ip("addr flush dev wan"), ip("addr add "+routerIP+"/24 dev wan"), ip("route add default via 5.5.5.1"))
	}))
	cmd := exec.Command(path, "-d", "-f", file, "-P", filepath.Join(dir, "pid"))
	var said transcript
	cmd.Stdout, cmd.Stderr = &said, &said
	w.must(t, w.routers[home].within(func() error {
		if err := nft(`
			table ip nat { chain pass { ct status dnat accept; }; }
			table inet filter {
				chain miniupnpd {}
				chain prerouting_miniupnpd {}
				chain postrouting_miniupnpd {}
				chain forward { type filter hook forward priority 0; jump miniupnpd; }
				chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
				chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
			}`); err != nil {
			return err
		}
		return cmd.Start()
	}))
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("miniupnpd:\n%s", said.String())
		}
	})
}

// rules are what a home's router does to packets.
func (w *internet) rules(t *testing.T, home int) (rules string) {
	t.Helper()
	w.must(t, w.routers[home].within(func() error {
		b, err := exec.Command("nft", "list", "ruleset").Output()
		rules = string(b)
		return err
	}))
	return rules
}

// Between two symmetric NATs, without STUN and TURN, the picture can only come by
// the port that the camera's router was asked to forward.
func TestTheRouterForwardsThePort(t *testing.T) {
	for _, c := range []struct {
		name, config string
		args         []string
		udp          bool
	}{
		{"PCP", "enable_natpmp=yes\nenable_upnp=no\n", []string{"--udp-port", "8189"}, true},
		{"UPnP", "enable_natpmp=no\nenable_upnp=yes\n", []string{"--udp-port", "8189"}, true},
		{"UPnP, TCP for a viewer without UDP", "enable_natpmp=no\nenable_upnp=yes\n", []string{"--udp-port", "8189", "--tcp-port", "8190"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newInternet(t)
			w.forwards(t, 0, c.config)
			w.server.spawn(t, "serve", "--listen", publicIP+":80", "--no-stun")
			camera := w.camera.spawn(t, append(append([]string{"share", "--camera", "test", "--mic", "test", "--room", "kitchen", "--no-stun", "--map-port",
				"--key-file", filepath.Join(t.TempDir(), "key"), "--signal", "ws://" + publicIP + ":80"}, small...), c.args...)...)
			by, _, _ := strings.Cut(c.name, ",")
			eventually(t, "the router forwards", func() bool {
				said := camera.stderr.String()
				return strings.Contains(said, `by="`+by+` at 192.168.1.1"`) && strings.Contains(said, "address="+routerIP)
			})
			if !c.udp {
				w.blockUDP(t, 1)
			}
			v := openIn(t, w.viewer.browser(t), camera.first)
			v.live()
			v.clean()
			if rules := w.rules(t, 0); !strings.Contains(rules, "8189") {
				t.Errorf("the router's rules: %s", rules)
			}
			if code := camera.signal(os.Interrupt); code != exitDone {
				t.Errorf("code %d", code)
			}
			if rules := w.rules(t, 0); strings.Contains(rules, "8189") || strings.Contains(rules, "8190") {
				t.Errorf("left behind: %s", rules)
			}
		})
	}
}

func TestNoRouterForwards(t *testing.T) {
	w := newInternet(t)
	w.server.spawn(t, "serve", "--listen", publicIP+":80", "--no-stun")
	camera := w.camera.spawn(t, "share", "--camera", "test", "--mic", "none", "--open", "--no-stun", "--map-port", "--udp-port", "8189", "--signal", "ws://"+publicIP+":80")
	eventually(t, "it says so", func() bool { return strings.Contains(camera.stderr.String(), "no router forwards our ports") })
	if code := camera.signal(os.Interrupt); code != exitDone {
		t.Errorf("code %d", code)
	}
}
