package encode

import "time"

// LadderStats is what a ladder has done since it was made, and what it does.
type LadderStats struct {
	// Open: the source is open.
	Open bool
	// Err is why the source does not work, nil when it does.
	Err error
	// Width and Height are of the last picture, pixels; FPS is its measured
	// rate; Last is when it was taken.
	Width, Height int
	FPS           float64
	Last          time.Time
	// Captured counts pictures read, Dropped those that a newer one replaced
	// before they were encoded.
	Captured, Dropped uint64
	// Load is the part of the time between pictures that encoding one takes,
	// on average; Relief is what has given way to keep it below 1.
	Load   float64
	Relief Relief
	Rungs  []RungStats
}

// RungStats is one rung's part.
type RungStats struct {
	// Wanted: somebody watches it. Layered: in temporal layers.
	Wanted, Layered bool
	// Bitrate is the target, bit/s.
	Bitrate int
	// Encoded counts frames handed on, KeyFrames those of them that are key
	// frames, Skipped those that the rate control left out, Again those encoded a second
	// time to suit a link of the target's rate, Bytes their sizes.
	Encoded, KeyFrames, Skipped, Again, Bytes uint64
	// Spent is the time that encoding took.
	Spent time.Duration
}

// Stats tells how it goes. It may be called at any time.
func (l *Ladder) Stats() LadderStats {
	l.mu.Lock()
	s := l.state
	l.mu.Unlock()
	s.Captured, s.Dropped = l.captured.Load(), l.dropped.Load()
	want, layered := l.asked()
	for i, r := range l.rungs {
		s.Rungs = append(s.Rungs, RungStats{
			Wanted:    want&(1<<i) != 0,
			Layered:   layered&(1<<i) != 0,
			Bitrate:   int(r.bitrate.Load()),
			Encoded:   r.encoded.Load(),
			KeyFrames: r.keyFrames.Load(),
			Skipped:   r.skipped.Load(),
			Again:     r.again.Load(),
			Bytes:     r.bytes.Load(),
			Spent:     time.Duration(r.spent.Load()),
		})
	}
	return s
}
