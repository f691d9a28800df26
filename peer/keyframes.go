package peer

import "time"

// keyFrameInterval is the least time between two key frames that viewers ask
// for. A key frame costs as much as ten others, and one serves everybody.
const keyFrameInterval = 300 * time.Millisecond

// keyThrottle coalesces requests for key frames. Its zero value is ready.
type keyThrottle struct {
	last    time.Time // when the encoder was last asked, or made one by itself
	pending bool
}

// request notes that somebody needs a key frame and tells whether to ask the
// encoder now; else due does later.
func (k *keyThrottle) request(now time.Time) bool {
	k.pending = true
	return k.due(now)
}

// due tells whether a request that had to wait may go to the encoder now.
func (k *keyThrottle) due(now time.Time) bool {
	if !k.pending || now.Sub(k.last) < keyFrameInterval {
		return false
	}
	k.pending, k.last = false, now
	return true
}

// keyAsks keeps one viewer, whose decoder never recovers or who means ill, from
// costing all others of its rung a key frame each interval. Its zero value is ready.
type keyAsks struct {
	last   time.Time
	streak int // so many in a row came soon after one another
}

const (
	// freeAsks in a row are heard at once: a bad link may need as many.
	freeAsks    = 4
	longestAsks = 5 * time.Second
	// calmAsks without any and they are free again.
	calmAsks = 10 * time.Second
)

// may tells whether a request counts.
func (k *keyAsks) may(now time.Time) bool {
	pause := now.Sub(k.last)
	if k.last.IsZero() || pause >= calmAsks {
		k.streak = 0
	}
	if wait := min(keyFrameInterval<<max(0, min(k.streak, 20)-freeAsks), longestAsks); k.streak > 0 && pause < wait {
		return false
	}
	k.last = now
	k.streak++
	return true
}
