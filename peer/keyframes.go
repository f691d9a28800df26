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
