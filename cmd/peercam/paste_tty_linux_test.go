package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"golang.org/x/sys/unix"
)

// pseudoTerminal is a person's end of a terminal and the program's.
func pseudoTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return person, program
}

// An offer of one line that is longer than a terminal's own line can be, pasted
// and then talked over; and one that makes no sense before it.
func TestPasteIntoATerminal(t *testing.T) {
	person, tty := pseudoTerminal(t)
	out, stdout := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"paste", "--camera", "test", "--mic", "none", "--no-stun"}, environment{stdin: tty, stdout: stdout, stderr: tty})
		stdout.Close()
		tty.Close()
	}()
	shown := &transcript{}
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		_, _ = io.Copy(shown, person) // until the terminal is closed
	}()
	answers := make(chan string, 10)
	go func() {
		defer close(answers)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			answers <- scan.Text()
		}
	}()
	typeIn := func(text string) {
		if _, err := io.WriteString(person, text); err != nil {
			t.Fatal(err)
		}
	}

	pc := newPeer(t)
	talk, err := pc.CreateDataChannel("talk", nil)
	if err != nil {
		t.Fatal(err)
	}
	heard, opened := make(chan string, 10), make(chan struct{})
	talk.OnOpen(func() { close(opened) })
	talk.OnMessage(func(m webrtc.DataChannelMessage) { heard <- string(m.Data) })
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	d := *pc.LocalDescription()
	d.SDP += strings.Repeat("a=x-nothing:0123456789\r\n", 300)
	text, err := formatPaste(d, formJSON)
	if err != nil || len(text) < 5000 {
		t.Fatal(len(text), err)
	}
	eventually(t, "the terminal marks what is pasted", func() bool { return strings.Contains(shown.String(), "\x1b[?2004h") })
	typeIn(pasteBegin + text[:3000] + pasteEnd)
	eventually(t, "half an offer is refused", func() bool { return strings.Contains(shown.String(), "cut off") })
	typeIn(pasteBegin + text + pasteEnd + "\n")
	var answer struct{ SDP string }
	if err := json.Unmarshal([]byte(<-answers), &answer); err != nil {
		t.Fatalf("%v:\n%s", err, shown)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer.SDP}); err != nil {
		t.Fatal(err)
	}
	for _, wait := range []func() string{
		func() string { <-opened; typeIn("good moo\x7frning\n"); return <-heard },
		func() string {
			if err := talk.SendText("hello\x1b[2J"); err != nil {
				t.Error(err)
			}
			return <-answers
		},
	} {
		got := make(chan string, 1)
		go func() { got <- wait() }()
		select {
		case text := <-got:
			if text != "good morning" && text != "viewer: hello[2J" {
				t.Errorf("%q", text)
			}
		case <-time.After(patience):
			t.Fatalf("nothing was heard:\n%s", shown)
		}
	}
	cancel()
	if code := <-ended; code != exitDone {
		t.Errorf("code %d", code)
	}
	<-seen
	if !strings.Contains(shown.String(), "\x1b[?2004l") {
		t.Error("the terminal is left as it was not")
	}
}
