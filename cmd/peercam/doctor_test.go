package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/peercam/peercam/capture"
	"github.com/peercam/peercam/signaling"
)

// soundDoctor is a doctor's command line under which all is well on any machine.
func soundDoctor(t *testing.T, args ...string) []string {
	return append([]string{"doctor", "--camera", "test", "--mic", "test", "--size", "320x180", "--fps", "5",
		"--listen", "127.0.0.1:0", "--key-file", filepath.Join(t.TempDir(), "key"), "--no-stun"}, args...)
}

type diagnosed struct {
	OK     bool      `json:"ok"`
	Checks []finding `json:"checks"`
}

// diagnose runs the doctor and returns what it says as JSON.
func diagnose(t *testing.T, args ...string) (code int, d diagnosed) {
	t.Helper()
	code, stdout, stderr := runToEnd(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	if problems, _ := (diagnosis{Checks: d.Checks}).count(); d.OK != (problems == 0) || (code == exitDone) != d.OK {
		t.Errorf("code %d, ok %v, %d problems", code, d.OK, problems)
	}
	return code, d
}

func (d diagnosed) named(t *testing.T, name string) finding {
	t.Helper()
	i := slices.IndexFunc(d.Checks, func(f finding) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("there is no check %q in %+v", name, d.Checks)
	}
	return d.Checks[i]
}

// says fails the test if a finding has another verdict, lacks a word, or names
// no remedy for what is not well.
func (f finding) says(t *testing.T, v verdict, words ...string) {
	t.Helper()
	all := strings.Join(append([]string{f.Summary, f.Remedy}, f.Details...), "\n")
	if f.Verdict != v {
		t.Errorf("%s is %q, want %q: %s", f.Name, f.Verdict, v, all)
	}
	for _, w := range words {
		if !strings.Contains(all, w) {
			t.Errorf("%s does not say %q, but: %s", f.Name, w, all)
		}
	}
	if (f.Remedy == "") != (f.Verdict == fine) {
		t.Errorf("%s is %q with the remedy %q", f.Name, f.Verdict, f.Remedy)
	}
	if strings.Contains(f.Remedy, "\n") {
		t.Errorf("the remedy has several lines: %q", f.Remedy)
	}
}

func TestDoctorOfAHealthyMachine(t *testing.T) {
	args := soundDoctor(t)
	code, stdout, stderr := runToEnd(t, args...)
	if code != exitDone || strings.Contains(stdout, "✗") {
		t.Errorf("code %d: %s%s", code, stdout, stderr)
	}
	for _, word := range []string{"camera", "test: 320x180 at 5 fps", "sound arrives", "VP8 by libvpx", "% of one core", "will be made", "is free", "peercam " + version} {
		if !strings.Contains(stdout, word) {
			t.Errorf("it does not say %q:\n%s", word, stdout)
		}
	}
	if strings.Contains(stdout, "\x1b") {
		t.Errorf("colours where no terminal is: %q", stdout)
	}
	if _, err := os.Stat(args[slices.Index(args, "--key-file")+1]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the doctor made a key: %v", err)
	}
	_, d := diagnose(t, args...)
	for _, name := range []string{"camera", "microphone", "codecs", "speed", "key", "port", "addresses", "outside", "clock"} {
		if f := d.named(t, name); f.Verdict == problem || f.Summary == "" {
			t.Errorf("%+v", f)
		}
	}
}

func TestDoctorFindsWhatBlocks(t *testing.T) {
	dir := t.TempDir()
	key := write(t, "key", []byte("no key\n"))
	nobody := "ws://" + freeAddr(t)
	page := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(page.Close)
	for _, c := range []struct {
		args, check string
		words       []string
	}{
		{"--camera nosuchcamera", "camera", []string{"camera"}},
		{"--camera none", "camera", []string{"--camera test"}},
		{"--camera file:/no/such.y4m", "camera", []string{"/no/such.y4m", "--camera"}},
		{"--camera exec:false", "camera", []string{"false"}},
		{"--mic file:/no/such.wav", "microphone", []string{"/no/such.wav"}},
		{"--mic nosuchmic", "microphone", []string{"--mic"}},
		{"--key-file " + key, "key", []string{key, "holds no key"}},
		{"--key-file " + dir, "key", []string{dir}},
		{"--listen 192.0.2.77:0", "port", []string{"192.0.2.77", "--listen"}},
		{"--listen nonsense", "port", []string{"nonsense", "HOST:PORT"}},
		{"--signal " + nobody, "server", []string{nobody, "firewall"}},
		{"--signal ftp://example.org", "server", []string{"ftp://example.org"}},
		{"--signal " + page.URL, "server", []string{"404"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			code, d := diagnose(t, soundDoctor(t, strings.Fields(c.args)...)...)
			if code != exitFailed {
				t.Errorf("code %d", code)
			}
			d.named(t, c.check).says(t, problem, c.words...)
		})
	}
}

func TestDoctorRefusesBadFlags(t *testing.T) {
	for args, word := range map[string]string{
		"--fps nan": "--fps", "--size big": `"big"`, "--ice-server http://example.org": "http://example.org", "--ice-server turn:example.org": "--ice-username",
		"--ice-server stun:example.org:high": "stun:example.org:high",
	} {
		if code, stdout, stderr := runToEnd(t, soundDoctor(t, strings.Fields(args)...)...); code != exitUsage || stdout != "" || !strings.Contains(stderr, word) {
			t.Errorf("%s: code %d, %s%s", args, code, stdout, stderr)
		}
	}
}

func TestDoctorNamesWhoHasThePort(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("LOUD: not tried, only Linux tells who has a port")
	}
	addr := freeAddr(t)
	p := spawn(t, nil, "serve", "--listen", addr)
	_, d := diagnose(t, soundDoctor(t, "--listen", addr)...)
	d.named(t, "port").says(t, problem, addr, "peercam", fmt.Sprint(p.cmd.Process.Pid))
}

func TestDoctorAsksTheServer(t *testing.T) {
	s := start(t, environment{}, "serve", "--listen", "127.0.0.1:0", "--ice-server", "stun:stun.example.org")
	code, d := diagnose(t, soundDoctor(t, "--signal", s.ws())...)
	if code != exitDone {
		t.Errorf("code %d", code)
	}
	d.named(t, "server").says(t, fine, s.ws()+" answers", "stun:stun.example.org")
}

func TestDoctorJudgesServers(t *testing.T) {
	for _, c := range []struct {
		answer signaling.Message
		err    error
		want   verdict
		word   string
	}{
		{signaling.Message{Type: signaling.TypeWelcome}, nil, fine, "answers"},
		{signaling.Message{Type: signaling.TypeError, Code: signaling.CodeVersion, Message: "speaks version 2"}, nil, problem, "speaks version 2"},
		{signaling.Message{Type: signaling.TypeError, Code: "\x1b[1m", Message: "\u009b2J\x1b[2J"}, nil, problem, `\x1b[2J`},
		{signaling.Message{Type: "hello"}, nil, problem, `"hello"`},
		{signaling.Message{}, signaling.ErrClosed, problem, "did not answer"},
	} {
		serverFinding("ws://example.org", c.answer, c.err).says(t, c.want, c.word, "ws://example.org")
	}
}

// A server that signed its certificate itself is known by its fingerprint.
func TestDoctorTrustsAFingerprint(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	server := start(t, environment{}, "serve", "--listen", "127.0.0.1:0", "--tls-self-signed")
	_, said, _ := strings.Cut(server.stderr.String(), "fingerprint=")
	fingerprint, _, _ := strings.Cut(said, " ")
	_, d := diagnose(t, soundDoctor(t, "--signal", server.ws(), "--signal-fingerprint", fingerprint)...)
	if f := d.named(t, "server"); f.Verdict != fine {
		t.Errorf("with its fingerprint: %+v", f)
	}
	_, d = diagnose(t, soundDoctor(t, "--signal", server.ws())...)
	if f := d.named(t, "server"); f.Verdict != problem {
		t.Errorf("without: %+v", f)
	}
}

func TestDoctorJudgesCameras(t *testing.T) {
	want := capture.Format{Width: 1280, Height: 720, FPS: 30}
	webcam := capture.Device{Kind: capture.KindCamera, Name: "Webcam", Path: "/dev/video0", Formats: []capture.DeviceFormat{
		{PixelFormat: "YUYV", Width: 1280, Height: 720, FPS: []float64{10}}, {PixelFormat: "YUYV", Width: 640, Height: 480, FPS: []float64{30, 15}}}}
	gives := func(w, h int, fps float64) trial {
		return trial{name: "Webcam", format: capture.Format{Width: w, Height: h, FPS: fps}}
	}
	fails := func(err error) trial {
		return trial{err: fmt.Errorf(`open camera "Webcam" (/dev/video0): %w`, err)}
	}
	for name, c := range map[string]struct {
		spec    string
		devices []capture.Device
		listing error
		trial   trial
		want    verdict
		words   []string
	}{
		"well":         {"auto", []capture.Device{webcam}, nil, gives(1280, 720, 30), fine, []string{"1280x720 at 30 fps", "YUYV up to"}},
		"rate unknown": {"auto", []capture.Device{webcam}, nil, gives(1280, 720, 0), fine, []string{"1280x720"}},
		"slow":         {"auto", []capture.Device{webcam}, nil, gives(1280, 720, 10), warning, []string{"at 10 fps", "--size 640x480"}},
		"small":        {"auto", []capture.Device{webcam}, nil, gives(640, 480, 30), warning, []string{"640x480", "asked for is 1280x720"}},
		"none":         {"auto", nil, nil, trial{}, problem, []string{"no camera found", "--camera test"}},
		"not listed":   {"auto", nil, errors.New("no sysfs"), trial{}, problem, []string{"no sysfs"}},
		"busy": {"auto", []capture.Device{webcam}, nil, trial{err: &capture.DeviceError{Doing: "open camera", Name: "Webcam", Path: "/dev/video0",
			Reason: "in use by zoom (process 7)", Remedy: "end that program", Err: syscall.EBUSY}}, problem, []string{"/dev/video0", "zoom (process 7)", "end that program"}},
		"silent": {"Webcam", []capture.Device{webcam}, nil, fails(errors.New("it sends no picture")), problem, []string{"no picture", "plug it in again"}},
		"other":  {"Door", []capture.Device{webcam}, nil, fails(capture.ErrNoDevice), problem, []string{"Webcam (/dev/video0)"}},
		"test":   {"test", nil, nil, gives(1280, 720, 30), fine, []string{"1280x720"}},
		"stdin":  {"-", nil, nil, trial{}, fine, []string{"stdin"}},
	} {
		t.Run(name, func(t *testing.T) {
			cameraFinding(c.spec, want, c.devices, c.listing, func() trial { return c.trial }).says(t, c.want, c.words...)
		})
	}
}

func TestDoctorJudgesMicrophones(t *testing.T) {
	mic := capture.Device{Kind: capture.KindMicrophone, Name: "Headset", Path: "hw:1"}
	for name, c := range map[string]struct {
		spec    string
		devices []capture.Device
		trial   soundTrial
		want    verdict
		word    string
	}{
		"well":          {"auto", []capture.Device{mic}, soundTrial{name: "Headset", peak: 300}, fine, "sound arrives"},
		"muted":         {"auto", []capture.Device{mic}, soundTrial{name: "Headset"}, warning, "muted"},
		"none":          {"auto", nil, soundTrial{}, warning, "--mic none"},
		"none, named":   {"Headset", nil, soundTrial{}, problem, "no microphone found"},
		"broken":        {"auto", []capture.Device{mic}, soundTrial{err: syscall.EBUSY}, warning, "Headset (hw:1)"},
		"broken, named": {"Headset", []capture.Device{mic}, soundTrial{err: syscall.EBUSY}, problem, "end the program"},
		"another":       {"Desk", []capture.Device{mic}, soundTrial{err: capture.ErrNoDevice}, problem, "Headset (hw:1)"},
		"not wanted":    {"none", nil, soundTrial{}, fine, "--mic none"},
	} {
		t.Run(name, func(t *testing.T) {
			microphoneFinding(c.spec, c.devices, nil, func() soundTrial { return c.trial }).says(t, c.want, c.word)
		})
	}
}

func TestDoctorJudgesSpeed(t *testing.T) {
	const ms = time.Millisecond
	hd := size{1280, 720}
	for _, c := range []struct {
		m    speed
		err  error
		want verdict
		word string
	}{
		{speed{cost: 10 * ms, pace: 6 * ms}, nil, fine, "30 % of one core (4 here)"},
		{speed{cost: 40 * ms, pace: 30 * ms}, nil, warning, "--size 960x540"},
		{speed{cost: 200 * ms, pace: 100 * ms}, nil, problem, "10 pictures a second"},
		{speed{cost: 9000 * ms, pace: 9000 * ms}, nil, problem, "--size 320x180 --fps 15"},
		{speed{}, errors.New("no memory"), problem, "no memory"},
	} {
		speedFinding(c.m, c.err, hd, 30, 4).says(t, c.want, c.word)
	}
}

func TestDoctorJudgesListening(t *testing.T) {
	for _, c := range []struct {
		err  error
		user string
		want verdict
		word string
	}{
		{nil, "", fine, "http://192.0.2.1:8080/"},
		{syscall.EADDRINUSE, "nginx (process 12)", problem, "nginx (process 12) has the port"},
		{syscall.EADDRINUSE, "", problem, "--listen :8081"},
		{syscall.EACCES, "", problem, "below 1024"},
	} {
		listenFinding(":8080", "192.0.2.1:8080", c.err, c.user).says(t, c.want, c.word)
	}
}

func TestDoctorJudgesAddresses(t *testing.T) {
	own := netip.MustParseAddr("192.0.2.1")
	addressesFinding(nil, "localhost", ":8080").says(t, warning, "no network")
	addressesFinding([]netip.Addr{own}, "192.0.2.1", ":8080").says(t, fine, "192.0.2.1")
	addressesFinding([]netip.Addr{own}, "192.0.2.1", "127.0.0.1:8080").says(t, warning, "only this machine")
	addressesFinding([]netip.Addr{own}, "192.0.2.1", "localhost:8080").says(t, warning, "only this machine")
}

func TestDoctorJudgesTheClock(t *testing.T) {
	built := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clockFinding(built.AddDate(1, 0, 0), built, time.Millisecond).says(t, fine, "2027-01-01")
	clockFinding(time.Unix(0, 0), built, 0).says(t, warning, "1970", "certificates")
	clockFinding(built.AddDate(1, 0, 0), built, -time.Minute).says(t, warning, "-1m0s")
}

func TestDoctorLeavesBehindWhatHangs(t *testing.T) {
	hang := make(chan struct{})
	ended := make(chan struct{})
	found := runChecks(t.Context(), time.Millisecond, []check{
		{"stuck", func(context.Context) finding { defer close(ended); <-hang; return finding{} }},
		{"heeds", func(ctx context.Context) finding { <-ctx.Done(); return finding{Verdict: fine, Summary: "gave up"} }},
	})
	found[0].says(t, warning, "no result within 1ms")
	found[1].says(t, fine, "gave up")
	close(hang)
	<-ended
}

func TestDoctorKeepsTheTerminalClean(t *testing.T) {
	d := diagnosis{Checks: []finding{{Name: "camera", Verdict: problem, Summary: "one\ntwo\x1b[2J", Remedy: "do"}, {Name: "port", Verdict: fine, Summary: "free"}}}
	var plain, coloured bytes.Buffer
	if err := errors.Join(d.text(&plain, false), d.text(&coloured, true)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  ✗ camera  one; two [2J\n            → do\n", "  ✓ port    free\n", "1 problem, 0 warnings"} {
		if !strings.Contains(plain.String(), want) {
			t.Errorf("%q is not in %q", want, plain.String())
		}
	}
	if strings.Contains(plain.String(), "\x1b") || strings.Contains(coloured.String(), "\x1b[2J") || !strings.Contains(coloured.String(), "\x1b[31m✗") {
		t.Errorf("%q, %q", plain.String(), coloured.String())
	}
}

func TestDoctorJudgesKeys(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	keyFinding(path).says(t, fine, "first start", path)
	if _, err := signaling.LoadKey(path); err != nil {
		t.Fatal(err)
	}
	keyFinding(path).says(t, fine, path)
	if runtime.GOOS == "windows" {
		return // which keeps permissions elsewhere
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	keyFinding(path).says(t, problem, "chmod 600")
}

// silentPort is a UDP port that never answers.
func silentPort(t *testing.T) string {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}
