//go:build !linux

package main

import "time"

// threadClock is the time on the clock, where a thread's own cannot be asked.
func threadClock() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

// Who has a device or a port open is not to be learned here without rights.
func deviceUser(string) string { return "" }
func portUser(int) string      { return "" }
