package main

import (
	"context"
	_ "embed"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/peercam/peercam/capture"
)

// lipsyncScript is the instrument: see there for what it measures.
//
//go:embed testdata/lipsync.js
var lipsyncScript string

// BenchmarkLipSync measures in Chromium how far the test source's beep is
// behind its flash (lag-ms: positive when the sound is late).
//
// A flash is dated by the barcode of its frame, so neither the frame rate nor
// a lost frame costs precision; on the screen it is at the frame's expected
// display time, in a headless browser up to one refresh (16.7 ms) after it was
// handed over. A beep is dated where it leaves the browser for good: Chromium
// plays into PulseAudio, whose sink is recorded, to 5 ms.
//
// by-web-audio-ms is what a page would find that listens through Web Audio: that
// buffers 30 to 45 ms between the jitter buffer and the page, which somebody who
// just plays the video does without. believed-ms is what the browser itself
// reckons from RTCP, at the end.
func BenchmarkLipSync(b *testing.B) {
	const look = 12 * time.Second
	for _, c := range []struct {
		name   string
		loss   float64                      // while it is measured
		before func(*testing.B, *lipsyncer) // it is measured
		camera string
	}{
		{name: "clean"},
		{name: "loss=5%", loss: 0.05},
		{name: "after-loss", before: func(_ *testing.B, l *lipsyncer) {
			l.relay.lose(0.2)
			pause(look)
			l.relay.lose(0)
			pause(settle)
		}},
		{name: "after-replug", camera: "exec:" + testCamera(b, 8*time.Second), before: func(b *testing.B, l *lipsyncer) {
			eventually(b, "the camera came back", func() bool { return strings.Count(l.program.stderr.String(), "the picture is there") > 0 })
			pause(settle)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			args := []string{"--fps", "30"}
			if c.camera != "" {
				args = append(args, "--camera", c.camera)
			}
			_, pactl := startPulse(b)
			pactl("load-module", "module-null-sink", "sink_name=loudspeaker", "rate=48000", "channels=1")
			pactl("set-default-sink", "loudspeaker")
			ctx, stop, err := launch(chromedp.Flag("mute-audio", false), chromedp.Env("PULSE_SERVER="+os.Getenv("PULSE_SERVER")))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(stop)
			l := lipsyncIn(b, openIn(b, ctx, "about:blank"), args...)
			if c.before != nil {
				c.before(b, l)
			}
			l.relay.lose(c.loss)
			pause(2 * settle) // browsers bring the two together by some 80 ms a second
			beeps := recordBeeps(b, look)
			flashes, byWebAudio := l.watch(look)
			seen := lags(flashes, <-beeps)
			b.Logf("%.0f", seen)
			if len(seen) == 0 || len(byWebAudio) == 0 {
				b.Fatal("no flash and beep were seen together")
			}
			m := median(seen)
			spread := 0.0
			for _, lag := range seen {
				spread = math.Max(spread, math.Abs(lag-m))
			}
			told := js[struct{ Lag, AudioBuffer, VideoBuffer float64 }](l.view, "lipsync.believed()")
			report(b, m, "lag-ms")
			report(b, spread, "spread-ms")
			report(b, median(lags(flashes, byWebAudio)), "by-web-audio-ms")
			report(b, told.Lag, "believed-ms")
			report(b, told.AudioBuffer, "sound-buffer-ms")
			report(b, told.VideoBuffer, "picture-buffer-ms")
			report(b, float64(len(seen)), "beeps")
		})
	}
}

// lipsyncer watches a program's test picture and sound through a relay.
type lipsyncer struct {
	*view
	program *program
	relay   *relay
}

func newLipsyncer(t testing.TB, args ...string) *lipsyncer {
	t.Helper()
	return lipsyncIn(t, open(t, "about:blank"), args...)
}

// lipsyncIn uses a tab that is there.
func lipsyncIn(t testing.TB, v *view, args ...string) *lipsyncer {
	t.Helper()
	l := &lipsyncer{view: v, program: share(t, args...), relay: newRelay(t)}
	if _, err := chromedp.Call(l.ctx, page.SetBypassCSP, page.SetBypassCSPParams{Enabled: true}); err != nil { // for the worklet
		t.Fatal(err)
	}
	script := "{ const useRelay = true;\n" + lipsyncScript + "}"
	if _, err := chromedp.Call(l.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script}); err != nil {
		t.Fatal(err)
	}
	l.goTo(l.program.first)
	l.until("lipsync.camera")
	js[bool](l.view, "lipsync.relay(%d) ?? true", l.relay.serve(js[string](l.view, "lipsync.camera")))
	l.state("live")
	l.click(soundButton) // which also allows the instrument to listen
	l.until("!document.querySelector('video').muted")
	return l
}

// watch returns when each second's flash began to be on the screen, by second,
// and when beeps began: Unix milliseconds, by the browser's clock.
func (l *lipsyncer) watch(d time.Duration) (flashes map[float64]float64, beeps []float64) {
	l.t.Helper()
	seen := js[struct {
		Flashes []struct{ Taken, Shown float64 }
		Beeps   []float64
		Latency float64
	}](l.view, "lipsync.watch(%d)", d.Milliseconds())
	frames := map[float64][]float64{}
	for _, f := range seen.Flashes {
		second := math.Floor(f.Taken / 1000)
		// The flash's first frame may be lost: reckon back from any of it.
		frames[second] = append(frames[second], f.Shown-(f.Taken-1000*second))
	}
	flashes = map[float64]float64{}
	for second, shown := range frames {
		flashes[second] = median(shown)
	}
	l.t.Logf("%d flashes, %d beeps, output latency %.0f ms", len(flashes), len(seen.Beeps), 1000*seen.Latency)
	return flashes, seen.Beeps
}

// lags returns for each beep how far it was behind its flash, in ms, in time.
func lags(flashes map[float64]float64, beeps []float64) (all []float64) {
	for _, beep := range beeps {
		for _, flash := range flashes {
			if lag := beep - flash; math.Abs(lag) < 500 {
				all = append(all, lag)
			}
		}
	}
	return all
}

// recordBeeps records the loudspeaker for so long, and tells when beeps began:
// Unix milliseconds. The recording's beginning is reckoned from the piece that
// came with the least delay; the sink's clock is the system's.
func recordBeeps(b *testing.B, d time.Duration) <-chan []float64 {
	cmd := exec.Command("parec", "-d", "loudspeaker.monitor", "--latency-msec=5", "--format=s16le", "--rate=48000", "--channels=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	found := make(chan []float64, 1)
	go func() {
		var onsets []int
		samples, quiet := 0, 0
		begun := math.Inf(1) // of the recording
		buf := make([]byte, 4800)
		for end := time.Now().Add(d); time.Now().Before(end); {
			n, err := out.Read(buf)
			if err != nil {
				break
			}
			for i := 0; i+1 < n; i += 2 {
				v := int16(binary.LittleEndian.Uint16(buf[i:])) //nolint:gosec // as it was
				if v > -655 && v < 655 {
					quiet++
				} else {
					if quiet > 48000*3/10 {
						onsets = append(onsets, samples)
					}
					quiet = 0
				}
				samples++
			}
			begun = math.Min(begun, float64(time.Now().UnixMicro())/1000-float64(samples)/48)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		var beeps []float64
		for _, at := range onsets {
			beeps = append(beeps, begun+float64(at)/48)
		}
		found <- beeps
	}()
	return found
}

// relay is a UDP path between browsers and a camera that loses packets.
type relay struct {
	t      testing.TB
	front  *net.UDPConn // where browsers send to
	chance atomic.Uint64
	wait   sync.WaitGroup

	mu    sync.Mutex
	backs map[string]*net.UDPConn // to the camera, by browser
}

func newRelay(t testing.TB) *relay {
	t.Helper()
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{t: t, front: front, backs: map[string]*net.UDPConn{}}
	t.Cleanup(func() {
		front.Close()
		r.mu.Lock()
		for _, back := range r.backs {
			back.Close()
		}
		r.mu.Unlock()
		r.wait.Wait()
	})
	return r
}

// lose loses that part of the packets from now on, either way.
func (r *relay) lose(chance float64) { r.chance.Store(math.Float64bits(chance)) }

func (r *relay) lost() bool { return rand.Float64() < math.Float64frombits(r.chance.Load()) }

// serve leads to the camera at addr, and returns the port for browsers.
func (r *relay) serve(addr string) (port int) {
	r.t.Helper()
	camera, err := net.ResolveUDPAddr("udp4", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.wait.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := r.front.ReadFromUDP(b)
			if err != nil {
				return
			}
			if back := r.back(from, camera); back != nil && !r.lost() {
				_, _ = back.Write(b[:n]) // lost, if so
			}
		}
	})
	return r.front.LocalAddr().(*net.UDPAddr).Port
}

// back is the socket that stands for a browser before the camera.
func (r *relay) back(browser, camera *net.UDPAddr) *net.UDPConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if back := r.backs[browser.String()]; back != nil {
		return back
	}
	back, err := net.DialUDP("udp4", nil, camera)
	if err != nil {
		return nil
	}
	r.backs[browser.String()] = back
	r.wait.Go(func() {
		b := make([]byte, 2048)
		for {
			n, err := back.Read(b)
			if err != nil {
				return
			}
			if !r.lost() {
				_, _ = r.front.WriteToUDP(b[:n], browser)
			}
		}
	})
	return back
}

// cameraVariable tells this program to be a camera: for how long.
const cameraVariable = "PEERCAM_TEST_CAMERA"

// testCamera is a command that films the test picture for so long, and then
// has been unplugged.
func testCamera(t testing.TB, d time.Duration) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s=%v '%s'", cameraVariable, d, self)
}

// cameraMain is the process that testCamera starts; in others it returns.
func cameraMain() {
	d, err := time.ParseDuration(os.Getenv(cameraVariable))
	if err != nil {
		return
	}
	if err := filmTest(d); err != nil {
		fmt.Fprintln(os.Stderr, "camera:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func filmTest(d time.Duration) error {
	source, err := capture.ParseVideo("test", capture.Options{})
	if err != nil {
		return err
	}
	const fps = 30
	r, err := source.Open(context.Background(), capture.Format{Width: 640, Height: 360, FPS: fps})
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := fmt.Printf("YUV4MPEG2 W640 H360 F%d:1 Ip A1:1 C420\n", fps); err != nil {
		return err
	}
	for begun := time.Now(); time.Since(begun) < d; {
		f, err := r.Read()
		if err != nil {
			return err
		}
		frame := []byte("FRAME\n")
		for _, plane := range []struct {
			pix           []byte
			stride, width int
		}{{f.Y, f.YStride, 640}, {f.Cb, f.CStride, 320}, {f.Cr, f.CStride, 320}} {
			for y := range len(plane.pix) / plane.stride {
				frame = append(frame, plane.pix[y*plane.stride:][:plane.width]...)
			}
		}
		f.Release()
		if _, err := os.Stdout.Write(frame); err != nil {
			return err
		}
	}
	return nil
}
