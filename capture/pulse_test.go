package capture

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// pulse is a PulseAudio of the test's own, without devices but those that are
// asked for. PULSE_SERVER leads to it until the test ends.
type pulse struct {
	t      testing.TB
	server *os.Process
}

func startPulse(t *testing.T) *pulse {
	t.Helper()
	path, err := exec.LookPath("pulseaudio")
	if err != nil {
		t.Skip("SKIPPED: there is no pulseaudio here to play and record with; `make deps-test` installs it")
	}
	dir, err := os.MkdirTemp("", "pulse") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "native")
	for _, name := range []string{"HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "PULSE_RUNTIME_PATH"} {
		t.Setenv(name, dir)
	}
	cmd := exec.Command(path, "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes", "--realtime=no", "--high-priority=no",
		"-L", "module-native-protocol-unix auth-anonymous=1 socket="+socket)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
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
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("pulseaudio does not begin: %s", said.String())
		}
	}
	t.Setenv("PULSE_SERVER", "unix:"+socket)
	return &pulse{t, cmd.Process}
}

// do is pactl; for load-module it returns the module.
func (p *pulse) do(args ...string) string {
	p.t.Helper()
	out, err := exec.Command("pactl", args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("pactl %q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// microphone plugs one in that hears a tone, and returns how to pull it out.
func (p *pulse) microphone(name string, hz int) (unplug func()) {
	p.t.Helper()
	room := name + "-room"
	if !strings.Contains(p.do("list", "short", "sinks"), room) {
		p.do("load-module", "module-null-sink", "sink_name="+room)
		p.do("load-module", "module-sine", "sink="+room, fmt.Sprint("frequency=", hz))
	}
	module := p.do("load-module", "module-remap-source", "source_name="+name, "master="+room+".monitor")
	return func() { p.do("unload-module", module) }
}

// hear reads until a tone of hz has been heard for a fifth of a second, and
// returns how long that took; hz 0 is silence.
func hear(t *testing.T, r AudioReader, hz float64) time.Duration {
	t.Helper()
	began := time.Now()
	var last []int16
	for time.Since(began) < 2*time.Minute {
		s, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(s.PCM); i += s.Channels {
			last = append(last, s.PCM[i])
		}
		if n := s.Rate / 5; len(last) >= n {
			last = last[len(last)-n:]
			silent := !slices.ContainsFunc(last, func(v int16) bool { return v != 0 })
			if hz == 0 && silent || hz > 0 && !silent && math.Abs(frequency(last, s.Rate)-hz) < 0.01*hz {
				return time.Since(began)
			}
		}
	}
	t.Fatalf("%.0f Hz were not heard in two minutes", hz)
	return 0
}

func TestPulseToneOfAnyFormat(t *testing.T) {
	p := startPulse(t)
	for _, format := range []string{
		"format=u8 rate=48000 channels=1", "format=s16le rate=44100 channels=2", "format=s24le rate=96000 channels=2",
		"format=s32le rate=48000 channels=1", "format=float32le rate=16000 channels=4", "format=s16le rate=32000 channels=6",
	} {
		t.Run(format, func(t *testing.T) {
			sink := p.do(append([]string{"load-module", "module-null-sink", "sink_name=played"}, strings.Fields(format)...)...)
			tone := p.do("load-module", "module-sine", "sink=played", "frequency=1000")
			defer p.do("unload-module", sink)
			defer p.do("unload-module", tone)
			r := openSteady(t, "played.monitor") // that gets over a server which hangs on a busy machine
			defer r.Close()
			t.Logf("heard after %v", hear(t, r, 1000))
			best := math.Inf(1)
			for began := time.Now(); best > 0.01 && time.Since(began) < 2*time.Minute; {
				pcm, rate := stretch(t, r)
				if !strings.Contains(format, fmt.Sprintf("rate=%d ", rate)) {
					t.Fatalf("comes at %d Hz: converted on the way", rate)
				}
				best = min(best, distortion(pcm, rate, 1000))
			}
			t.Logf("THD+N %.3f %%", 100*best)
			if best > 0.01 {
				t.Errorf("THD+N is %.2f %%", 100*best)
			}
		})
	}
}

// stretch reads 50 ms, which is short enough to come without a gap now and then
// on a machine that does other things; the first channel of it.
func stretch(t *testing.T, r AudioReader) (pcm []int16, rate int) {
	t.Helper()
	for rate == 0 || len(pcm) < rate/20 {
		s, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		rate = s.Rate
		for i := 0; i < len(s.PCM); i += s.Channels {
			pcm = append(pcm, s.PCM[i])
		}
	}
	return pcm, rate
}

// distortion is what is not the tone, as a part of it; the tone's exact pitch
// is looked for.
func distortion(pcm []int16, rate int, hz float64) float64 {
	best := math.Inf(1)
	for try := 0.9995 * hz; try < 1.0005*hz; try += 0.00005 * hz {
		var ss, cc, sc, sv, cv, vv float64
		for i, v := range pcm {
			sin, cos := math.Sincos(2 * math.Pi * try * float64(i) / float64(rate))
			x := float64(v)
			ss, cc, sc, sv, cv, vv = ss+sin*sin, cc+cos*cos, sc+sin*cos, sv+sin*x, cv+cos*x, vv+x*x
		}
		det := ss*cc - sc*sc
		a, b := (sv*cc-cv*sc)/det, (cv*ss-sv*sc)/det
		tone := a*sv + b*cv // its energy
		if tone > 0 {       // else there is only silence
			best = min(best, math.Sqrt(max(0, vv-tone)/tone))
		}
	}
	return best
}

func TestPulseMicrophonesComeBeforeMonitors(t *testing.T) {
	p := startPulse(t)
	p.do("load-module", "module-null-sink", "sink_name=aaa")
	defer p.microphone("zzz", 440)()
	p.microphone("main", 440)
	p.do("set-default-source", "main")
	all, err := listMicrophones(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, d := range all {
		ids = append(ids, d.ID)
		if d.Err != "" || len(d.Rates) == 0 || len(d.Channels) == 0 {
			t.Errorf("%+v", d)
		}
	}
	if want := []string{"main", "zzz", "aaa.monitor", "main-room.monitor", "zzz-room.monitor"}; len(ids) != 5 || !slices.Equal(ids[:2], want[:2]) || !all[0].Default {
		t.Errorf("listed are %q, want %q", ids, want)
	}
}

func TestPulseKeepsTheContract(t *testing.T) {
	p := startPulse(t)
	p.microphone("one", 500)
	src, err := newMicrophone("one", Options{})
	if err != nil {
		t.Fatal(err)
	}
	audioContract(t, src, true)
	audioContract(t, NewSound(src, SoundOptions{}), true)
}

func TestPulseDefaultIsFollowed(t *testing.T) {
	p := startPulse(t)
	p.microphone("one", 500)
	unplug := p.microphone("two", 900)
	p.do("set-default-source", "one")
	r := openSteady(t, autoDevice)
	hear(t, r, 500)
	p.do("set-default-source", "two")
	t.Logf("another default is heard after %v", hear(t, r, 900))
	unplug()
	t.Logf("with that unplugged the first is heard after %v", hear(t, r, 500))
}

func TestPulseUnplugged(t *testing.T) {
	p := startPulse(t)
	p.microphone("other", 500)
	unplug := p.microphone("mine", 900)
	r := openSteady(t, "mine")
	hear(t, r, 900)
	unplug()
	t.Logf("silent after %v", hear(t, r, 0)) // and never the other one
	p.microphone("mine", 900)
	t.Logf("back after %v", hear(t, r, 900))
}

func openSteady(t *testing.T, spec string) AudioReader {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := newMicrophone(spec, Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewSound(s, SoundOptions{Log: log}).Open(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}
