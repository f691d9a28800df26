package capture

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// scriptedCommand is a source that is closed by itself.
type scriptedCommand struct{ *scripted }

func (scriptedCommand) Close() error { return nil }

func TestTroubleOf(t *testing.T) {
	plugged := make(chan struct{})
	play := func(n int, r *live[*Frame]) error {
		if n == 1 {
			return errors.New("cable was pulled")
		}
		<-plugged
		r.put(real())
		return nil
	}
	for what, src := range map[string]VideoSource{"camera": &scripted{play: play}, "command": scriptedCommand{&scripted{play: play}}} {
		plugged = make(chan struct{})
		privacy := new(Privacy)
		o := quick(new(bytes.Buffer))
		o.Stall, o.Privacy = time.Minute, privacy
		steady := Captioned(Steady(src, o), "a wrapper")
		says := func(want string) {
			t.Helper()
			if got := TroubleOf(steady); got != want {
				t.Errorf("%s: the trouble is %q, want %q", what, got, want)
			}
		}
		says("")
		r, err := steady.Open(t.Context(), Format{320, 240, 30})
		if err != nil {
			t.Fatal(err)
		}
		last := time.Time{}
		until(t, r, &last, false).Release()
		says("cable was pulled")
		close(plugged)
		until(t, r, &last, true).Release()
		says("")
		privacy.Set(true)
		until(t, r, &last, false).Release()
		says("the camera is covered")
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		says("")
	}
	if got := TroubleOf(&scripted{}); got != "" {
		t.Errorf("a source that nobody made steady is in trouble: %q", got)
	}
}
