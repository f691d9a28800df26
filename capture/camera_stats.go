package capture

import (
	"math"
	"sync/atomic"
	"time"
)

// CameraStats is what a camera has given, over all its openings.
type CameraStats struct {
	// Frames were read.
	Frames uint64
	// Late were superseded by a newer one before they were read.
	Late uint64
	// Corrupt were damaged on their way, could not be decoded or had a wrong
	// size, and were left out.
	Corrupt uint64
	// FPS is the rate of late, by the pictures' own stamps; 0 while closed.
	FPS float64
}

// StatsOf tells how the camera in src does; ok is false when there is none.
func StatsOf(src VideoSource) (stats CameraStats, ok bool) {
	c, ok := as[*cameraSource](src)
	if !ok {
		return stats, false
	}
	return CameraStats{
		Frames:  c.counts.frames.Load(),
		Late:    c.counts.late.Load(),
		Corrupt: c.counts.corrupt.Load(),
		FPS:     math.Float64frombits(c.counts.fps.Load()),
	}, true
}

type cameraCounts struct {
	frames, late, corrupt atomic.Uint64
	fps                   atomic.Uint64 // bits of a float64
}

// pictureRate measures a rate by the stamps of the last pictures.
type pictureRate struct {
	stamps [48]time.Time
	n      int // added so far
}

func (p *pictureRate) add(t time.Time) {
	p.stamps[p.n%len(p.stamps)] = t
	p.n++
}

// full tells whether there were enough pictures to judge by.
func (p *pictureRate) full() bool { return p.n >= len(p.stamps) }

// fps is 0 until there are two pictures.
func (p *pictureRate) fps() float64 {
	n := min(p.n, len(p.stamps))
	if n < 2 {
		return 0
	}
	last := p.stamps[(p.n-1)%len(p.stamps)]
	first := p.stamps[(p.n-n)%len(p.stamps)]
	return float64(n-1) / last.Sub(first).Seconds()
}
