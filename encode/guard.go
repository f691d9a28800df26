package encode

import (
	"fmt"
	"strings"
	"time"
)

// guard keeps encoding from falling behind the camera. While a picture takes
// nearly as long as the camera needs for the next one, something gives way
// every second, what is missed least first:
//
//  1. libvpx tries less hard (cpu-used), which costs up to 1 dB, in two steps;
//  2. of the camera's pictures only every second, third, fourth is encoded.
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
	tooBusy = 0.85 // of the time between pictures is spent on one
	restful = 0.6  // after something came back

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

// reliefs are the guard's levels, with what returning to the one before makes
// of a picture's share of the time; measured at 720p, three rungs in use.
var reliefs = [...]struct {
	Relief
	growth float64
}{
	{Relief{}, 1},
	{Relief{Hurry: 1}, 1.1},
	{Relief{Hurry: 2}, 1.1},
	{Relief{Hurry: 2, Every: 1}, 2},
	{Relief{Hurry: 2, Every: 2}, 1.5},
	{Relief{Hurry: 2, Every: 3}, 1.34},
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
	case load > tooBusy:
		return g.giveWay()
	case g.level > 0 && load*reliefs[g.level].growth < restful:
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

func (g *guard) giveWay() bool {
	if g.level == len(reliefs)-1 {
		return false // there is nothing left: the mailbox drops the rest
	}
	if g.returned && g.settled < relapse {
		g.patience = min(2*g.patience, mostPatience)
	}
	g.change(g.level+1, false)
	return true
}

func (g *guard) change(level int, returned bool) {
	g.level, g.returned = level, returned
	g.interval, g.took, g.settled, g.well = 0, 0, 0, 0
}

// hurried is the cpu-used for a step of Relief.Hurry.
func hurried(cpuUsed, hurry int) int { return max(-16, cpuUsed-3*hurry) }
