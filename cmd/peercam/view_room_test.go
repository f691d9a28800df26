package main

import (
	"encoding/json"
	"image"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peercam/peercam/peer"
	"github.com/peercam/peercam/signaling"
)

func TestViewTellsWhatTheLastConnectionEndedWith(t *testing.T) {
	for _, c := range []struct {
		last *peer.Ended
		want string
	}{
		{nil, "--turn"},
		{&peer.Ended{Code: signaling.CodeBusy}, "as many viewers"},
		{&peer.Ended{Code: signaling.CodeEnded}, "was stopped"},
		{&peer.Ended{Code: signaling.CodeFailed, Reason: "no encoder\x1b[2J"}, `no encoder\x1b[2J`},
	} {
		w := &watcher{joined: func() bool { return true }, cameras: []signaling.Camera{{ID: "c1", Name: "hall"}}, last: c.last}
		got := w.nothing().Error()
		if !strings.Contains(got, c.want) || c.last != nil && strings.Contains(got, "TURN") {
			t.Errorf("%+v: %s, want %q", c.last, got, c.want)
		}
	}
}

// A camera whose socket was replaced asks for an ICE restart.
func TestViewFollowsACameraToItsNewID(t *testing.T) {
	key := signaling.NewKey()
	v, err := peer.NewViewer(peer.ViewerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, err := v.Offer(false); err != nil {
		t.Fatal(err)
	}
	id := signaling.NewSession()
	w := newWatcher(viewLink{room: "kitchen", key: &key}, slog.New(slog.DiscardHandler))
	var said signaling.Message
	w.send = func(m signaling.Message) error { said = m; return nil }
	old := signaling.Camera{ID: "c1", Name: "hall", Nonce: signaling.NewNonce()}
	again := signaling.Camera{ID: "c2", Name: "hall", Nonce: signaling.NewNonce()}
	w.cameras = []signaling.Camera{old, again}
	w.session = &watched{camera: old, viewer: v, handshake: signaling.Handshake{Room: "kitchen", Session: id, Nonce: old.Nonce}}
	for _, c := range []struct {
		from string
		want signaling.Camera
	}{{"stranger", old}, {"c2", again}} {
		if err := w.receive(signaling.Message{Type: signaling.TypeRestart, Session: id, From: c.from}); err != nil {
			t.Fatal(err)
		}
		h := signaling.Handshake{Room: "kitchen", Session: id, Nonce: c.want.Nonce}
		if h.Viewer, err = signaling.Fingerprint(said.SDP); err != nil {
			t.Fatal(err)
		}
		if said.Type != signaling.TypeOffer || said.To != c.want.ID || !key.VerifyOffer(h, said.Proof) {
			t.Errorf("from %s: %s to %s, or it is not proved", c.from, said.Type, said.To)
		}
	}
}

func TestViewDistrustsWhatACameraTells(t *testing.T) {
	for text, want := range map[string]size{
		`{"rungs":[{"width":1280,"height":720},{"width":640,"height":360}]}`:                     {1280, 720},
		`{"rungs":[{"width":1000000,"height":1000000},{"width":640,"height":360}]}`:              {640, 360},
		`{"rungs":[{"width":-2,"height":720},{"width":1,"height":1},{"width":2,"height":8193}]}`: {},
		`{}`: {},
	} {
		var r peer.CameraReport
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		if got := largestOf(r); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	for why, want := range map[string]string{"bandwidth": "bandwidth", "": "", "\x1b]0;x\a": ""} {
		if f := figuresOf(peer.ViewerStats{}, peer.ViewerStats{Camera: peer.CameraReport{Why: why}}, time.Second); f.Why != want {
			t.Errorf("why %q is shown as %q", why, f.Why)
		}
	}
}

func TestY4MOfTheSmallestPicture(t *testing.T) {
	p := image.NewYCbCr(image.Rect(0, 0, 1, 1), image.YCbCrSubsampleRatio420)
	p.Y[0], p.Cb[0], p.Cr[0] = 50, 60, 70
	if got := string(newScaler(size{2, 2}).scale(p)); got != y4mFrame+"2222<F" {
		t.Errorf("%q", got)
	}
}

func TestViewLeavesNoEmptyRecording(t *testing.T) {
	for _, name := range []string{"a.webm", "a.ivf", "a.ogg"} {
		name = filepath.Join(t.TempDir(), name)
		code, _, stderr := watchLink(t, "http://"+freeAddr(t)+"/kitchen", "--wait", "100ms", "--record", name)
		if _, err := os.Stat(name); code != exitFailed || !os.IsNotExist(err) {
			t.Errorf("code %d, the file: %v\n%s", code, err, stderr)
		}
	}
}
