package main

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/peercam/peercam/capture"
	"github.com/peercam/peercam/peer"
)

// fakeCamera is a source with controls, of which some are peercam's own too.
type fakeCamera struct {
	capture.VideoSource
	mu  sync.Mutex
	all []capture.Control
}

func (f *fakeCamera) Controls() ([]capture.Control, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		return nil, fmt.Errorf("it is away: %w", capture.ErrNoDevice)
	}
	return slices.Clone(f.all), nil
}

func (f *fakeCamera) SetControl(name string, value int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.all {
		if f.all[i].Name == name {
			f.all[i].Value = value
			return nil
		}
	}
	return fmt.Errorf("control %q: there is none", name)
}

func testSource(t *testing.T) capture.VideoSource {
	t.Helper()
	src, err := capture.ParseVideo("test", capture.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

type silence struct{ capture.AudioSource }

// newFake is a remote over a camera with a zoom, and over a microphone.
func newFake(t *testing.T, sound bool) (*remote, *fakeCamera) {
	t.Helper()
	camera := &fakeCamera{VideoSource: testSource(t), all: []capture.Control{
		{Name: "zoom_absolute", Kind: capture.ControlInteger, Min: 100, Max: 500, Step: 10, Default: 100, Value: 120},
		{Name: "power_line_frequency", Kind: capture.ControlMenu, Max: 1, Menu: []capture.ControlItem{{Value: 0, Name: "50 Hz"}, {Value: 1, Name: "60 Hz"}}},
		{Name: "rotate", Kind: capture.ControlInteger, Max: 7, Value: 3},
	}}
	src := &sources{video: camera, orientation: new(capture.Orientation), privacy: new(capture.Privacy)}
	if sound {
		src.audio = capture.NewSound(silence{}, capture.SoundOptions{})
	}
	return newRemote(src, false, slog.New(slog.DiscardHandler)), camera
}

func value(t *testing.T, r *remote, name string) peer.Control {
	t.Helper()
	all := r.Controls()
	i := slices.IndexFunc(all, func(c peer.Control) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("there is no %s in %v", name, all)
	}
	return all[i]
}

func TestPrivacyIsEndedAtTheCameraOnly(t *testing.T) {
	r, _ := newFake(t, true)
	act := map[string]func() error{
		"p":                  func() error { r.togglePrivacy(); return nil },
		"m":                  func() error { r.toggleMute(); return nil },
		"cover from afar":    func() error { return r.Set("privacy", 1) },
		"uncover from afar":  func() error { return r.Set("privacy", 0) },
		"mute from afar":     func() error { return r.Set("mute", 1) },
		"unmute from afar":   func() error { return r.Set("mute", 0) },
		"nonsense from afar": func() error { return r.Set("privacy", 2) },
	}
	for i, step := range []struct {
		do             string
		ok             bool
		covered, muted bool
		// what a viewer may not change just now
		coverFixed, muteFixed bool
	}{
		{"mute from afar", true, false, true, false, false},
		{"unmute from afar", true, false, false, false, false},
		{"m", true, false, true, false, true},
		{"unmute from afar", false, false, true, false, true},
		{"m", true, false, false, false, false},
		{"mute from afar", true, false, true, false, false},
		{"m", true, false, false, false, false}, // at the camera one is heard again whoever muted
		{"cover from afar", true, true, true, true, true},
		{"uncover from afar", false, true, true, true, true},
		{"unmute from afar", false, true, true, true, true},
		{"cover from afar", true, true, true, true, true},
		{"p", true, false, false, false, false},
		{"mute from afar", true, false, true, false, false},
		{"p", true, true, true, true, true},
		{"p", true, false, true, false, false}, // as it was before
		{"nonsense from afar", false, false, true, false, false},
	} {
		if err := act[step.do](); (err == nil) != step.ok {
			t.Errorf("step %d, %s: %v", i, step.do, err)
		}
		if got := r.src.privacy.On(); got != step.covered {
			t.Errorf("step %d, %s: covered %v", i, step.do, got)
		}
		if got := r.src.audio.Muted(); got != step.muted {
			t.Errorf("step %d, %s: muted %v", i, step.do, got)
		}
		if c, m := value(t, r, "privacy"), value(t, r, "mute"); c.ReadOnly != step.coverFixed || m.ReadOnly != step.muteFixed ||
			c.Value != flag(step.covered) || m.Value != flag(step.muted) {
			t.Errorf("step %d, %s: viewers see %+v and %+v", i, step.do, c, m)
		}
	}
}

func TestViewersAreToldWhatIsDoneAtTheCamera(t *testing.T) {
	r, _ := newFake(t, true)
	r.togglePrivacy()
	r.toggleMute()
	select {
	case <-r.Changed():
	default:
		t.Error("nothing was said")
	}
}

func TestSteps(t *testing.T) {
	r, camera := newFake(t, false)
	for _, c := range []struct {
		name  string
		steps int
		want  int // 0: an error
	}{
		{"zoom_absolute", 3, 150},
		{"zoom_absolute", -1, 140},
		{"zoom_absolute", 1 << 31, 500},
		{"zoom_absolute", -1 << 31, 100},
		{"power_line_frequency", 1, 0},
		{"mirror", 1, 0},
		{"focus", 1, 0},
	} {
		err := r.Step(c.name, c.steps)
		if (err != nil) != (c.want == 0) || c.want != 0 && camera.all[0].Value != c.want {
			t.Errorf("%d steps of %s: %d, %v; want %d", c.steps, c.name, camera.all[0].Value, err, c.want)
		}
	}
}

func TestOrientationFromAfar(t *testing.T) {
	r, camera := newFake(t, false)
	for _, c := range []struct {
		name    string
		value   int
		degrees int
		mirror  bool
		ok      bool
	}{
		{"rotate", 90, 90, false, true},
		{"mirror", 1, 90, true, true},
		{"rotate", 45, 90, true, false},
		{"rotate", 0, 0, true, true},
		{"mirror", 0, 0, false, true},
	} {
		err := r.Set(c.name, c.value)
		if degrees, mirror := r.src.orientation.Get(); (err == nil) != c.ok || degrees != c.degrees || mirror != c.mirror {
			t.Errorf("%s=%d: %v; it is turned by %d, mirrored %v", c.name, c.value, err, degrees, mirror)
		}
	}
	if camera.all[2].Value != 3 {
		t.Error("the camera's own control was set besides")
	}
}

func TestControlsThatThereAre(t *testing.T) {
	names := func(r *remote) (all []string) {
		for _, c := range r.Controls() {
			all = append(all, c.Name)
		}
		return all
	}
	r, camera := newFake(t, true)
	if want := []string{"privacy", "mute", "rotate", "mirror", "zoom_absolute", "power_line_frequency"}; !slices.Equal(names(r), want) {
		t.Errorf("controls %q, want %q", names(r), want)
	}
	if menu := value(t, r, "power_line_frequency").Menu; len(menu) != 2 || menu[1] != (peer.MenuItem{Value: 1, Name: "60 Hz"}) {
		t.Errorf("menu %v", menu)
	}
	camera.all = nil // unplugged
	if want := []string{"privacy", "mute", "rotate", "mirror"}; !slices.Equal(names(r), want) {
		t.Errorf("controls of a camera that is away %q, want %q", names(r), want)
	}
	if err := r.Step("zoom_absolute", 1); err == nil {
		t.Error("a camera that is away can be zoomed")
	}
	r, _ = newFake(t, false)
	if slices.Contains(names(r), "mute") || r.Set("mute", 1) == nil {
		t.Error("a microphone that is not there can be muted")
	}
}

func TestWhetherTheRoomMaySetUpTheCamera(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		open   bool
		remote *bool
		want   bool
	}{
		{false, nil, true}, {false, &yes, true}, {false, &no, false},
		{true, nil, false}, {true, &yes, true}, {true, &no, false},
	} {
		if got := (&shareCommand{Open: c.open, Remote: c.remote}).allowsRemote(); got != c.want {
			t.Errorf("--open=%v, --remote=%v: %v", c.open, c.remote, got)
		}
	}
}
