package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// peercamBinary builds peercam once, with this test's own tags and race detector, so
// that all packages are compiled already. PEERCAM_BINARY names one that is there
// already, such as a release for another architecture under an emulator.
var peercamBinary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("PEERCAM_BINARY"); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "peercam-test")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "peercam.exe")
	args := []string{"build", "-o", path}
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-tags" || s.Key == "-race" {
			args = append(args, s.Key+"="+s.Value)
		}
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building peercam: %w\n%s", err, out)
	}
	built = dir
	return path, nil
})

var built string // the directory of peercamBinary, once it is there

func removeBinary() {
	if built != "" {
		_ = os.RemoveAll(built) // a temporary directory
	}
}

// process is peercam in a process of its own.
type process struct {
	site
	cmd    *exec.Cmd
	stderr transcript
	ended  chan struct{}
}

func spawn(t testing.TB, stdin io.Reader, args ...string) *process {
	t.Helper()
	path, err := peercamBinary()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{site: site{t: t}, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stderr = stdin, &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, rest := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(rest)
		scan := bufio.NewScanner(out)
		for scan.Scan() {
			select {
			case line <- scan.Text():
			default:
				t.Errorf("stdout holds more than the link: %q", scan.Text())
			}
		}
	}()
	go func() {
		defer close(p.ended)
		<-rest
		_ = p.cmd.Wait() // what it returns is in ProcessState
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
		if t.Failed() {
			t.Logf("stderr of peercam %q:\n%s", args, p.stderr.String())
		}
	})
	select {
	case p.first = <-line:
	case <-time.After(patience):
		t.Fatalf("peercam %q printed nothing; it said:\n%s", args, p.stderr.String())
	}
	_, p.key, _ = strings.Cut(p.first, "#k=")
	return p
}

// signal sends a signal and waits for the end.
func (p *process) signal(s os.Signal) (code int) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("peercam does not end after %v", s)
	}
	return p.cmd.ProcessState.ExitCode()
}

func TestProcesses(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("LOUD: not tried, Windows has no SIGTERM to send to another process")
	}
	addr := freeAddr(t)
	server := spawn(t, nil, "serve", "--listen", addr)
	if want := "http://" + addr + "/"; server.first != want {
		t.Errorf("serve printed %q, want %q", server.first, want)
	}
	film := write(t, "clip.y4m", []byte(y4mHeader(10)), red.y4mFrame(), red.y4mFrame())
	key := filepath.Join(t.TempDir(), "key")
	args := []string{"share", "--signal", "ws://" + addr, "--room", "kitchen", "--camera", "file:" + film, "--mic", "none", "--key-file", key}
	camera := spawn(t, nil, args...)
	if !strings.HasPrefix(camera.first, "http://"+addr+"/kitchen#k=") {
		t.Errorf("share printed %q", camera.first)
	}
	v := open(t, camera.first)
	v.state("live")
	v.shows(red)

	// Without a goodbye, as after a crash or a power cut.
	camera.signal(syscall.SIGKILL)
	v.until("document.documentElement.dataset.state !== 'live'")
	camera = spawn(t, nil, args...)
	v.state("live")
	v.shows(red)

	if code := camera.signal(syscall.SIGTERM); code != exitDone {
		t.Errorf("SIGTERM ended share with code %d", code)
	}
	v.state("ended")
	if code := server.signal(os.Interrupt); code != exitDone {
		t.Errorf("SIGINT ended serve with code %d", code)
	}
}
