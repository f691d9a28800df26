package encode

import (
	"testing"
	"time"
)

var began = time.Now()

func peakMemory(t *testing.T) int64 {
	t.Skip("NOT TESTED: Windows' resident memory is not read here")
	return 0
}

// cpuTime is wall time here: benchmarks on Windows need an idle machine.
func cpuTime(testing.TB) time.Duration { return time.Since(began) }
