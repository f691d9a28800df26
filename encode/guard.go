package encode

import (
	"fmt"
	"strings"
	"time"
)

// guard keeps encoding from falling behind the camera. What gives way first is
// missed least:
//
//  1. While a picture takes nearly as long as the camera needs for the next one,
//     libvpx tries less hard (cpu-used), which costs up to 1 dB, in two steps.
//  2. What still comes too soon is replaced in the mailbox by the next picture:
//     the rate falls to what the machine can do.
//  3. If that would be far less than the camera's, only every second, third,
//     fourth picture is encoded, so that they come evenly, and something is
//     left of the machine for sound and sending.
//
// The smaller rungs stay: together they cost a third of the largest, and who
// watches them over a thin link has nothing else. What gave way comes back one
// by one, once there has been room for it for a while; a while which doubles if
// that proves wrong.
type guard struct {
	level int // as in relief

	last     time.Time // when the picture before was taken
	skipped  int       // pictures left out since
	interval float64   // of the camera's pictures, seconds, average
	took     float64   // by a picture that was encoded, seconds, average
	settled  float64   // seconds since the level changed
	well     float64   // seconds for which a lower level would have done
	patience float64   // seconds it has to
	returned bool      // the last change was to a lower level
}

const (
	// What part of the time between pictures one may take before encoding
	// hurries, and before pictures are left out; and what it may take after
	// these came back.
	hurryAbove, hurryBelow = 0.85, 0.6
	leaveAbove, leaveBelow = 1.6, 1.2

	guardWindow   = 1.0 // seconds that averages go back, and between steps
	leastPatience = 10.0
	mostPatience  = 320.0
	// relapse is how many seconds after a return a step counts as caused by it,
	// and as proof that the level is right if none was needed.
	relapse = 60.0
)

// Relief is what has given way to keep up with the camera. The zero value:
// nothing.
type Relief struct {
	// Hurry is how much faster than chosen libvpx works: 0, 1 or 2.
	Hurry int
	// Every is how many pictures there are to one that is encoded, less one.
	Every int
}

// String is for the status line: "" or such as "quick encoding, 1 of 2 pictures".
func (r Relief) String() string {
	var parts []string
	if r.Hurry > 0 {
		parts = append(parts, "quick encoding")
	}
	if r.Every > 0 {
		parts = append(parts, fmt.Sprintf("1 of %d pictures", r.Every+1))
	}
	return strings.Join(parts, ", ")
}

// reliefs are the guard's levels: each with the load above which it is taken,
// and the one that must be left after it went. growth is what returning from it
// makes of the load.
var reliefs = [...]struct {
	Relief
	above, below, growth float64
}{
	{Relief{}, 0, 0, 1},
	{Relief{Hurry: 1}, hurryAbove, hurryBelow, 1.15},
	{Relief{Hurry: 2}, hurryAbove, hurryBelow, 1.15},
	{Relief{Hurry: 2, Every: 1}, leaveAbove, leaveBelow, 2},
	{Relief{Hurry: 2, Every: 2}, leaveAbove, leaveBelow, 1.5},
	{Relief{Hurry: 2, Every: 3}, leaveAbove, leaveBelow, 1.34},
}

func (g *guard) relief() Relief { return reliefs[g.level].Relief }

// skip tells whether the next picture is to be left out.
func (g *guard) skip() bool {
	if g.skipped >= g.relief().Every {
		return false
	}
	g.skipped++
	return true
}

// load is the part of the time between pictures that one takes.
func (g *guard) load() float64 {
	if g.interval == 0 {
		return 0
	}
	return g.took / (g.interval * float64(g.relief().Every+1))
}

// encoded tells that the picture taken at now took so long to encode, and that
// dropped pictures before it came too soon. It returns whether the relief has
// changed.
func (g *guard) encoded(now time.Time, took time.Duration, dropped int) bool {
	gap := now.Sub(g.last).Seconds()
	interval := gap / float64(1+dropped+g.skipped)
	g.last, g.skipped = now, 0
	if gap <= 0 || gap > 2 { // a pause, or nothing to learn from
		return false
	}
	g.patience = max(g.patience, leastPatience)
	g.settled += gap
	if g.interval == 0 {
		g.interval, g.took = interval, took.Seconds()
	}
	weight := min(1, gap/guardWindow)
	g.interval += weight * (interval - g.interval)
	g.took += weight * (took.Seconds() - g.took)

	switch load := g.load(); {
	case g.settled < guardWindow:
	case g.level < len(reliefs)-1 && load > reliefs[g.level+1].above:
		g.giveWay()
		return true
	case g.level > 0 && load*reliefs[g.level].growth < reliefs[g.level].below:
		if g.well += gap; g.well >= g.patience {
			g.change(g.level-1, true)
			return true
		}
	default:
		g.well = 0
	}
	if g.returned && g.settled > relapse {
		g.patience, g.returned = leastPatience, false
	}
	return false
}

func (g *guard) giveWay() {
	if g.returned && g.settled < relapse {
		g.patience = min(2*g.patience, mostPatience)
	}
	g.change(g.level+1, false)
}

func (g *guard) change(level int, returned bool) {
	g.level, g.returned = level, returned
	g.interval, g.took, g.settled, g.well = 0, 0, 0, 0
}

// hurried is the cpu-used for a step of Relief.Hurry.
func hurried(cpuUsed, hurry int) int { return max(-16, cpuUsed-3*hurry) }
