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
	rungs   uint32
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
		if m.encoded(m.now, took, dropped, m.rungs) {
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

// costing makes a cost of the top rung's time, with what hurry and the lower
// rungs make of it.
func costing(top time.Duration) func(Relief) time.Duration {
	return func(r Relief) time.Duration {
		c := float64(top) * (1 - 0.11*float64(r.Hurry))
		c += float64(top) * []float64{0.4, 0.3, 0}[r.Without]
		return time.Duration(c)
	}
}

func TestGuardGivesWayInOrder(t *testing.T) {
	const three, topOnly = 7, 1
	for _, c := range []struct {
		what  string
		top   time.Duration
		fps   float64
		rungs uint32
		level int
	}{
		{"a laptop", 5 * time.Millisecond, 30, three, 0},
		{"just fast enough", 19 * time.Millisecond, 30, three, 0},
		{"a little slow", 21 * time.Millisecond, 30, three, 1},
		{"slow", 24 * time.Millisecond, 30, three, 2},
		{"slow, and three sizes asked", 27 * time.Millisecond, 30, three, 4},
		{"a Pi with 720p and one size", 45 * time.Millisecond, 30, topOnly, 5},
		{"a Pi with 1080p", 90 * time.Millisecond, 30, topOnly, 6},
		{"beyond all hope", 500 * time.Millisecond, 30, topOnly, 7},
		{"a slow camera leaves time", 45 * time.Millisecond, 10, three, 0},
	} {
		cost := costing(c.top)
		if c.rungs == topOnly {
			all := cost
			cost = func(r Relief) time.Duration { r.Without = 2; return all(r) }
		}
		m := machine{fps: c.fps, rungs: c.rungs, cost: cost}
		m.run(40)
		settled := m.level
		if settled != c.level {
			t.Errorf("%s: went through levels %v, want %d in the end", c.what, m.levels, c.level)
		}
	}
}

func TestGuardKeepsLowerRungsThatCostNothing(t *testing.T) {
	m := machine{fps: 30, rungs: 1, cost: func(r Relief) time.Duration {
		return time.Duration(float64(29*time.Millisecond) * (1 - 0.06*float64(r.Hurry)))
	}}
	m.run(10)
	if m.relief() != (Relief{Hurry: 1}) {
		t.Errorf("%+v: no rung has to go", m.relief())
	}
}

func TestGuardEncodesEvenly(t *testing.T) {
	m := machine{fps: 30, rungs: 1, cost: func(Relief) time.Duration { return 45 * time.Millisecond }}
	m.run(10)
	m.encodes, m.skips = 0, 0
	m.run(10)
	if m.encodes < 149 || m.encodes > 151 || m.skips < 149 {
		t.Errorf("%d pictures encoded and %d left out in 10 s, want every second", m.encodes, m.skips)
	}
}

func TestGuardComesBack(t *testing.T) {
	slow := true
	m := machine{fps: 30, rungs: 7, cost: func(r Relief) time.Duration {
		if slow {
			return 60 * time.Millisecond
		}
		return costing(5 * time.Millisecond)(r)
	}}
	m.run(20)
	if m.level < 5 {
		t.Fatalf("levels %v", m.levels)
	}
	slow = false // the other program has ended
	m.run(5)
	if m.level < 5 {
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
	m := machine{fps: 30, rungs: 7, cost: func(r Relief) time.Duration {
		if r.Without < 2 {
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
	m := machine{fps: 30, rungs: 7, cost: func(Relief) time.Duration {
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
	f.Add(int64(33_000_000), int64(20_000_000), int64(90_000_000), uint8(0), uint8(7))
	f.Add(int64(-1), int64(1)<<62, int64(0), uint8(200), uint8(0))
	f.Fuzz(func(t *testing.T, gap, short, long int64, dropped, rungs uint8) {
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
			changed := g.encoded(now, time.Duration(took), int(dropped), uint32(rungs&7))
			if g.level < 0 || g.level >= len(reliefs) || changed != (g.level != before) || g.level < before-1 {
				t.Fatalf("from level %d to %d, changed: %v", before, g.level, changed)
			}
		}
	})
}

func TestReliefForTheStatusLine(t *testing.T) {
	for want, r := range map[string]Relief{
		"":                            {},
		"quick encoding":              {Hurry: 1},
		"quick encoding, 1 size less": {Hurry: 2, Without: 1},
		"quick encoding, 2 sizes less, 1 of 2 pictures": {Hurry: 2, Without: 2, Every: 1},
	} {
		if got := r.String(); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}

// TestLadderGivesWay has viewers of a computer that is too slow: the sizes
// offered become fewer, then the pictures, and all comes back.
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
		s.slow = 20 * time.Millisecond // a frame
		shoot(5)
		if n := len(s.Rungs()); n != 1 {
			t.Errorf("%d rungs while two take 40 ms, want 1", n)
		}
		s.slow = 45 * time.Millisecond
		shoot(5)
		if got := s.Stats().Relief; got.Every != 1 {
			t.Errorf("while a picture takes 45 ms: %+v", got)
		}
		if n := shoot(2); n < 28 || n > 32 {
			t.Errorf("%d frames in 2 s, want every second of 60", n)
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
