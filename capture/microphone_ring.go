package capture

import (
	"sync"
	"time"
)

// soundRing carries runs of sound from a device's callback, which must never
// wait, to a reader. When the reader is late the oldest run is dropped.
type soundRing struct {
	mu      sync.Mutex
	runs    [micRuns]soundRun // whose PCM are the ring's own
	oldest  int
	filled  int
	dropped uint64        // runs
	ready   chan struct{} // of capacity 1: something was put
}

// micRuns bounds the ring at about half a second.
const micRuns = 50

// soundRun is a run whose PCM is its holder's.
type soundRun Samples

func newSoundRing() *soundRing { return &soundRing{ready: make(chan struct{}, 1)} }

// put copies s; once every run has had its size it does not allocate.
func (r *soundRing) put(s Samples) {
	r.mu.Lock()
	if r.filled == micRuns {
		r.oldest = (r.oldest + 1) % micRuns
		r.filled--
		r.dropped++
	}
	run := &r.runs[(r.oldest+r.filled)%micRuns]
	s.PCM = append(run.PCM[:0], s.PCM...)
	*run = soundRun(s)
	r.filled++
	r.mu.Unlock()
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// take moves the oldest run to out, whose old room the ring goes on to use.
func (r *soundRing) take(out *soundRun) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.filled == 0 {
		return false
	}
	run := &r.runs[r.oldest]
	*out, *run = *run, soundRun{PCM: out.PCM}
	r.oldest = (r.oldest + 1) % micRuns
	r.filled--
	return true
}

// soundClock tells when runs of sound were taken from when they arrived. A run
// arrives late or very late but never early, so the clock follows early
// arrivals fast and late ones slowly: the sound card's drift, not the
// scheduler's. Times only rise, and never lie in the future.
type soundClock struct{ last, next time.Time }

// soundGap is how late a run must be for a gap in the sound: the device
// paused, or runs were lost.
const soundGap = 150 * time.Millisecond

// stamp returns when the first sample of a run of length d was taken that has
// just arrived.
func (c *soundClock) stamp(arrived time.Time, d time.Duration) time.Time {
	t := arrived.Add(-d)
	if off := t.Sub(c.next); !c.next.IsZero() && off < soundGap {
		if off > 0 {
			off /= 128
		} else {
			off = max(off/16, -d/2)
		}
		t = c.next.Add(off)
		if t.After(arrived) {
			t = arrived
		}
		if !t.After(c.last) {
			t = c.last.Add(time.Microsecond)
		}
	}
	c.last = t
	c.next = t.Add(d)
	return t
}
