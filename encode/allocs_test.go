//go:build !race

package encode

import (
	"testing"

	"github.com/peercam/peercam/capture"
)

// Under the race detector sync.Pool forgets on purpose what it was given.

func TestThreeRungsCostNoAllocation(t *testing.T) {
	r := standing(t, 7, 7)
	f, n := &capture.Frame{YCbCr: newScene(384, 368).frame(0)}, 0
	encode := func() {
		// The guard would leave pictures out, were they taken at this pace.
		f.Time = at(n, 1)
		n++
		r.picture(f)
	}
	for range 20 {
		encode()
	}
	if got := testing.AllocsPerRun(100, encode); got != 0 {
		t.Errorf("%v allocations a picture", got)
	}
	if got := testing.AllocsPerRun(100, func() { r.Rungs() }); got != 0 {
		t.Errorf("Rungs makes %v allocations", got)
	}
}
