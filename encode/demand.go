package encode

import "time"

// demand decides when a source is open: from the first who wants it until
// nobody has for the linger. An opening that failed is tried again, more and
// more rarely.
type demand struct {
	linger time.Duration
	always bool

	open   bool
	idle   time.Time // since when nobody wants the open source; zero: wanted
	retry  time.Time // not to be opened before
	misses int       // failures in a row
}

const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 8 * time.Second
)

// next tells whether the source should be open now, and when to ask again if
// nothing changes before (zero: never).
func (d *demand) next(now time.Time, wanted bool) (open bool, again time.Time) {
	wanted = wanted || d.always
	switch {
	case wanted && !d.open:
		if now.Before(d.retry) {
			return false, d.retry
		}
		return true, time.Time{}
	case wanted || !d.open:
		d.idle = time.Time{}
		return d.open, time.Time{}
	case d.idle.IsZero():
		d.idle = now
	}
	end := d.idle.Add(d.linger)
	return now.Before(end), end
}

// opened and closed tell what became of it.
func (d *demand) opened() { d.open = true; d.idle = time.Time{} }
func (d *demand) closed() { d.open = false; d.idle = time.Time{} }

// failed tells that the source could not be opened, or broke. afresh: it has
// delivered since it last failed.
func (d *demand) failed(now time.Time, afresh bool) {
	d.closed()
	if afresh {
		d.misses = 0
	}
	d.retry = now.Add(min(lastRetry, firstRetry<<min(d.misses, 8)))
	d.misses++
}
