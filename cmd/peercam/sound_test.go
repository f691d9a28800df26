package main

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
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
// a moment of it may be missing. Without, ten seconds are, of which some may.
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
		for i := quarter; i+480 <= len(pcm); i += 480 {
			moments++
			if peak(pcm[i:i+480]) < 0.5*peak(pcm) {
				gaps++
			}
		}
	}
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
}

// record is what the page gives in so many seconds, at 48 kHz.
func (l *lipsyncer) record(seconds int) []int16 {
	l.t.Helper()
	raw, err := base64.StdEncoding.DecodeString(js[string](l.view, "lipsync.record(%d)", seconds))
	if err != nil {
		l.t.Fatal(err)
	}
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

// BenchmarkLipSyncAtTheLoudspeaker measures the beep where it leaves the
// browser for good: Chromium plays into PulseAudio, whose sink is recorded.
// Beside it what Web Audio would say, for the instrument's own bias.
func BenchmarkLipSyncAtTheLoudspeaker(b *testing.B) {
	_, pactl := startPulse(b)
	pactl("load-module", "module-null-sink", "sink_name=loudspeaker", "rate=48000", "channels=1")
	pactl("set-default-sink", "loudspeaker")
	ctx, stop, err := launch(chromedp.Flag("mute-audio", false), chromedp.Env("PULSE_SERVER="+os.Getenv("PULSE_SERVER")))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(stop)
	l := lipsyncIn(b, openIn(b, ctx, "about:blank"), "--fps", "30")
	const look = 12 * time.Second
	pause(2 * settle)
	beeps := recordBeeps(b, look)
	flashes, byWebAudio := l.watch(look)
	atLoudspeaker := lags(flashes, <-beeps)
	if len(atLoudspeaker) == 0 || len(byWebAudio) == 0 {
		b.Fatal("no flash and beep were seen together")
	}
	b.Logf("%.0f", atLoudspeaker)
	report(b, median(atLoudspeaker), "lag-ms")
	report(b, median(lags(flashes, byWebAudio)), "by-web-audio-ms")
	report(b, js[struct{ Lag float64 }](l.view, "lipsync.believed()").Lag, "believed-ms")
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
