package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeRemote is a camera with a zoom from 100 to 500.
type fakeRemote struct {
	mu      sync.Mutex
	zoom    int
	changed chan struct{}
	hold    chan struct{} // Set waits until it is closed; nil: it does not
}

func newFakeRemote() *fakeRemote { return &fakeRemote{zoom: 100, changed: make(chan struct{}, 1)} }

func (f *fakeRemote) Controls() []Control {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []Control{{Name: "zoom", Kind: "integer", Min: 100, Max: 500, Step: 10, Default: 100, Value: f.zoom}}
}

func (f *fakeRemote) Set(name string, value int) error {
	if f.hold != nil {
		<-f.hold
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if name != "zoom" || value < 100 || value > 500 {
		return fmt.Errorf("control %s cannot be %d", name, value)
	}
	f.zoom = value
	return nil
}

func (f *fakeRemote) Step(name string, steps int) error {
	return f.Set(name, f.Controls()[0].Value+10*steps)
}

func (f *fakeRemote) Changed() <-chan struct{} { return f.changed }

// ask sends a request over the viewer's channel.
func (v *viewer) ask(request string) {
	v.t.Helper()
	if err := v.control.SendText(request); err != nil {
		v.t.Fatal(err)
	}
}

// zoom waits until the viewer is told of a zoom.
func (v *viewer) zoom(want int) {
	v.t.Helper()
	for {
		var m controlsMessage
		if err := json.Unmarshal([]byte(next(v.t, v.said, "controls")), &m); err != nil {
			v.t.Fatal(err)
		}
		if m.Type == "controls" && len(m.Controls) == 1 && m.Controls[0].Value == want {
			return
		}
	}
}

// refused waits for the next error.
func (v *viewer) refused() errorMessage {
	v.t.Helper()
	for {
		var m errorMessage
		if err := json.Unmarshal([]byte(next(v.t, v.said, "error")), &m); err != nil {
			v.t.Fatal(err)
		}
		if m.Type == "error" {
			return m
		}
	}
}

// talking makes a viewer whose channel is open.
func talking(t *testing.T, p *Publisher, id string) *viewer {
	t.Helper()
	v := newViewer(t, nil)
	v.watch(p, id)
	next(t, v.said, "statistics")
	return v
}

func TestViewersSetUpTheCamera(t *testing.T) {
	r := newFakeRemote()
	s := newStage(t, Config{Remote: r})
	a, b, silent := talking(t, s.pub, "a"), talking(t, s.pub, "b"), talking(t, s.pub, "c")
	a.ask(`{"type":"controls"}`)
	a.zoom(100)
	b.ask(`{"type":"controls"}`)
	b.zoom(100)
	a.ask(`{"type":"set","name":"zoom","value":200}`)
	a.zoom(200)
	b.zoom(200) // it looks at the same camera
	b.ask(`{"type":"step","name":"zoom","by":-3}`)
	b.zoom(170)
	a.zoom(170)

	a.ask(`{"type":"set","name":"zoom","value":9000}`)
	if m := a.refused(); m.Code != "failed" || m.About != "set" || m.Name != "zoom" || !strings.Contains(m.Message, "cannot be 9000") {
		t.Errorf("refused with %+v", m)
	}
	a.ask(`{"type":"set","name":"zoom","value":"far"}`)
	if m := a.refused(); m.Code != "bad-request" {
		t.Errorf("refused with %+v", m)
	}

	// At the camera itself.
	r.mu.Lock()
	r.zoom = 300
	r.mu.Unlock()
	r.changed <- struct{}{}
	a.zoom(300)
	b.zoom(300)
	for len(silent.said) > 0 {
		if m := <-silent.said; strings.Contains(m, `"controls"`) {
			t.Errorf("who did not ask was told %s", m)
		}
	}
}

func TestWhoMaySetUpTheCamera(t *testing.T) {
	for _, c := range []struct {
		what   string
		remote Remote
		proved bool
		want   error
	}{
		{"the key's holder", newFakeRemote(), true, nil},
		{"who has shown no key", newFakeRemote(), false, errUnproved},
		{"the key's holder, of a camera that forbids it", nil, true, errForbidden},
		{"who has shown no key, of a camera that forbids it", nil, false, errForbidden},
	} {
		r := remotes{r: c.remote, asks: make(chan remoteAsk, 1)}
		s := &Session{remote: newRemoteSeat(), signal: Signal{Proved: c.proved}}
		for _, request := range []string{"controls", "set", "step"} {
			if err := r.admit(time.Now(), s, about(request)); !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v, want %v", c.what, request, err, c.want)
			}
			if (len(r.asks) > 0) != (c.want == nil) {
				t.Errorf("%s, %s: %d requests wait", c.what, request, len(r.asks))
			}
			for len(r.asks) > 0 {
				<-r.asks
			}
		}
	}
}

func about(kind string) request { return request{Type: kind, Name: "zoom"} }

func TestUnprovedViewersAreToldSo(t *testing.T) {
	s := newStage(t, Config{Remote: newFakeRemote()})
	v := newViewer(t, nil)
	v.proved = false
	v.watch(s.pub, "one")
	next(t, v.said, "statistics")
	v.ask(`{"type":"set","name":"zoom","value":200}`)
	if m := v.refused(); m.Code != "forbidden" || m.Message == "" {
		t.Errorf("refused with %+v", m)
	}
}

func TestRequestsAreLimited(t *testing.T) {
	now := time.Unix(1_795_000_000, 0)
	r := remotes{r: newFakeRemote(), asks: make(chan remoteAsk, 1000)}
	greedy, other := &Session{remote: newRemoteSeat(), signal: Signal{Proved: true}}, &Session{remote: newRemoteSeat(), signal: Signal{Proved: true}}
	admitted := func(s *Session, n int) (ok int) {
		for range n {
			switch err := r.admit(now, s, about("set")); {
			case err == nil:
				ok++
			case !errors.Is(err, errRateLimited):
				t.Fatal(err)
			}
		}
		return ok
	}
	if n := admitted(greedy, 100); n != remoteBurst {
		t.Errorf("%d at once, want %d", n, remoteBurst)
	}
	if n := admitted(other, 10); n != 10 {
		t.Errorf("another viewer gets %d of 10 through", n)
	}
	now = now.Add(time.Second)
	if n := admitted(greedy, 100); n != remoteRate {
		t.Errorf("%d a second later, want %d", n, remoteRate)
	}

	r.asks = make(chan remoteAsk, 2)
	now = now.Add(time.Minute)
	var errs []error
	for range 4 {
		errs = append(errs, r.admit(now, other, about("set")))
	}
	if want := []error{nil, nil, errRemoteBusy, errRemoteBusy}; !slices.Equal(errs, want) {
		t.Errorf("with room for two: %v", errs)
	}
}

// A device that hangs must not keep pictures from anybody, nor the end from coming.
func TestASlowDeviceHoldsNobodyUp(t *testing.T) {
	r := newFakeRemote()
	r.hold = make(chan struct{})
	s := newStage(t, Config{Remote: r})
	t.Cleanup(func() { close(r.hold) }) // before the stage's own end, which waits for it
	v := talking(t, s.pub, "one")
	for range remoteQueue + 2 {
		v.ask(`{"type":"set","name":"zoom","value":200}`)
	}
	if m := v.refused(); m.Code != "busy" {
		t.Errorf("refused with %+v", m)
	}
	next(t, v.frames, "frame")
	before := float64(time.Now().UnixMilli())
	v.ask(`{"type":"clock","sentAt":1}`)
	for clock := (clockMessage{}); clock.Camera < before; {
		if err := json.Unmarshal([]byte(next(t, v.said, "clock")), &clock); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSettingValues(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
		ok   bool
	}{
		{"12", 12, true}, {"-3", -3, true}, {"true", 1, true}, {"false", 0, true}, {"2147483647", 1<<31 - 1, true},
		{"", 0, false}, {"null", 0, false}, {"1.5", 0, false}, {`"12"`, 0, false}, {"1e3", 0, false}, {"99999999999", 0, false}, {"[1]", 0, false},
	} {
		got, err := settingValue(json.RawMessage(c.text))
		if (err == nil) != c.ok || c.ok && got != c.want {
			t.Errorf("%q gives %d, %v", c.text, got, err)
		}
	}
}

func TestErrorsAreCutBetweenLetters(t *testing.T) {
	for text, want := range map[string]string{"short": "short", "abcdef": "abcde…", "abcdüf": "abcd…"} {
		if got := brief(text, 5); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// While somebody listens pictures may wait for the sound, else they are shown
// as they come.
func TestPicturesWaitForTheSoundWhileSomebodyListens(t *testing.T) {
	s := newStage(t, Config{})
	v, other := talking(t, s.pub, "one"), talking(t, s.pub, "two")
	delay := func(v *viewer) [3]byte { return [3]byte(next(t, v.frames, "frame").playout) }
	until := func(want [3]byte) {
		t.Helper()
		for got := delay(v); got != want; got = delay(v) { //nolint:revive // waiting
		}
	}
	now, synced := playoutDelay(0, false), playoutDelay(0, true)
	until(now)
	v.ask(`{"type":"view","width":640,"height":360,"sound":true}`)
	until(synced)
	if got := delay(other); got != now {
		t.Errorf("another viewer, who does not listen, is told %v", got)
	}
	v.ask(`{"type":"view","width":640,"height":360}`)
	until(now)
}
