//go:build unix

package encode

import (
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"
)

// peakMemory is the most memory the process ever had resident, bytes: C's and
// Go's, the latter kept low.
func peakMemory(t *testing.T) int64 {
	debug.FreeOSMemory()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) << 10
}

// cpuTime is what the process has used of the processor so far.
func cpuTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
