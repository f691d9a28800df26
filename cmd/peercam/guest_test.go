//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/peercam/peercam/capture"
)

// guestPatience is for a machine whose processor is emulated.
const guestPatience = 4 * time.Minute

// guest is a machine with cameras, see .make/test-devices. Its peercam is
// reached at addr.
type guest struct {
	t     *testing.T
	addr  string
	shell net.Conn
	lines *bufio.Reader
	asked int
}

// bootGuest boots a machine with peercam in it.
func bootGuest(t *testing.T) *guest {
	t.Helper()
	machine := os.Getenv("PEERCAM_GUEST")
	if machine == "" {
		t.Skip("LOUD: not tried, there is no machine here whose cameras can be pulled out: run make test-devices")
	}
	program, err := peercamBinary()
	if err != nil {
		t.Fatal(err)
	}
	// A short path: that of a socket has at most 107 characters.
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	files, job := filepath.Join(dir, "files"), filepath.Join(dir, "job")
	if err := os.Mkdir(files, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", program, filepath.Join(files, "peercam")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(files, "run"), []byte("#!/bin/sh\nsleep 1d\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, addr: freeAddr(t)}
	// Media need no way in: the guest's checks of Chromium's candidates make
	// the user network's NAT let the answers through.
	cmd := exec.Command("../../.make/guest/boot", machine, files, job,
		"-netdev", "user,id=n0,hostfwd=tcp:"+g.addr+"-10.0.2.15:8080", "-device", "virtio-net-pci,netdev=n0,romfile=")
	var said transcript
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			kernel, _ := os.ReadFile(filepath.Join(job, "kernel.log"))
			t.Logf("the guest: %s\nits kernel:\n%s", said.String(), kernel[max(0, len(kernel)-2000):])
		}
		_ = cmd.Process.Kill() // qemu
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(guestPatience); g.shell == nil; {
		if g.shell, err = net.Dial("unix", filepath.Join(job, "shell")); err != nil {
			g.shell = nil
			if time.Now().After(deadline) {
				t.Fatalf("the guest does not start: %v: %s", err, said.String())
			}
			<-time.After(50 * time.Millisecond) // for qemu to make the socket
		}
	}
	t.Cleanup(func() { g.shell.Close() })
	g.lines = bufio.NewReader(g.shell)
	g.until("ready")
	return g
}

// do runs a command in the guest and returns what it prints.
func (g *guest) do(command string) string {
	g.t.Helper()
	g.asked++
	end := fmt.Sprintf("-- end %d --", g.asked)
	if _, err := fmt.Fprintf(g.shell, "%s\necho '%s'\n", command, end); err != nil {
		g.t.Fatal(err)
	}
	return g.until(end)
}

// until returns what the shell says before a line.
func (g *guest) until(end string) string {
	g.t.Helper()
	if err := g.shell.SetReadDeadline(time.Now().Add(guestPatience)); err != nil {
		g.t.Fatal(err)
	}
	var out strings.Builder
	for {
		line, err := g.lines.ReadString('\n')
		if err != nil {
			g.t.Fatalf("the guest's shell does not say %q: %v: %s", end, err, out.String())
		}
		if strings.TrimSpace(line) == end {
			return out.String()
		}
		out.WriteString(line)
	}
}

// share starts peercam in the guest, small, and returns its link as the host
// must open it; name is that of its log.
func (g *guest) share(name, args string) (link string) {
	g.t.Helper()
	g.do("peercam share --mic none --size 320x180 --fps 5 --room kitchen --no-stun --key-file /tmp/key --linger 1s " + args +
		" >/tmp/" + name + ".link 2>/tmp/" + name + ".log &")
	g.t.Cleanup(func() {
		if g.t.Failed() {
			g.t.Logf("%s:\n%s", name, g.do("cat /tmp/"+name+".log"))
		}
	})
	eventually(g.t, "peercam in the guest prints its link", func() bool {
		link = strings.TrimSpace(g.do("cat /tmp/" + name + ".link"))
		return strings.HasPrefix(link, "http://")
	})
	u, err := url.Parse(link)
	if err != nil {
		g.t.Fatal(err)
	}
	u.Host = g.addr
	return u.String()
}

// moves waits until a video has shown more pictures than before.
func (v *view) moves(n int) {
	v.t.Helper()
	const shown = `document.querySelectorAll('video')[%d]?.getVideoPlaybackQuality().totalVideoFrames ?? 0`
	v.until(fmt.Sprintf(shown, n)+" > %d", js[int](v, shown, n)+5)
}

// A camera is pulled out and put back while somebody watches.
func TestGuestCameraIsPulledOut(t *testing.T) {
	g := bootGuest(t)
	v := open(t, g.share("camera", "--camera auto"))
	v.state("live")
	v.moves(0)
	camera := js[[]int](v, "probe.colour()")
	const differs = "probe.colour().reduce((sum, c, i) => sum + Math.abs(c - %s[i]), 0)"
	colour := strings.ReplaceAll(fmt.Sprint(camera), " ", ",")

	g.do("echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind")
	v.until(differs+" > 60", colour) // the slate
	v.moves(0)
	g.do("echo vivid.0 >/sys/bus/platform/drivers/vivid/bind")
	v.until(differs+" < 30", colour)
	v.moves(0)
	if states := js[[]string](v, "probe.states"); states[len(states)-1] != "live" || slices.Contains(states[slices.Index(states, "live"):], "ended") {
		t.Errorf("the page went through %q", states)
	}
	if n := js[int](v, "probe.peers.length"); n != 1 {
		t.Errorf("there were %d connections, want the first to last", n)
	}
}

// Two cameras of a machine share a room.
func TestGuestTwoCameras(t *testing.T) {
	g := bootGuest(t)
	link := g.share("one", "--camera /dev/video0")
	g.share("two", "--camera /dev/video1 --signal ws://127.0.0.1:8080")
	v := open(t, link)
	v.until(`document.querySelectorAll('video[data-state="live"]').length === 2`)
	v.moves(0)
	v.moves(1)
}

// What is set on the page arrives at the driver, and what was set elsewhere at
// the page.
func TestGuestCameraIsSetUp(t *testing.T) {
	g := bootGuest(t)
	v := open(t, g.share("camera", "--camera /dev/video0"))
	v.state("live")
	brightness := func() int {
		var all []capture.Device
		if out := g.do("peercam devices --json 2>/dev/null"); json.Unmarshal([]byte(out), &all) != nil {
			t.Fatalf("peercam devices --json says %s", out)
		}
		for _, d := range all {
			for _, c := range d.Controls {
				if d.Path == "/dev/video0" && c.Name == "brightness" {
					return c.Value
				}
			}
		}
		t.Fatalf("the camera has no brightness: %+v", all)
		return 0
	}
	v.until("document.querySelector(%q)?.getBoundingClientRect().width", setupButton) // it is known what the camera has
	v.press("c")
	v.until("document.querySelector(%q)", setupPanel)
	v.until("%s?.value === '%d'", field("Brightness"), brightness())
	v.enter("Brightness", "200")
	eventually(t, "the driver has the brightness", func() bool { return brightness() == 200 })

	v.press("c") // closed and opened, the panel asks anew
	v.until("document.querySelector('#setup').hidden")
	v.press("c")
	v.until("%s?.value === '200'", field("Brightness"))
	js[chromedp.Void](v, "document.querySelector('#setup > .button').scrollIntoView()")
	v.click("#setup > .button")
	eventually(t, "the driver's brightness is as it came", func() bool { return brightness() != 200 })
	v.until("%s?.value === '%d'", field("Brightness"), brightness())
}
