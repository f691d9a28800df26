package main

import (
	"bytes"
	"image/jpeg"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// byTheServer fails a test if the picture does not come by the relay.
func byTheServer(t *testing.T, camera *process) {
	t.Helper()
	_, path, _ := strings.Cut(camera.stderr.String(), "viewer connected")
	if path, _, _ = strings.Cut(path, "\n"); !strings.Contains(path, publicIP) {
		t.Errorf("the picture does not come by the server: %s", path)
	}
}

// Nobody lets UDP through, and TCP to port 443 only, where all is TLS.
func TestPictureWhereOnlyHTTPSPasses(t *testing.T) {
	w := newInternet(t)
	cert, key := goodCert(t, t.TempDir(), publicIP)
	for home := range w.routers {
		w.blockUDP(t, home)
		w.must(t, w.routers[home].within(func() error {
			return nft(`
				table ip nat {
					chain onlyhttps { type filter hook forward priority -1; iifname "lan" tcp dport != 443 drop; }
				}`)
		}))
	}
	w.server.spawn(t, "serve", "--listen", publicIP+":443", "--turn", publicIP+":3478", "--tls-cert", cert, "--tls-key", key)
	t.Setenv("SSL_CERT_FILE", cert) // of the camera's process
	camera := w.camera.spawn(t, append([]string{"share", "--camera", "test", "--mic", "test", "--room", "kitchen",
		"--key-file", filepath.Join(t.TempDir(), "key"), "--signal", "wss://" + publicIP}, small...)...)
	v := openIn(t, w.viewer.browser(t, chromedp.Flag("ignore-certificate-errors", true)), camera.first)
	v.live()
	byTheServer(t, camera)
}

func TestViewAcrossTwoSymmetricNATs(t *testing.T) {
	w := newInternet(t)
	w.server.spawn(t, "serve", "--listen", publicIP+":443", "--turn", publicIP+":3478")
	camera := w.camera.spawn(t, append([]string{"share", "--camera", "test", "--mic", "test", "--room", "kitchen",
		"--key-file", filepath.Join(t.TempDir(), "key"), "--signal", "ws://" + publicIP + ":443"}, small...)...)
	path, err := peercamBinary()
	if err != nil {
		t.Fatal(err)
	}
	var out, said bytes.Buffer
	cmd := exec.Command(path, "view", camera.first, "--snapshot", "-")
	cmd.Stdout, cmd.Stderr = &out, &said
	w.must(t, w.viewer.within(cmd.Start))
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	if picture, err := jpeg.Decode(&out); err != nil || picture.Bounds().Dx() != 640 {
		t.Errorf("the snapshot: %v", err)
	}
	byTheServer(t, camera)
}

// The page has lost its camera, and the server that it came from.
func TestThePageComesBackAfterAPowerCut(t *testing.T) {
	w := newRoaming(t)
	args := append([]string{"share", "--camera", "test", "--mic", "test", "--room", "kitchen", "--no-stun", "--udp-port", "8189",
		"--key-file", filepath.Join(t.TempDir(), "key")}, small...)
	camera := w.camera.spawn(t, args...)
	v := openIn(t, w.viewer.browser(t), camera.first)
	v.live()
	for range 2 {
		camera.signal(syscall.SIGKILL)
		v.until("document.documentElement.dataset.state !== 'live'")
		at := time.Now()
		camera = w.camera.spawn(t, args...)
		v.state("live")
		v.since(at)
		t.Logf("picture %v after the start", time.Since(at).Round(time.Millisecond))
	}
	if n := js[int](v, "document.querySelectorAll('video').length"); n != 1 {
		t.Errorf("%d pictures of one camera", n)
	}
}
