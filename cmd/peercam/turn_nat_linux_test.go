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

// internet is a server with a public address and two homes, each behind a
// router whose NAT gives every destination another port (RFC 4787: address and
// port-dependent mapping): no way leads directly from one home to the other.
type internet struct {
	server, camera, viewer *namespace
	routers                [2]*namespace
}

// publicIP is the server's address, as seen from both homes.
const publicIP = "203.0.113.1"

func newInternet(t *testing.T) *internet {
	t.Helper()
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v: run `make deps-test`, which installs it", err)
		}
	}
	w := &internet{server: newSpace(t), camera: newSpace(t), viewer: newSpace(t), routers: [2]*namespace{newSpace(t), newSpace(t)}}
	wan := [2][2]string{{publicIP, "203.0.113.2"}, {"198.51.100.1", "198.51.100.2"}}
	for i, home := range []*namespace{w.camera, w.viewer} {
		router := w.routers[i]
		name := fmt.Sprint("home", i)
		w.must(t, w.server.cable(router, name, "wan", wan[i][0], wan[i][1]))
		w.must(t, router.cable(home, "lan", "eth0", "192.168.1.1", "192.168.1.2"))
		w.must(t, router.within(func() error {
			return errors.Join(ip("route add default via "+wan[i][0]), os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600), nft(`
				table ip nat {
					chain out { type nat hook postrouting priority 100; oifname "wan" masquerade fully-random; }
					chain pass { type filter hook forward priority 0; policy drop; iifname "lan" accept; ct state established,related accept; }
				}`))
		}))
		w.must(t, home.within(func() error { return ip("route add default via 192.168.1.1") }))
	}
	// What is for elsewhere, private addresses too, leaves and is lost.
	w.must(t, w.server.cable(newSpace(t), "rest", "rest", "192.0.2.1", "192.0.2.2"))
	w.must(t, w.server.within(func() error {
		return errors.Join(os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o600), ip("route add default via 192.0.2.2"))
	}))
	return w
}

func (*internet) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cable joins two namespaces.
func (n *namespace) cable(to *namespace, here, there, hereIP, thereIP string) error {
	return errors.Join(n.within(func() error {
		return errors.Join(
			ip(fmt.Sprintf("link add dev %s type veth peer name %s netns /proc/%d/fd/%d", here, there, os.Getpid(), to.file.Fd())),
			ip("addr add "+hereIP+"/24 dev "+here), ip("link set "+here+" up"))
	}), to.within(func() error {
		return errors.Join(ip("addr add "+thereIP+"/24 dev "+there), ip("link set "+there+" up"))
	}))
}

func nft(rules string) error {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}

// blockUDP lets a home's UDP no further than its router.
func (w *internet) blockUDP(t *testing.T, home int) {
	t.Helper()
	w.must(t, w.routers[home].within(func() error {
		return nft(`
			table ip nat {
				chain noudp { type filter hook forward priority -1; meta l4proto udp drop; }
			}`)
	}))
}

// spawn starts peercam in a namespace.
func (n *namespace) spawn(t *testing.T, args ...string) (p *process) {
	t.Helper()
	err := n.within(func() error {
		p = spawn(t, nil, append(args, "--log-level", "debug")...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// coturn starts Debian's TURN server, with UDP and TCP at ports 3478 and 443.
func (w *internet) coturn(t *testing.T, secret string) {
	t.Helper()
	path, err := exec.LookPath("turnserver")
	if err != nil {
		t.Fatalf("%v: run `make deps-test`, which installs it (coturn)", err)
	}
	dir := t.TempDir()
	cmd := exec.Command(path, "-n", "--listening-ip", publicIP, "--relay-ip", publicIP, "--listening-port", "3478", "--aux-server", publicIP+":443",
		"--use-auth-secret", "--static-auth-secret", secret, "--realm", "example.org", "--no-cli", "--no-tls", "--no-dtls",
		"--log-file", "stdout", "--pidfile", filepath.Join(dir, "pid"), "--userdb", filepath.Join(dir, "db"))
	var said transcript
	cmd.Stdout, cmd.Stderr = &said, &said
	w.must(t, w.server.within(cmd.Start))
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("coturn:\n%s", said.String())
		}
	})
}

func TestPictureAcrossTwoSymmetricNATs(t *testing.T) {
	const secret = "north-of-the-border"
	external := []string{"--ice-server", "turn:" + publicIP + ":3478?transport=udp", "--ice-server", "turn:" + publicIP + ":443?transport=tcp", "--turn-secret", secret}
	builtIn := []string{"--listen", publicIP + ":443", "--turn", publicIP + ":3478"}
	for _, c := range []struct {
		name    string
		coturn  bool
		server  []string
		port    string
		camera  []string
		blocked []int // homes
	}{
		{"built-in", false, builtIn, "443", []string{"--ice-server", "stun:" + publicIP + ":3478"}, nil},
		{"built-in, viewer without UDP", false, builtIn, "443", []string{"--ice-server", "stun:" + publicIP + ":3478"}, []int{1}},
		{"coturn", true, append(external, "--listen", publicIP+":80"), "80", external, nil},
		{"coturn, nobody has UDP", true, append(external, "--listen", publicIP+":80"), "80", external, []int{0, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newInternet(t)
			for _, home := range c.blocked {
				w.blockUDP(t, home)
			}
			if c.coturn {
				w.coturn(t, secret)
			}
			w.server.spawn(t, append([]string{"serve"}, c.server...)...)
			camera := w.camera.spawn(t, append(append([]string{"share", "--camera", "test", "--mic", "test", "--room", "kitchen", "--key-file", filepath.Join(t.TempDir(), "key"),
				"--signal", "ws://" + publicIP + ":" + c.port}, small...), c.camera...)...)
			v := openIn(t, w.viewer.browser(t), camera.first)
			v.live()
			said := camera.stderr.String()
			_, path, _ := strings.Cut(said, "viewer connected")
			if path, _, _ = strings.Cut(path, "\n"); !strings.Contains(path, publicIP) {
				t.Errorf("the picture does not come by the server: %s", path)
			}
		})
	}
}
