package peer

import (
	"math"
	"time"

	"github.com/peercam/peercam/encode"
)

// Who gets which rung and which of its layers, and how many bits each rung
// takes. The rules, in this order:
//
//   - A viewer gets no more than it asks for: its choice and its window cap the rung.
//   - It gets no more than its own link carries, except on the smallest rung.
//   - A rung follows its best viewer, so that a thin link never spoils it for
//     a good one. Links within nearRate of the best count as equals, and the
//     rung then follows the least of them. Only the smallest rung, below which
//     there is nothing, goes so low that its base layer fits all who are on it.
//   - Who cannot carry its rung loses the upper layers at once, and goes one
//     rung down if that lasts, or if even half of the pictures are too many.
//   - Down at once, up with patience.
//   - Under pauseRate there is no video: the sound needs what is left. Probes tell
//     when it is over, so who cannot be probed keeps the least there is.

const (
	maxRungs = 3
	// allLayers is the highest temporal layer.
	allLayers = len(encode.LayerShare) - 1

	// referenceNeed is what a picture of referencePixels at 30 a second needs to
	// be worth its size, bit/s. Smaller pictures need more a pixel: the need
	// grows with the pixels' power of needPower.
	referenceNeed   = 500_000.0
	referencePixels = 1280 * 720
	needPower       = 0.75

	nearRate  = 0.85 // of the best, and one follows it
	thinRate  = 0.93 // of the rung's rate, and the upper layers go
	sinkRate  = 0.85 // of a rung's need, and the viewer goes down
	climbRate = 1.2  // of a rung's need, for climbTime, and the viewer goes up
	climbTime = 500 * time.Millisecond
	// freshTime is how long after its first picture a viewer goes up as soon as more is
	// known to fit: it began with what every link carries.
	freshTime = 2 * time.Second
	// restTime is the least time from one move to the next one up. Who falls
	// within relapseTime of a climb rests twice as long as before, up to longestRest:
	// each attempt costs all viewers of the rung a key frame.
	restTime    = 2 * time.Second
	relapseTime = 10 * time.Second
	longestRest = 32 * time.Second
	// thinTime is how long a viewer stays on a rung of which it cannot carry all.
	thinTime = 600 * time.Millisecond

	pauseRate, resumeRate = 60_000, 100_000 // bit/s
	// windowSlack is how much larger than a rung its window may be and still
	// do with it: scaling up by a little is not seen.
	windowSlack = 1.15
)

// wish is what a viewer asks of the picture. Its zero value asks for the best.
type wish struct {
	width, height int // device pixels that it is shown with; 0: not known
	hidden        bool
	saver         bool
	maxHeight     int // of the rung; 0: any
}

// Why a viewer does not get the best there is.
const (
	whyBandwidth = "bandwidth"
	whyChoice    = "choice"
	whyWindow    = "window"
	whyMachine   = "machine"
)

// selection is what a viewer gets.
type selection struct {
	rung   int
	layer  int // the highest
	paused bool
	why    string
}

// seat is a viewer as allocate sees it.
type seat struct {
	budget int // bit/s of video that its link carries
	wish   wish
	got    selection
	seated bool // got says what it has
	// unprobed: but for the picture nothing would tell that the link carries more.
	unprobed bool

	thinSince, richSince time.Time // zero: it is not
	moved, climbed       time.Time
	begun                time.Time // its picture
	fell                 bool      // from a rung
	rest                 time.Duration
}

// ladderPlan is what the encoder is to do.
type ladderPlan struct {
	want, layered uint32
	rates         [maxRungs]int // bit/s, of those wanted
}

// rungNeed is the least bit rate at which a rung is worth its size.
func rungNeed(size encode.Size, most int) int {
	need := referenceNeed * math.Pow(float64(size.Width*size.Height)/referencePixels, needPower)
	return min(int(need), most/2)
}

// rungMost is the most a rung takes: the largest takes most.
func rungMost(rungs []encode.Size, rung, most int) int {
	top := float64(rungs[0].Width * rungs[0].Height)
	return int(float64(most) * math.Pow(float64(rungs[rung].Width*rungs[rung].Height)/top, needPower))
}

// cap is the largest rung that the wish allows, and why it is not the first.
func (w wish) cap(rungs []encode.Size) (rung int, why string) {
	last := len(rungs) - 1
	if w.saver {
		return last, whyChoice
	}
	if w.maxHeight > 0 {
		for rung < last && rungs[rung].Height > w.maxHeight {
			rung++
			why = whyChoice
		}
	}
	for w.width > 0 && rung < last && float64(w.width) <= windowSlack*float64(rungs[rung+1].Width) &&
		float64(w.height) <= windowSlack*float64(rungs[rung+1].Height) {
		rung++
		why = whyWindow
	}
	return rung, why
}

// allocate seats every viewer. most is the largest rung's bit rate; there is
// at least one rung and at most maxRungs. It has no clock and remembers in the
// seats only.
func allocate(now time.Time, seats []*seat, rungs []encode.Size, most int) ladderPlan {
	rungs = rungs[:min(len(rungs), maxRungs)]
	best := bestRates(seats, rungs, most)
	for _, s := range seats {
		s.move(now, rungs, most, &best)
	}
	var plan ladderPlan
	for rung := range rungs {
		rate, n := rungRate(seats, rung, rungMost(rungs, rung, most))
		if n == 0 {
			continue
		}
		for _, s := range seats {
			if s.on(rung) && s.thin(now, rate, rung == len(rungs)-1) {
				s.change(now, rung+1) // the next turn of the loop counts it in
			}
		}
		// Those that went down no longer count.
		if rate, n = rungRate(seats, rung, rungMost(rungs, rung, most)); n == 0 {
			continue
		}
		if rung == len(rungs)-1 {
			rate = baseFits(seats, rung, rate)
		}
		plan.rates[rung] = max(rate, pauseRate)
		plan.want |= 1 << rung
		plan.layered |= 1 << rung
	}
	for _, s := range seats {
		s.explain(rungs)
	}
	return plan
}

func (s *seat) on(rung int) bool { return s.seated && !s.got.paused && s.got.rung == rung }

// bestRates is what each rung's best viewer carries now.
func bestRates(seats []*seat, rungs []encode.Size, most int) (best [maxRungs]int) {
	for rung := range rungs {
		best[rung], _ = rungRate(seats, rung, rungMost(rungs, rung, most))
	}
	return best
}

// rungRate is the bit rate of a rung for the n viewers on it.
func rungRate(seats []*seat, rung, most int) (rate, n int) {
	best := 0
	for _, s := range seats {
		if s.on(rung) {
			best = max(best, min(s.budget, most))
			n++
		}
	}
	rate = best
	for _, s := range seats {
		if b := min(s.budget, most); s.on(rung) && float64(b) >= nearRate*float64(best) {
			rate = min(rate, b)
		}
	}
	return rate, n
}

// baseFits lowers a rung's rate until its base layer fits all who are on it,
// and gives each the layers that then fit.
func baseFits(seats []*seat, rung, rate int) int {
	for _, s := range seats {
		if s.on(rung) {
			rate = min(rate, int(float64(s.budget)/(thinRate*encode.LayerShare[0])))
		}
	}
	for _, s := range seats {
		if s.on(rung) {
			s.got.layer = s.layers(rate)
		}
	}
	return rate
}

// move chooses the rung by the viewer's own link and wish, and whether there
// is video at all.
func (s *seat) move(now time.Time, rungs []encode.Size, most int, best *[maxRungs]int) {
	last := len(rungs) - 1
	top, _ := s.wish.cap(rungs)
	tooThin := s.budget < pauseRate || s.got.paused && s.budget < resumeRate
	if s.wish.hidden || tooThin && !s.unprobed {
		s.seated, s.got.paused, s.got.rung = true, true, last
		return
	}
	need := func(rung int) float64 { return float64(rungNeed(rungs[rung], rungMost(rungs, rung, most))) }
	fits := func(factor float64) int { // the best rung that the link carries
		rung := top
		for rung < last && float64(s.budget) < factor*need(rung) {
			rung++
		}
		return rung
	}
	if !s.seated || s.got.paused {
		s.seated, s.got.paused, s.got.rung = true, false, last
		s.change(now, fits(1))
		return
	}
	rung := min(max(s.got.rung, top), last)
	switch {
	case rung < last && float64(s.budget) < sinkRate*need(rung):
		rung = max(rung, fits(1))
	case rung > top:
		up := fits(climbRate)
		// Where others are, all that they get must fit, or it would come back.
		for up < rung && best[up] > 0 && float64(s.budget) < thinRate*float64(best[up]) {
			up++
		}
		switch {
		case up >= rung:
			s.richSince = time.Time{}
		case s.got.why == whyChoice || s.got.why == whyWindow:
			rung = up // it asked for less until now: the link was not the reason
		case s.fresh(now):
			rung = up
		case s.richSince.IsZero():
			s.richSince = now
		case now.Sub(s.richSince) >= climbTime && now.Sub(s.moved) >= s.rest:
			rung, s.climbed = up, now
		}
	}
	if rung != s.got.rung {
		s.change(now, rung)
	}
}

// change moves the viewer to another rung, of which it gets all layers at first.
func (s *seat) change(now time.Time, rung int) {
	switch {
	case rung <= s.got.rung:
	case s.fresh(now):
		s.fell = true
	case !s.climbed.IsZero() && now.Sub(s.climbed) < relapseTime:
		s.rest = min(2*s.rest, longestRest)
	default:
		s.rest = restTime
	}
	s.rest = max(s.rest, restTime)
	s.got.rung, s.got.layer = rung, allLayers
	s.moved, s.thinSince, s.richSince = now, time.Time{}, time.Time{}
}

// thin chooses the layers that the link carries of a rung of rate bit/s, and
// tells whether to go one rung down instead.
func (s *seat) thin(now time.Time, rate int, last bool) (down bool) {
	s.got.layer = s.layers(rate)
	if s.got.layer == s.most() {
		s.thinSince = time.Time{}
		return false
	}
	if s.thinSince.IsZero() {
		s.thinSince = now
	}
	// A fresh one is about to learn of more, as whom it is compared with just did.
	none := s.got.layer == 0 && (!s.fresh(now) || float64(s.budget) < thinRate*float64(rate)*encode.LayerShare[0])
	return !last && (none || now.Sub(s.thinSince) >= thinTime)
}

// most is the highest layer that the viewer asks for.
func (s *seat) most() int {
	if s.wish.saver {
		return allLayers - 1
	}
	return allLayers
}

// layers is the highest layer that fits of a rung of rate bit/s.
func (s *seat) layers(rate int) int {
	layer := s.most()
	for layer > 0 && float64(s.budget) < thinRate*float64(rate)*encode.LayerShare[layer] {
		layer--
	}
	return layer
}

// fresh tells that its picture began a moment ago, and nothing was too much yet.
func (s *seat) fresh(now time.Time) bool {
	return !s.fell && (s.begun.IsZero() || now.Sub(s.begun) < freshTime)
}

// explain says what keeps the viewer from more.
func (s *seat) explain(rungs []encode.Size) {
	top, why := s.wish.cap(rungs)
	switch {
	case s.wish.hidden:
		s.got.why = whyWindow
	case s.got.paused || s.got.rung > top:
		s.got.why = whyBandwidth
	case s.wish.saver:
		s.got.why = whyChoice
	case s.got.layer < allLayers:
		s.got.why = whyBandwidth
	default:
		s.got.why = why
	}
}
