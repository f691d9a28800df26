package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startPulse starts a PulseAudio of the test's own, to which PULSE_SERVER leads
// until the test ends. do is pactl.
func startPulse(t testing.TB) (server *os.Process, do func(args ...string) string) {
	t.Helper()
	path, err := exec.LookPath("pulseaudio")
	if err != nil {
		t.Skip("SKIPPED: there is no pulseaudio here to play with; `make deps-test` installs it")
	}
	dir, err := os.MkdirTemp("", "pulse") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "native")
	cmd := exec.Command(path, "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes", "--realtime=no",
		"-L", "module-native-protocol-unix auth-anonymous=1 socket="+socket)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "PULSE_RUNTIME_PATH="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	eventually(t, "pulseaudio begins", func() bool { _, err := os.Stat(socket); return err == nil })
	t.Setenv("PULSE_SERVER", "unix:"+socket)
	return cmd.Process, func(args ...string) string {
		t.Helper()
		out, err := exec.Command("pactl", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("pactl %q: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
}

// plugTone plugs in a microphone, ear, that hears 1 kHz.
func plugTone(pactl func(args ...string) string) {
	pactl("load-module", "module-null-sink", "sink_name=room")
	pactl("load-module", "module-sine", "sink=room", "frequency=1000")
	pactl("load-module", "module-remap-source", "source_name=ear", "master=room.monitor")
}

// toneVariable says for how long the tone is listened to, as in 10m: then not
// a moment of it may be missing, neither in the browser nor in what is sent.
// Without, ten seconds are, of which some may.
const toneVariable = "PEERCAM_TEST_TONE"

// TestAToneGoesThroughTheMicrophone plays 1 kHz, and listens in the browser.
func TestAToneGoesThroughTheMicrophone(t *testing.T) {
	_, pactl := startPulse(t)
	plugTone(pactl)
	listen, strict := 10*time.Second, false
	if long, err := time.ParseDuration(os.Getenv(toneVariable)); err == nil {
		listen, strict = long, true
	}
	l := newLipsyncer(t, "--mic", "ear")
	l.heard(0.2, 1)
	sent := func() []int16 { return nil }
	if strict {
		sent = recordSent(t, l.program.first, listen)
	}
	best, pitch := math.Inf(1), 0.0
	gaps, moments := 0, 0
	concealed := func() float64 {
		return js[float64](l.view, "probe.inbound('audio').then((r) => r.concealedSamples)")
	}
	before := concealed()
	for begun := time.Now(); time.Since(begun) < listen; {
		pcm := l.record(5)
		quarter := len(pcm) / 20
		for i := quarter; i+quarter <= len(pcm); i += quarter { // without the recorder's own beginning
			if d, hz := distortion(pcm[i:i+quarter], 1000); d < best {
				best, pitch = d, hz
			}
		}
		more, of := silent(pcm[quarter:])
		gaps, moments = gaps+more, moments+of
	}
	lost, of := silent(sent())
	t.Logf("of what was sent %d of %d moments of 10 ms are silent", lost, of)
	t.Logf("%.3f Hz, THD+N %.2f %%; %d of %d moments of 10 ms silent, %.0f samples concealed", pitch, 100*best, gaps, moments, concealed()-before)
	if math.Abs(pitch-1000) > 1 {
		t.Errorf("1000 Hz became %.2f Hz", pitch)
	}
	// On a busy machine the browser stretches the sound, which bends the tone.
	if limit := map[bool]float64{true: 0.01, false: 0.03}[strict]; best > limit {
		t.Errorf("THD+N is %.2f %%", 100*best)
	}
	if strict && gaps > 0 || gaps > moments/2 {
		t.Errorf("%d of %d moments are silent", gaps, moments)
	}
	if lost > 0 {
		t.Errorf("of what was sent %d of %d moments are silent", lost, of)
	}
}

// silent counts the moments of 10 ms of a tone that are missing.
func silent(pcm []int16) (gaps, moments int) {
	tone := peak(pcm)
	for ; len(pcm) >= 480; pcm = pcm[480:] {
		moments++
		if peak(pcm[:480]) < 0.5*tone {
			gaps++
		}
	}
	return gaps, moments
}

// recordSent has peercam itself watch for so long; wait is the sound it heard
// but for the first second, at 48 kHz.
func recordSent(t *testing.T, link string, d time.Duration) (wait func() []int16) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sent.ogg")
	var log transcript
	code := make(chan int, 1)
	go func() {
		code <- run(context.Background(), []string{"view", link, "--record", path, "--seconds", fmt.Sprint(d.Seconds())},
			environment{stdin: strings.NewReader(""), stdout: &log, stderr: &log})
	}()
	return func() []int16 {
		t.Helper()
		if got := <-code; got != exitDone {
			t.Fatalf("view ended with code %d: %s", got, log.String())
		}
		raw := ffmpeg(t, "ffmpeg", "-i", path, "-f", "s16le", "-ac", "1", "-ar", "48000", "-")
		return samples(raw)[48000:]
	}
}

// record is what the page gives in so many seconds, at 48 kHz.
func (l *lipsyncer) record(seconds int) []int16 {
	l.t.Helper()
	raw, err := base64.StdEncoding.DecodeString(js[string](l.view, "lipsync.record(%d)", seconds))
	if err != nil {
		l.t.Fatal(err)
	}
	return samples(raw)
}

// samples are those of signed 16 bit little endian.
func samples(raw []byte) []int16 {
	pcm := make([]int16, len(raw)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(raw[2*i:])) //nolint:gosec // as it was
	}
	return pcm
}

func peak(pcm []int16) (most float64) {
	for _, v := range pcm {
		most = max(most, math.Abs(float64(v)))
	}
	return most
}

// distortion is what is not a tone near hz, as a part of it, and the tone's pitch.
func distortion(pcm []int16, hz float64) (best, pitch float64) {
	best = math.Inf(1)
	for try := 0.999 * hz; try < 1.001*hz; try += 0.00005 * hz {
		var ss, cc, sc, sv, cv, vv float64
		for i, v := range pcm {
			sin, cos := math.Sincos(2 * math.Pi * try * float64(i) / 48000)
			x := float64(v)
			ss, cc, sc, sv, cv, vv = ss+sin*sin, cc+cos*cos, sc+sin*cos, sv+sin*x, cv+cos*x, vv+x*x
		}
		det := ss*cc - sc*sc
		tone := ((sv*cc-cv*sc)*sv + (cv*ss-sv*sc)*cv) / det // its energy
		if d := math.Sqrt(max(0, vv-tone) / tone); d < best {
			best, pitch = d, try
		}
	}
	return best, pitch
}
