package peer

import "time"

// rtpDates tells when the packets of a stream were taken, by the camera's clock.
type rtpDates struct {
	rate  int64 // Hz
	known bool  // the camera has told; before, time is that of the first arrival
	any   bool
	stamp uint32    // of a moment
	time  time.Time // the same moment
}

// set notes that a timestamp stands for a time.
func (d *rtpDates) set(stamp uint32, t time.Time) {
	d.stamp, d.time, d.known, d.any = stamp, t, true, true
}

// at dates a timestamp that has just come.
func (d *rtpDates) at(stamp uint32, now time.Time) time.Time {
	if !d.any {
		d.stamp, d.time, d.any = stamp, now.Round(0), true
	}
	ticks := int64(int32(stamp - d.stamp)) //nolint:gosec // wraps on purpose
	// The moment moves along, since 32 bits of 90 kHz are half a day.
	d.stamp, d.time = stamp, d.time.Add(time.Duration(ticks)*time.Second/time.Duration(d.rate))
	return d.time
}

// fromNTP is a 64 bit NTP timestamp, UQ32.32 seconds since 1900 (RFC 3550,
// section 4), as a time; its era is the one that ends in 2036.
func fromNTP(ntp uint64) time.Time {
	return time.Unix(int64(ntp>>32)-2208988800, int64(ntp&0xffffffff)*int64(time.Second)>>32) //nolint:gosec // fits
}

// remoteClock knows how the camera's clock differs from ours, from the answers
// to clock messages.
type remoteClock struct {
	known  bool
	offset time.Duration // to be added to our time
	trip   time.Duration // of the quickest answer, growing since
	last   time.Duration
}

// note takes an answer: when we asked, when it came, and what the clock showed.
func (c *remoteClock) note(asked, came, showed time.Time) {
	c.last = came.Sub(asked)
	// The quickest answer is the truest; it loses its rank slowly, since clocks drift.
	c.trip += c.trip / 50
	if c.known && c.last > c.trip {
		return
	}
	c.known, c.trip = true, c.last
	c.offset = showed.Sub(asked.Round(0).Add(c.last / 2))
}

// camera is what the camera's clock shows.
func (c *remoteClock) camera(now time.Time) time.Time { return now.Round(0).Add(c.offset) }

// roundTrip is the last one, or a guess.
func (c *remoteClock) roundTrip() time.Duration {
	if !c.known {
		return 100 * time.Millisecond
	}
	return c.last
}
