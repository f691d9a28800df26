package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/peercam/peercam/signaling"
)

// pasting is a running peercam paste.
type pasting struct {
	t      testing.TB
	stdin  *io.PipeWriter
	lines  chan string // of stdout
	stderr *transcript
	code   chan int
}

func paste(t testing.TB, args ...string) *pasting {
	t.Helper()
	in, stdin := io.Pipe()
	out, stdout := io.Pipe()
	p := &pasting{t: t, stdin: stdin, lines: make(chan string, 100), stderr: &transcript{}, code: make(chan int, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	args = slices.Concat([]string{"paste", "--camera", "test", "--mic", "test", "--no-stun"}, small, args)
	go func() {
		p.code <- run(ctx, args, environment{stdin: in, stdout: stdout, stderr: p.stderr})
		stdout.Close()
	}()
	read := make(chan struct{})
	go func() {
		defer close(read)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			p.lines <- scan.Text()
		}
		close(p.lines)
	}()
	t.Cleanup(func() {
		cancel()
		stdin.Close()
		<-read
		if t.Failed() {
			t.Logf("stderr of peercam paste:\n%s", p.stderr)
		}
	})
	return p
}

func (p *pasting) typeIn(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, text); err != nil {
		p.t.Fatal(err)
	}
}

// line waits for the next line of stdout.
func (p *pasting) line() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if ok {
			return line
		}
		p.t.Fatal("stdout has ended")
	case <-time.After(patience):
		p.t.Fatal("nothing is printed")
	}
	return ""
}

// The page as it is opened from a disk; the texts go to and fro by hand.
func TestPasteThePagesOffer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "peercam.html")
	if code, _, stderr := runToEnd(t, "paste", "--page", file); code != exitDone {
		t.Fatal(stderr)
	}
	p := paste(t)
	v := open(t, "file://"+file+"#no-stun")
	v.until("document.getElementById('ours').value")
	offer := js[string](v, "document.getElementById('ours').value")
	if !strings.HasPrefix(offer, pastePrefix) || len(offer) > 2500 {
		t.Errorf("the offer has %d characters: %.40s", len(offer), offer)
	}
	p.typeIn(offer[:100] + "\n" + offer[100:] + "\n") // as a mail breaks it
	answer := p.line()
	if !strings.HasPrefix(answer, pastePrefix) || len(answer) > 2500 {
		t.Errorf("the answer has %d characters: %.40s", len(answer), answer)
	}
	t.Logf("an offer of %d characters, an answer of %d", len(offer), len(answer))
	v.pasteInto("theirs", answer)
	v.handedOver(p)

	// Who leaves the page ends the session at once.
	v.goTo("about:blank")
	p.stdin.Close()
	if code := <-p.code; code != exitDone {
		t.Errorf("code %d", code)
	}
}

// The page as a server has it, and peercam's offer.
func TestPasteAnOfferIntoThePage(t *testing.T) {
	server := serve(t, "127.0.0.1:0")
	p := paste(t, "--offer")
	offer := p.line()
	v := open(t, server.at("/viewer/paste.html#no-stun"))
	v.until("document.getElementById('ours').value")
	before := js[string](v, "document.getElementById('ours').value")
	v.pasteInto("theirs", offer)
	v.until("document.getElementById('ours').value.startsWith('peercam:') && document.getElementById('ours').value !== %q", before)
	p.typeIn(js[string](v, "document.getElementById('ours').value") + "\n")
	v.handedOver(p)
	v.goTo("about:blank")
	if again := p.line(); !strings.HasPrefix(again, pastePrefix) {
		t.Errorf("when the viewer had left it printed %q, want another offer", again)
	}
}

func (v *view) pasteInto(id, text string) {
	v.t.Helper()
	js[string](v, "(e => { e.value = %q; e.dispatchEvent(new Event('input')); return '' })(document.getElementById(%q))", text, id)
}

// handedOver waits for a moving picture, and says something both ways.
func (v *view) handedOver(p *pasting) {
	v.t.Helper()
	v.until("document.documentElement.dataset.state === 'connected'")
	first := v.picture(0)
	if second := v.picture(0); second.Time <= first.Time {
		v.t.Errorf("the picture stands still: %d, then %d", first.Time, second.Time)
	}
	js[string](v, "(() => { document.getElementById('line').value = 'good day <b>'; document.getElementById('talk').requestSubmit(); return '' })()")
	if line := p.line(); line != "viewer: good day <b>" {
		v.t.Errorf("the terminal shows %q", line)
	}
	p.typeIn("and to you <i>\n")
	v.until("document.getElementById('said').innerText.includes('Camera: and to you <i>')")
	v.clean()
}

// The exercise of two tabs, with peercam in place of the other: callee, then caller.
func TestPasteABareConsole(t *testing.T) {
	const console = `
		globalThis.heard = [];
		globalThis.pc = new RTCPeerConnection();
		globalThis.listen = (c) => { globalThis.channel = c; c.onmessage = ({ data }) => heard.push(data); };
		globalThis.tracks = [];
		pc.ontrack = ({ track }) => tracks.push(track.kind);
		pc.ondatachannel = ({ channel }) => listen(channel);
		globalThis.all = () => new Promise((done) => {
			pc.onicegatheringstatechange = () => pc.iceGatheringState === 'complete' && done(JSON.stringify(pc.localDescription));
		});`
	talk := func(t *testing.T, v *view, p *pasting) {
		t.Helper()
		v.until("globalThis.channel?.readyState === 'open'")
		js[string](v, "(channel.send('hello'), '')")
		if line := p.line(); line != "viewer: hello" {
			t.Errorf("the terminal shows %q", line)
		}
		p.typeIn("hello yourself\n")
		v.until("heard.includes('hello yourself')")
	}
	blank := func(t *testing.T) *view {
		v := open(t, "about:blank")
		js[string](v, "(() => {%s; return '' })()", console)
		return v
	}
	for name, ask := range map[string]string{
		"with a picture": "pc.addTransceiver('video', { direction: 'recvonly' });",
		"text only":      "",
	} {
		t.Run("the console calls "+name, func(t *testing.T) {
			p, v := paste(t), blank(t)
			offer := js[string](v, `(async () => {
				%s listen(pc.createDataChannel('anything'));
				const done = all(); await pc.setLocalDescription(await pc.createOffer()); return done })()`, ask)
			p.typeIn(offer + "\n")
			answer := p.line()
			if !strings.HasPrefix(answer, `{"`) {
				t.Errorf("JSON was answered by %.40q", answer)
			}
			js[string](v, "pc.setRemoteDescription(%s).then(() => '')", answer)
			talk(t, v, p)
			if ask != "" {
				v.until("tracks.join() === 'video'")
			}
		})
	}
	t.Run("the console is called", func(t *testing.T) {
		p, v := paste(t, "--offer", "--form", "json"), blank(t)
		offer := p.line()
		answer := js[string](v, `(async () => {
			await pc.setRemoteDescription(%s);
			const done = all(); await pc.setLocalDescription(await pc.createAnswer()); return done })()`, offer)
		p.typeIn(answer + "\n")
		talk(t, v, p)
		v.until("tracks.sort().join() === 'audio,video'")
	})
}

// A router that forwards one port is all that two people need.
func TestPasteAtOnePort(t *testing.T) {
	_, port, _ := strings.Cut(freeAddr(t), ":")
	p := paste(t, "--udp-port", port, "--public-ip", "203.0.113.9", "--form", "json")
	v := open(t, "about:blank")
	offer := js[string](v, `(async () => {
		globalThis.pc = new RTCPeerConnection();
		pc.addTransceiver('video', { direction: 'recvonly' });
		await pc.setLocalDescription();
		while (pc.iceGatheringState !== 'complete') await new Promise((done) => { pc.onicegatheringstatechange = done; });
		return JSON.stringify(pc.localDescription) })()`)
	p.typeIn(offer + "\n")
	answer := p.line()
	for _, c := range strings.Split(answer, "a=candidate:")[1:] {
		if !strings.Contains(c, " "+port+" typ host") {
			t.Errorf("candidate %s, want port %s", c, port)
		}
	}
	if !strings.Contains(answer, " 203.0.113.9 "+port+" ") {
		t.Errorf("the public address is not in the answer: %s", answer)
	}
	js[string](v, "pc.setRemoteDescription(%s).then(() => '')", answer)
	v.until("pc.connectionState === 'connected'")
}

func TestPasteExplainsWhatIsWrong(t *testing.T) {
	offer := localOffer(t)
	short, err := formatPaste(offer, formShort)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ stdin, want string }{
		"nothing":      {"", "nothing was pasted"},
		"nonsense":     {"hello\n", "no offer"},
		"cut off":      {short[:len(short)/2], "cut off"},
		"damaged":      {pastePrefix + "!!!!\n", "cut off"},
		"other bytes":  {pastePrefix + "AAAAAAAA\n", "damaged"},
		"cut JSON":     {`{"type":"offer","sdp":"v=0`, "cut off"},
		"other JSON":   {`{"type":"pranswer","sdp":"v=0"}` + "\n", "pranswer"},
		"no ICE":       {`{"type":"offer","sdp":"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"}` + "\n", "a=ice-ufrag"},
		"an answer":    {strings.Replace(offer.SDP, "actpass", "active", -1) + "\n\n", "no offer of ours"},
		"endless":      {"v=0\n" + strings.Repeat("a=x\n", 20_000), "more than 65536"},
		"endless line": {pastePrefix + strings.Repeat("A", 70_000), "more than 65536"},
		"no video":     {strings.Replace(offer.SDP, "VP8", "XXX", -1) + "\n\n", "VP8"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, log transcript
			code := run(context.Background(), []string{"paste", "--camera", "test", "--mic", "none", "--no-stun"},
				environment{stdin: strings.NewReader(c.stdin), stdout: &out, stderr: &log})
			if code != exitFailed || !strings.Contains(log.String(), c.want) || out.String() != "" {
				t.Errorf("code %d, stdout %.80q, want %q:\n%.500s", code, out.String(), c.want, log.String())
			}
		})
	}
	for args, want := range map[string]string{
		"--camera -": "stdin", "--patience 0s": "--patience", "--viewers 0": "--viewers", "--form x": "--form", "--fps 0": "--fps", "--udp-port 70000": "--udp-port", "--interface nosuch0": "nosuch0",
	} {
		if code, _, stderr := runToEnd(t, append([]string{"paste"}, strings.Fields(args)...)...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: code %d: %s", args, code, stderr)
		}
	}
}

func localOffer(t testing.TB) webrtc.SessionDescription {
	t.Helper()
	pc, err := receiver()
	if err != nil {
		t.Fatal(err)
	}
	defer pc.GracefulClose()
	d, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPasteFormsAreRead(t *testing.T) {
	offer := localOffer(t)
	for _, form := range []pasteForm{formShort, formJSON, formSDP} {
		text, err := formatPaste(offer, form)
		if err != nil {
			t.Fatal(err)
		}
		for name, dress := range map[string]func(string) string{
			"plain":     func(s string) string { return s },
			"surounded": func(s string) string { return "\n  " + s + "  \n" },
			"CRLF":      func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "\r", ""), "\n", "\r\n") },
			"LF":        func(s string) string { return strings.ReplaceAll(s, "\r", "") },
		} {
			got, was, _, err := parsePaste(dress(text))
			if err != nil || was != form || got.Type != webrtc.SDPTypeOffer {
				t.Errorf("%s, %s: %v %v %v", form, name, got.Type, was, err)
			}
			if a, _ := signaling.Fingerprint(offer.SDP); !strings.Contains(got.SDP, a) {
				t.Errorf("%s, %s: the fingerprint is lost", form, name)
			}
		}
		// Line by line, as a pipe gives it.
		var b pasteBuffer
		var p pasted
		for line := range strings.Lines(text) {
			if p = b.add(typed{text: strings.TrimRight(line, "\r\n")}); p.err != nil {
				t.Fatal(form, p.err)
			}
		}
		if p.description == nil {
			p = b.quiet(false)
		}
		if p.description == nil || p.form != form {
			t.Errorf("%s, line by line: %+v", form, p)
		}
	}
}

func TestLinesAndPastesAreToldApart(t *testing.T) {
	const text = "hello\n\x1b[200~{\n \"a\": 1\n}\x1b[201~\nhow\r\nare \x1b[200~you\x1b[201~"
	for size := 1; size < len(text); size++ {
		var s lineSplitter
		var got []string
		for b := []byte(text); len(b) > 0; {
			n := min(size, len(b))
			for _, one := range s.add(b[:n]) {
				kind := "line "
				if one.paste {
					kind = "paste "
				}
				got = append(got, kind+one.text)
			}
			b = b[n:]
		}
		if want := []string{"line hello", "paste {\n \"a\": 1\n}", "line ", "line how", "line are ", "paste you"}; !slices.Equal(got, want) {
			t.Fatalf("in pieces of %d: %q", size, got)
		}
	}
	s := lineSplitter{keys: true}
	for _, key := range []string{"h", "x", "\x7f", "é", "\x1b[A", "!", "\x04"} {
		if got := s.add([]byte(key)); got != nil {
			t.Errorf("%q gives %+v", key, got)
		}
	}
	if got := s.add([]byte("\n")); len(got) != 1 || got[0].text != "hé!" || s.ended {
		t.Errorf("typed was %+v", got)
	}
	if s.add([]byte("\x04")); !s.ended {
		t.Error("^D does not end")
	}
}

func TestTextOfViewersDoesNotSteerTheTerminal(t *testing.T) {
	if got := printable("a\x1b[2Jb\tc\r\x07ü\u202e\n"); got != "a[2Jb cü" {
		t.Errorf("%q", got)
	}
}

func FuzzParsePaste(f *testing.F) {
	offer := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: "v=0\r\na=fingerprint:x\r\nm=v\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=setup:actpass\r\n"}
	for _, form := range []pasteForm{formShort, formJSON, formSDP} {
		text, err := formatPaste(offer, form)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add(`"{\"type\":\"offer\"`)
	f.Add("peercam:A")
	f.Add("> peercam:AB\n> CD")
	f.Fuzz(func(t *testing.T, text string) {
		d, form, _, err := parsePaste(text)
		if err != nil {
			if len(err.Error()) > 500 {
				t.Errorf("an error of %d characters", len(err.Error()))
			}
			return
		}
		if checkSDP(d.SDP) != nil || len(d.SDP) > 2*maxPaste {
			t.Errorf("%q was read as %q", text, d.SDP)
		}
		again, err := formatPaste(d, form)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := parsePaste(again); err != nil && !errors.Is(err, errPasteLong) && form != formShort {
			t.Errorf("%q was written as %q: %v", text, again, err)
		}
		var b pasteBuffer
		for line := range strings.Lines(text) {
			b.add(typed{text: line})
		}
		b.quiet(true)
		if b.text != "" {
			t.Errorf("%q is kept", b.text)
		}
	})
}

func TestThePageIsOneFile(t *testing.T) {
	code, page, _ := runToEnd(t, "paste", "--page", "-")
	if code != exitDone || !strings.HasSuffix(page, "</html>\n") {
		t.Fatalf("code %d, the page ends with %.40q", code, page[max(0, len(page)-40):])
	}
	for _, outside := range []string{"src=", "href=", "@import", "url("} {
		if strings.Contains(page, outside) {
			t.Errorf("the page needs something else: %s", outside)
		}
	}
	if code, _, stderr := runToEnd(t, "paste", "--page", filepath.Join(os.DevNull, "x.html")); code != exitFailed || !strings.Contains(stderr, "--page") {
		t.Errorf("code %d: %s", code, stderr)
	}
}
