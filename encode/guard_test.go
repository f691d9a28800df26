package encode

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercam/peercam/capture"
)

// machine is a camera before a computer on which a picture takes as long as
// cost says.
type machine struct {
	guard
	now     time.Time
	fps     float64
	cost    func(r Relief) time.Duration
	levels  []int // that the guard went through
	skips   int
	encodes int
}

// run lets seconds pass. A picture that comes while the one before is being
// encoded replaces what waits already.
func (m *machine) run(seconds float64) {
	if m.now.IsZero() {
		m.now = at(0, 1)
		m.levels = []int{0}
	}
	gap := time.Duration(float64(time.Second) / m.fps)
	busy, waiting, dropped := m.now, false, 0
	encode := func(start time.Time) {
		took := m.cost(m.relief())
		busy = start.Add(took)
		m.encodes++
		if m.encoded(m.now, took, dropped) {
			m.levels = append(m.levels, m.level)
		}
		dropped = 0
	}
	for end := m.now.Add(time.Duration(seconds * float64(time.Second))); m.now.Before(end); m.now = m.now.Add(gap) {
		if waiting && !busy.After(m.now) { // the mailbox was emptied between the pictures
			waiting = false
			if m.skip() {
				m.skips++
			} else {
				encode(busy)
			}
		}
		switch {
		case busy.After(m.now) && waiting:
			dropped++
		case busy.After(m.now):
			waiting = true
		case m.skip():
			m.skips++
		default:
			encode(m.now)
		}
	}
}

// costing makes a cost of a picture's time, with what hurry makes of it.
func costing(top time.Duration) func(Relief) time.Duration {
	return func(r Relief) time.Duration {
		return time.Duration(float64(top) * (1 - 0.11*float64(r.Hurry)))
	}
}

func TestGuardGivesWayInOrder(t *testing.T) {
	for _, c := range []struct {
		what  string
		took  time.Duration
		fps   float64
		level int
	}{
		{"a laptop", 8 * time.Millisecond, 30, 0},
		{"just fast enough", 27 * time.Millisecond, 30, 0},
		{"a little slow", 29 * time.Millisecond, 30, 1},
		{"slow", 33 * time.Millisecond, 30, 2},
		{"a Pi with 720p", 45 * time.Millisecond, 30, 2},
		{"a Pi with 1080p", 90 * time.Millisecond, 30, 3},
		{"a Pi Zero", 150 * time.Millisecond, 30, 4},
		{"beyond all hope", 500 * time.Millisecond, 30, 5},
		{"a slow camera leaves time", 45 * time.Millisecond, 10, 0},
	} {
		m := machine{fps: c.fps, cost: costing(c.took)}
		m.run(40)
		if m.level != c.level {
			t.Errorf("%s: went through levels %v, want %d in the end", c.what, m.levels, c.level)
		}
	}
}

func TestGuardEncodesEvenly(t *testing.T) {
	m := machine{fps: 30, cost: func(Relief) time.Duration { return 60 * time.Millisecond }}
	m.run(10)
	m.encodes, m.skips = 0, 0
	m.run(10)
	if m.encodes < 149 || m.encodes > 151 || m.skips < 149 {
		t.Errorf("%d pictures encoded and %d left out in 10 s, want every second", m.encodes, m.skips)
	}
}

func TestGuardComesBack(t *testing.T) {
	slow := true
	m := machine{fps: 30, cost: func(r Relief) time.Duration {
		if slow {
			return 60 * time.Millisecond
		}
		return costing(5 * time.Millisecond)(r)
	}}
	m.run(20)
	if m.level < 3 {
		t.Fatalf("levels %v", m.levels)
	}
	slow = false // the other program has ended
	m.run(5)
	if m.level < 3 {
		t.Error("something came back within 5 s")
	}
	m.run(100)
	if m.level != 0 {
		t.Errorf("100 s later: levels %v", m.levels)
	}
}

// TestGuardDoesNotSwing has a machine whose load rises when something comes
// back by more than the guard expects: it must try ever more rarely.
func TestGuardDoesNotSwing(t *testing.T) {
	m := machine{fps: 30, cost: func(r Relief) time.Duration {
		if r.Every < 1 {
			return 40 * time.Millisecond
		}
		return 10 * time.Millisecond
	}}
	m.run(3600)
	if n := len(m.levels); n > 40 {
		t.Errorf("%d changes in an hour", n)
	}
	before := len(m.levels)
	m.run(600)
	if n := len(m.levels) - before; n > 6 {
		t.Errorf("%d changes in ten more minutes", n)
	}
}

func TestGuardOverlooksAHiccup(t *testing.T) {
	n := 0
	m := machine{fps: 30, cost: func(Relief) time.Duration {
		if n++; n%150 == 100 {
			return 150 * time.Millisecond
		}
		return 9 * time.Millisecond
	}}
	m.run(60)
	if m.level != 0 {
		t.Errorf("levels %v for a hiccup every 5 s", m.levels)
	}
}

func FuzzGuard(f *testing.F) {
	f.Add(int64(33_000_000), int64(20_000_000), int64(90_000_000), uint8(0))
	f.Add(int64(-1), int64(1)<<62, int64(0), uint8(200))
	f.Fuzz(func(t *testing.T, gap, short, long int64, dropped uint8) {
		var g guard
		now := at(0, 30)
		for i := range 500 {
			now = now.Add(time.Duration(gap))
			for g.skip() {
			}
			took := short
			if i%7 == 0 {
				took = long
			}
			before := g.level
			changed := g.encoded(now, time.Duration(took), int(dropped))
			if g.level < 0 || g.level >= len(reliefs) || changed != (g.level != before) || g.level < before-1 {
				t.Fatalf("from level %d to %d, changed: %v", before, g.level, changed)
			}
		}
	})
}

func TestReliefForTheStatusLine(t *testing.T) {
	for want, r := range map[string]Relief{
		"":                                {},
		"quick encoding":                  {Hurry: 1},
		"quick encoding, 1 of 2 pictures": {Hurry: 2, Every: 1},
	} {
		if got := r.String(); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}

// TestLadderGivesWay has viewers of a computer that is too slow: the pictures
// become fewer, the sizes do not, and all comes back.
func TestLadderGivesWay(t *testing.T) {
	inStudio(t, LadderConfig{}, func(s *studio) {
		picture := newScene(180, 200).frame(0)
		shoot := func(seconds int) (frames int) {
			had := len(s.frames)
			for range seconds * 30 {
				f := &capture.Frame{YCbCr: picture, Time: at(s.n, 30)}
				s.n++
				s.given = append(s.given, f)
				s.camera.give(f)
				time.Sleep(time.Second / 30)
				synctest.Wait()
			}
			return len(s.frames) - had
		}
		s.want(3)
		shoot(1)
		if n := len(s.Rungs()); n != 2 {
			t.Fatalf("%d rungs of a picture of 180x200, want 2", n)
		}
		s.slow = 36 * time.Millisecond // a frame, of which a picture makes two
		shoot(5)
		if got := s.Stats().Relief; got.Every == 0 || len(s.Rungs()) != 2 {
			t.Errorf("while a picture takes 72 ms: %+v, %d rungs", got, len(s.Rungs()))
		}
		if n := shoot(2); n < 36 || n > 64 {
			t.Errorf("%d frames in 2 s, want two of every second or third picture of 60", n)
		}
		s.slow = 0
		shoot(90)
		if got := s.Stats(); got.Relief != (Relief{}) || got.Load > 0.1 || len(s.Rungs()) != 2 {
			t.Errorf("at ease again: %+v, load %.2f, %d rungs", got.Relief, got.Load, len(s.Rungs()))
		}
		if !strings.Contains(s.log.String(), "1 of 2 pictures") {
			t.Errorf("the log does not tell: %s", s.log)
		}
	})
}
