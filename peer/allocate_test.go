package peer

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/peercam/peercam/encode"
)

var threeRungs = []encode.Size{{Width: 1280, Height: 720}, {Width: 640, Height: 360}, {Width: 320, Height: 180}}

const mostRate = 2_500_000

// settle allocates every 100 ms for some seconds.
func settle(now time.Time, seconds float64, seats ...*seat) (ladderPlan, time.Time) {
	var plan ladderPlan
	for range int(seconds * 10) {
		now = now.Add(100 * time.Millisecond)
		plan = allocate(now, seats, threeRungs, mostRate)
	}
	return plan, now
}

func TestAViewerAloneGetsWhatItsLinkCarries(t *testing.T) {
	for _, c := range []struct {
		name   string
		budget int
		wish   wish
		want   selection
	}{
		{"wide", 8_000_000, wish{}, selection{rung: 0, layer: 2}},
		{"1 Mbit/s", 1_000_000, wish{}, selection{rung: 0, layer: 2}},
		{"350 kbit/s", 350_000, wish{}, selection{rung: 1, layer: 2, why: whyBandwidth}},
		{"120 kbit/s", 120_000, wish{}, selection{rung: 2, layer: 2, why: whyBandwidth}},
		{"nearly nothing", 20_000, wish{}, selection{rung: 2, paused: true, why: whyBandwidth}},
		{"small window", 8_000_000, wish{width: 640, height: 360}, selection{rung: 1, layer: 2, why: whyWindow}},
		{"a little larger than a rung", 8_000_000, wish{width: 700, height: 400}, selection{rung: 1, layer: 2, why: whyWindow}},
		{"thumbnail", 8_000_000, wish{width: 160, height: 90}, selection{rung: 2, layer: 2, why: whyWindow}},
		{"tall window", 8_000_000, wish{width: 300, height: 900}, selection{rung: 0, layer: 2}},
		{"fixed 360p", 8_000_000, wish{maxHeight: 360}, selection{rung: 1, layer: 2, why: whyChoice}},
		{"fixed 360p, bad link", 100_000, wish{maxHeight: 360}, selection{rung: 2, layer: 2, why: whyBandwidth}},
		{"fixed to what is not there", 8_000_000, wish{maxHeight: 100}, selection{rung: 2, layer: 2, why: whyChoice}},
		{"saver", 8_000_000, wish{saver: true}, selection{rung: 2, layer: 1, why: whyChoice}},
		{"hidden", 8_000_000, wish{hidden: true}, selection{rung: 2, paused: true, why: whyWindow}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &seat{budget: c.budget, wish: c.wish}
			plan, _ := settle(time.Unix(1000, 0), 3, s)
			if s.got.paused {
				s.got.layer = 0 // means nothing then
			}
			if s.got != c.want {
				t.Errorf("got %+v, want %+v", s.got, c.want)
			}
			if c.want.paused != (plan.want == 0) {
				t.Errorf("rungs %b are encoded", plan.want)
			}
			if rate := plan.rates[c.want.rung]; !c.want.paused && rate != min(c.budget, rungMost(threeRungs, c.want.rung, mostRate)) {
				t.Errorf("the rung's rate is %d", rate)
			}
		})
	}
}

func TestAThinLinkSpoilsNothingForAGoodOne(t *testing.T) {
	good, bad := &seat{budget: 2_600_000}, &seat{budget: 380_000}
	plan, _ := settle(time.Unix(1000, 0), 5, good, bad)
	if good.got.rung != 0 || good.got.layer != allLayers || plan.rates[0] != mostRate {
		t.Errorf("the good one gets %+v at %d bit/s", good.got, plan.rates[0])
	}
	if bad.got.rung != 1 || bad.got.layer != allLayers || plan.rates[1] > bad.budget {
		t.Errorf("the bad one gets %+v at %d bit/s", bad.got, plan.rates[1])
	}
	if plan.want != 0b011 {
		t.Errorf("rungs %b are encoded", plan.want)
	}
}

// Where there is but one size, a thin link gets its base layer.
func TestOneSizeForAll(t *testing.T) {
	good, bad := &seat{budget: 2_600_000}, &seat{budget: 380_000}
	now := time.Unix(1000, 0)
	var plan ladderPlan
	for range 30 {
		now = now.Add(100 * time.Millisecond)
		plan = allocate(now, []*seat{good, bad}, threeRungs[:1], mostRate)
	}
	if good.got.layer != allLayers || bad.got.layer != 0 {
		t.Errorf("layers %d and %d", good.got.layer, bad.got.layer)
	}
	if base := float64(plan.rates[0]) * encode.LayerShare[0]; base*thinRate > float64(bad.budget)+1 {
		t.Errorf("a base layer of %.0f bit/s for a link that carries %d", base, bad.budget)
	}
}

// Viewers who can nearly follow the best share its rung, at a rate that suits all.
func TestEqualsShareARung(t *testing.T) {
	a, b, c := &seat{budget: 1_500_000}, &seat{budget: 1_450_000}, &seat{budget: 1_300_000}
	plan, _ := settle(time.Unix(1000, 0), 5, a, b, c)
	for _, s := range []*seat{a, b, c} {
		if s.got.rung != 0 || s.got.layer != allLayers {
			t.Errorf("%d bit/s get %+v", s.budget, s.got)
		}
	}
	if plan.rates[0] != 1_300_000 {
		t.Errorf("the rung's rate is %d", plan.rates[0])
	}
}

func TestAFallIsFollowedAtOnceAndARiseWithPatience(t *testing.T) {
	s := &seat{budget: 2_500_000}
	_, now := settle(time.Unix(1000, 0), 5, s)
	s.budget = 300_000
	now = now.Add(50 * time.Millisecond)
	allocate(now, []*seat{s}, threeRungs, mostRate)
	if s.got.rung != 1 {
		t.Fatalf("after the fall: %+v", s.got)
	}
	fell := now
	s.budget = 2_500_000
	for s.got.rung != 0 {
		now = now.Add(50 * time.Millisecond)
		allocate(now, []*seat{s}, threeRungs, mostRate)
		if now.Sub(fell) > 5*time.Second {
			t.Fatalf("5 s after the rise: %+v", s.got)
		}
	}
	if d := now.Sub(fell); d < restTime {
		t.Errorf("up again %v after the fall", d)
	}
	// A link that keeps falling is tried more and more rarely.
	var rests []time.Duration
	for range 4 {
		s.budget = 300_000
		now = now.Add(500 * time.Millisecond)
		allocate(now, []*seat{s}, threeRungs, mostRate)
		fell, s.budget = now, 2_500_000
		for s.got.rung != 0 {
			now = now.Add(50 * time.Millisecond)
			allocate(now, []*seat{s}, threeRungs, mostRate)
		}
		rests = append(rests, now.Sub(fell))
	}
	if rests[0] >= rests[3] || rests[3] < 4*restTime {
		t.Errorf("rests before each climb: %v", rests)
	}
}

// A viewer that a better one outruns keeps its rung's base for a moment, and
// then moves to where it gets all pictures.
// The first estimate is a cautious one. What is known soon after counts at once; but who
// fell once has patience like everybody.
func TestAFreshViewerGoesUpAtOnce(t *testing.T) {
	now := time.Unix(1000, 0)
	s := &seat{budget: 250_000, begun: now}
	for _, step := range []struct{ after, budget, rung int }{
		{0, 250_000, 1}, {300, 1_500_000, 0}, {100, 250_000, 1}, {100, 1_500_000, 1}, {1000, 1_500_000, 1},
	} {
		now = now.Add(time.Duration(step.after) * time.Millisecond)
		s.budget = step.budget
		if allocate(now, []*seat{s}, threeRungs, mostRate); s.got.rung != step.rung {
			t.Errorf("%v after it came, with %d bit/s, it is on rung %d, want %d", now.Sub(s.begun), step.budget, s.got.rung, step.rung)
		}
	}
}

// After a restart all come back at once, and learn of their links one after the other.
func TestFreshViewersDoNotKnockEachOtherDown(t *testing.T) {
	now := time.Unix(1000, 0)
	a, b := &seat{budget: 1_690_000, begun: now}, &seat{budget: 827_000, begun: now}
	settleFor := func(d time.Duration) {
		for range d / (50 * time.Millisecond) {
			now = now.Add(50 * time.Millisecond)
			allocate(now, []*seat{a, b}, threeRungs, mostRate)
			if b.got.rung != 0 {
				t.Fatalf("%v after its picture began the later one is on rung %d", now.Sub(b.begun), b.got.rung)
			}
		}
	}
	settleFor(200 * time.Millisecond)
	b.budget = 1_690_000
	settleFor(3 * time.Second)
	if b.got.layer != allLayers {
		t.Errorf("it gets layer %d", b.got.layer)
	}
}

// Who was hidden needs nothing of what it had before.
func TestWhoComesBackWakesNoOldRung(t *testing.T) {
	video := newFakeVideo()
	video.rungs = threeRungs
	p := &Publisher{c: Config{Video: video, MaxBitrate: mostRate}}
	s := &Session{p: p}
	p.list.Store(&[]*Session{s})
	s.connected.Store(true)
	s.estimate.Store(10_000_000)
	s.rung.Store(-1)
	for _, step := range []struct {
		wish wish
		want uint32
	}{{wish{}, 0b001}, {wish{hidden: true}, 0}, {wish{width: 640, height: 360}, 0b010}} {
		if step.wish == (wish{}) {
			p.arrived(time.Now())
			s.rung.Store(0) // its key frame came
		}
		p.look(s, step.wish)
		if video.want != step.want {
			t.Errorf("%+v: rungs %b are encoded, want %b", step.wish, video.want, step.want)
		}
	}
}

func TestWhoIsOutrunThinsOutThenMoves(t *testing.T) {
	first := &seat{budget: 1_600_000}
	_, now := settle(time.Unix(1000, 0), 5, first)
	second := &seat{budget: 2_500_000}
	seats := []*seat{first, second}
	allocate(now.Add(50*time.Millisecond), seats, threeRungs, mostRate)
	if first.got.rung != 0 || first.got.layer != 1 {
		t.Errorf("at first: %+v", first.got)
	}
	settle(now, 2, seats...)
	if first.got.rung != 1 || first.got.layer != allLayers {
		t.Errorf("then: %+v", first.got)
	}
	settle(now.Add(2*time.Second), 20, seats...)
	if first.got.rung != 1 {
		t.Errorf("20 s later: %+v", first.got)
	}
}

func TestFewerRungsThanBefore(t *testing.T) {
	s := &seat{budget: 120_000}
	_, now := settle(time.Unix(1000, 0), 3, s)
	if s.got.rung != 2 {
		t.Fatalf("got %+v", s.got)
	}
	plan := allocate(now, []*seat{s}, threeRungs[:1], mostRate)
	if s.got.rung != 0 || plan.want != 1 {
		t.Errorf("with one rung left: %+v, wanted %b", s.got, plan.want)
	}
}

// Whatever links and wishes do: nobody is sent more than its link carries but
// on the smallest rung, nobody gets more than it asks for, and nobody climbs
// twice within the rest.
func TestAllocationKeepsItsPromises(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		now := time.Unix(1000, 0)
		seats := make([]*seat, 1+random.IntN(8))
		lastUp := make([]time.Time, len(seats))
		for i := range seats {
			seats[i] = &seat{budget: random.IntN(4_000_000)}
		}
		rungs := threeRungs[:1+random.IntN(3)]
		for range 400 {
			now = now.Add(time.Duration(20+random.IntN(200)) * time.Millisecond)
			i := random.IntN(len(seats))
			wished := false
			switch random.IntN(10) {
			case 0:
				seats[i].budget = random.IntN(4_000_000)
			case 1:
				seats[i].wish = wish{width: random.IntN(2000), height: 1 + random.IntN(1200), maxHeight: random.IntN(2) * 360, hidden: random.IntN(5) == 0}
				wished = true
			default:
				seats[i].budget = int(float64(seats[i].budget) * (0.95 + 0.1*random.Float64()))
			}
			before := make([]selection, len(seats))
			for j, s := range seats {
				before[j] = s.got
			}
			plan := allocate(now, seats, rungs, mostRate)
			for j, s := range seats {
				top, _ := s.wish.cap(rungs)
				last := len(rungs) - 1
				if s.got.rung < 0 || s.got.rung > last {
					t.Fatalf("seed %d: rung %d of %d", seed, s.got.rung, len(rungs))
				}
				if s.got.paused {
					continue
				}
				if s.got.rung < top {
					t.Fatalf("seed %d: %+v asked for no more than rung %d", seed, s, top)
				}
				if plan.want&(1<<s.got.rung) == 0 || plan.rates[s.got.rung] <= 0 {
					t.Fatalf("seed %d: rung %d is not encoded", seed, s.got.rung)
				}
				sent := float64(plan.rates[s.got.rung]) * encode.LayerShare[s.got.layer]
				if sent*thinRate > float64(max(s.budget, pauseRate))+1 {
					t.Fatalf("seed %d: %.0f bit/s are sent where %d fit: %+v", seed, sent, s.budget, s.got)
				}
				climbed := !before[j].paused && s.got.rung < before[j].rung
				if climbed && before[j].why == whyBandwidth && !(wished && i == j) {
					if now.Sub(lastUp[j]) < restTime {
						t.Fatalf("seed %d: two climbs within %v", seed, now.Sub(lastUp[j]))
					}
					lastUp[j] = now
				}
			}
		}
	}
}

// Who cannot be probed would stay paused for ever: the smallest picture itself
// has to tell that the link carries more.
func TestWhoCannotBeProbedIsNotPaused(t *testing.T) {
	s := &seat{budget: 5_000, unprobed: true}
	plan, now := settle(time.Unix(1000, 0), 2, s)
	if s.got.paused || s.got.rung != 2 || plan.want != 4 {
		t.Errorf("got %+v, rungs %b", s.got, plan.want)
	}
	s.unprobed = false
	settle(now, 1, s)
	if !s.got.paused {
		t.Error("a link of 5 kbit/s still gets pictures")
	}
}
