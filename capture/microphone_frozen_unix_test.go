//go:build unix

package capture

import (
	"syscall"
	"testing"
	"time"
)

// TestPulseFreezes stops the server, which then neither gives sound nor answers.
func TestPulseFreezes(t *testing.T) {
	p := startPulse(t)
	p.microphone("mine", 900)
	send := func(s syscall.Signal) {
		t.Helper()
		if err := p.server.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	freeze := func(r AudioReader) {
		t.Helper()
		hear(t, r, 900)
		send(syscall.SIGSTOP)
		t.Logf("silent after %v", hear(t, r, 0))
	}
	// Long enough to give up on it and to try it again.
	stay := func(r AudioReader) {
		t.Helper()
		for began := time.Now(); time.Since(began) < micStall+micLetGo+time.Second; {
			hear(t, r, 0)
		}
	}
	// Who closes waits for it no longer than micLetGo; the rest is for a slow machine.
	end := func(r AudioReader) {
		t.Helper()
		ended := make(chan error, 1)
		go func() { ended <- r.Close() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Error("it does not end while the server is frozen")
		}
	}
	t.Run("closed while it is heard", func(t *testing.T) {
		r := openSteady(t, "mine")
		freeze(r)
		defer send(syscall.SIGCONT)
		end(r)
	})
	t.Run("closed while it is opened again", func(t *testing.T) {
		r := openSteady(t, "mine")
		freeze(r)
		defer send(syscall.SIGCONT)
		stay(r)
		end(r)
	})
	t.Run("goes on", func(t *testing.T) {
		r := openSteady(t, "mine")
		freeze(r)
		stay(r)
		send(syscall.SIGCONT)
		t.Logf("back after %v", hear(t, r, 900))
	})
}
