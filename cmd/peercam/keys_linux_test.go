package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal makes a pseudo terminal: what a person has before them, and what
// the program sees.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	person = os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// isAsShellsLeaveIt tells whether a terminal shows what is typed, line by line.
func isAsShellsLeaveIt(t *testing.T, f *os.File) bool {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0 && s.Lflag&unix.ICANON != 0
}

func TestKeysCoverAndMuteAtTheCamera(t *testing.T) {
	path, err := peercamBinary()
	if err != nil {
		t.Fatal(err)
	}
	person, program := openTerminal(t)
	cmd := exec.Command(path, "share", "--camera", "test", "--mic", "test", "--open", "--room", "kitchen", "--listen", "127.0.0.1:0")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	screen, shown := &transcript{}, make(chan struct{})
	go func() {
		defer close(shown)
		_, _ = io.Copy(screen, person) // until the terminal is gone
	}()
	ended := false
	t.Cleanup(func() {
		if !ended {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		program.Close()
		<-shown
		if t.Failed() {
			t.Logf("the terminal: %q", screen)
		}
	})
	says := func(text string) {
		t.Helper()
		eventually(t, "the status line says "+text, func() bool {
			_, line := lastCut(screen.String(), eraseLine)
			return strings.HasSuffix(line, text)
		})
	}
	typed := func(keys string) {
		t.Helper()
		if _, err := person.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	says("camera closed")
	eventually(t, "single keys are read", func() bool { return !isAsShellsLeaveIt(t, program) })
	typed("m")
	says("camera closed · microphone muted")
	typed("p")
	says("privacy: camera and microphone are closed")
	typed("p")
	says("camera closed · microphone muted")
	typed("m")
	says("camera closed")
	if !strings.Contains(screen.String(), "Press p to cover the camera, m to mute the microphone") {
		t.Error("nobody is told of the keys")
	}
	typed("\x03") // Ctrl-C
	if err := cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C: %v", err)
	}
	ended = true
	if !isAsShellsLeaveIt(t, program) {
		t.Error("the terminal is left without echo")
	}
}
