//go:build !linux

package main

import "time"

// threadClock is the time on the clock, where a thread's own cannot be asked.
func threadClock() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

// Who listens on a port is not to be learned here without rights.
func portUser(int) string { return "" }
