package capture

import (
	"sync"
	"time"
)

// devicePoll is how often devices are looked for where the system does not
// tell when one comes or goes.
const devicePoll = time.Second

// deviceWatch tells by C that a camera may have come, gone or become
// permitted since the last time.
type deviceWatch struct {
	C    <-chan struct{} // holds one event
	stop func()
}

// close returns when nothing of the watch is left. Closing again does nothing.
func (w *deviceWatch) close() { w.stop() }

// pollDevices is the watch of a system that does not tell.
func pollDevices(period time.Duration) *deviceWatch {
	c, done := make(chan struct{}, 1), make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		ticker := time.NewTicker(period)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				notify(c)
			case <-done:
				return
			}
		}
	})
	return &deviceWatch{c, sync.OnceFunc(func() { close(done); wait.Wait() })}
}

// notify leaves an event in c, if there is none yet.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
