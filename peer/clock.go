package peer

import (
	"encoding/binary"
	"time"
)

// mediaClock relates capture times to the wall clock of RTCP, once for all
// sessions: a step of the system's clock must not move the RTP timestamps.
type mediaClock struct{ epoch time.Time }

// rtp is the RTP timestamp of t at the given rate in Hz, from zero at the epoch.
func (c mediaClock) rtp(t time.Time, rate int64) uint32 {
	d := t.Sub(c.epoch)
	s, ns := int64(d/time.Second), int64(d%time.Second)
	return uint32(s*rate + ns*rate/int64(time.Second)) //nolint:gosec // wraps as RTP timestamps do
}

// ntp is t as a 64 bit NTP timestamp, UQ32.32 seconds since 1900 (RFC 3550, section 4).
func (c mediaClock) ntp(t time.Time) uint64 {
	wall := c.epoch.Round(0).Add(t.Sub(c.epoch))
	s := uint64(wall.Unix()) + 2208988800 //nolint:gosec // after 1900
	return s<<32 | uint64(wall.Nanosecond())<<32/uint64(time.Second)
}

// unixMilli is t in ms since 1970, by the same clock.
func (c mediaClock) unixMilli(t time.Time) float64 {
	return float64(c.epoch.Round(0).Add(t.Sub(c.epoch)).UnixNano()) / 1e6
}

// compactNTP is the middle 32 bits, as receiver reports echo them.
func compactNTP(ntp uint64) uint32 { return uint32(ntp >> 16) } //nolint:gosec // cut on purpose

// roundTrip is the round trip time that a report block tells (RFC 3550,
// section 6.4.1): now, the echoed time of our report and the viewer's delay,
// all in 1/65536 s. False when it says nothing.
func roundTrip(now uint64, lastReport, delay uint32) (time.Duration, bool) {
	if lastReport == 0 {
		return 0, false
	}
	d := int32(compactNTP(now) - lastReport - delay) //nolint:gosec // the sign tells a clock step
	if d < 0 || d > 65536*30 {
		return 0, false
	}
	return time.Duration(d) * time.Second / 65536, true
}

// putAbsCaptureTime writes the abs-capture-time extension's short form: the
// NTP time at which the frame was taken, eight bytes.
func putAbsCaptureTime(b *[8]byte, ntp uint64) { binary.BigEndian.PutUint64(b[:], ntp) }
