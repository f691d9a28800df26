package capture

import (
	"sync"
	"time"
)

// pacer waits for due times that are fixed from the start, so that no error
// adds up, and is woken by stop.
type pacer struct {
	start time.Time
	timer *time.Timer
	done  chan struct{}
	once  sync.Once
}

func newPacer(start time.Time) *pacer {
	t := time.NewTimer(0)
	return &pacer{start: start, timer: t, done: make(chan struct{})}
}

// wait returns at start+offset with the time that it was, or ErrClosed. The
// wall clock of that time is the one of now, even if it was set meanwhile;
// what rises strictly is its monotonic reading.
func (p *pacer) wait(offset time.Duration) (time.Time, error) {
	due := p.start.Add(offset)
	p.timer.Reset(time.Until(due))
	select {
	case <-p.done:
		return time.Time{}, ErrClosed
	default:
	}
	select {
	case <-p.timer.C:
	case <-p.done:
		return time.Time{}, ErrClosed
	}
	now := time.Now()
	return now.Add(-now.Sub(due)), nil
}

// late is how long start+offset has passed.
func (p *pacer) late(offset time.Duration) time.Duration {
	return time.Since(p.start.Add(offset))
}

func (p *pacer) stop() {
	p.once.Do(func() {
		close(p.done)
		p.timer.Stop()
	})
}

// ticks is n*den/num seconds without overflow or rounding that adds up.
func ticks(n, num, den int64) time.Duration {
	sec, rem := n*den/num, n*den%num
	return time.Duration(sec)*time.Second + time.Duration(rem*int64(time.Second)/num)
}

// meter tells a live stream from one that comes as fast as it is read, such as
// a film piped in without -re, and slows the latter down to its own rate. A
// live stream is never slowed down, also when it catches up after a pause.
type meter struct {
	ahead time.Duration // of the clock, in the stream's own time
	last  time.Time
	paced bool
}

const (
	meterAhead = time.Second      // no live stream gets further ahead than this
	meterBack  = 10 * time.Second // after a pause it may catch up this much
	meterSlack = 20               // a live stream's clock may be 1/meterSlack fast
)

// wait takes the time and the length of what is about to be read, and says how
// long to wait before reading it.
func (m *meter) wait(now time.Time, length time.Duration) time.Duration {
	if !m.last.IsZero() {
		elapsed := now.Sub(m.last)
		if !m.paced {
			elapsed += elapsed / meterSlack
		}
		m.ahead -= elapsed
	}
	m.last = now
	m.ahead = max(m.ahead+length, -meterBack)
	switch {
	case m.ahead > meterAhead:
		m.paced = true
	case m.ahead < 0:
		m.paced = false
	}
	if !m.paced {
		return 0
	}
	return max(0, m.ahead-meterAhead)
}

// sleeper is a sleep that a closed channel ends.
type sleeper struct{ timer *time.Timer }

// sleep is false when done was closed.
func (s *sleeper) sleep(d time.Duration, done <-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	if s.timer == nil {
		s.timer = time.NewTimer(d)
	} else {
		s.timer.Reset(d)
	}
	select {
	case <-s.timer.C:
		return true
	case <-done:
		s.timer.Stop()
		return false
	}
}
