package peer

import "time"

// bursts is the queue that our own packets would make on a link that carries
// what we think: frames leave in bursts, and their last packets wait for the
// first. What waits longer than that waits for something else.
type bursts struct{ free time.Duration }

const (
	// burstDrain is how much faster than the target that link is: else a stream
	// that nearly fills it would explain any queue.
	burstDrain = 1.2
	burstMost  = 60 * time.Millisecond
)

// add takes a packet in the order of sending, on a link of rate bit/s, and
// returns how long it waits.
func (b *bursts) add(sent time.Duration, size int, rate float64) time.Duration {
	b.free = min(max(b.free, sent), sent+burstMost)
	wait := b.free - sent
	b.free += time.Duration(float64(size*8) / rate * 1e9)
	return wait
}
