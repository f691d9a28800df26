package main

import "time"

// timeline turns the camera's times into those of a recording, which begin with
// the first picture and only ever rise.
type timeline struct {
	origin time.Time
	last   [2]time.Duration // of picture, sound
	begun  [2]bool
}

const (
	timelineVideo = 0
	timelineAudio = 1
)

// backwards is a step of the camera's clock that no disorder explains: it was
// set, or the camera began anew.
const backwards = 2 * time.Second

// at is where something taken at t stands; a track's times rise by least at
// the least. False: it was taken before the beginning.
func (l *timeline) at(track int, t time.Time, least time.Duration) (time.Duration, bool) {
	if l.origin.IsZero() {
		l.origin = t
	}
	d := t.Sub(l.origin)
	if d < 0 && !l.begun[track] {
		return 0, false
	}
	if l.begun[track] && d < l.last[track]-backwards {
		l.origin = l.origin.Add(d - l.last[track] - least)
		d = l.last[track] + least
	}
	if l.begun[track] {
		d = max(d, l.last[track]+least)
	}
	l.last[track], l.begun[track] = d, true
	return d, true
}
