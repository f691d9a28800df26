package capture

import (
	"fmt"
	"time"
)

// sizeGuard decides whether the size that a compressed picture says it has is
// to be believed: a damaged header would change the size of the stream for
// one picture. The zero value believes the first.
type sizeGuard struct {
	w, h   int // believed
	nw, nh int // said by the last ones instead
	n      int // times in a row
}

// sizeInsisted is how often in a row another size must come to be believed.
const sizeInsisted = 3

func (g *sizeGuard) believe(w, h int) bool {
	switch {
	case g.w == 0 || w&^1 == g.w&^1 && h&^1 == g.h&^1:
		g.w, g.h, g.n = w, h, 0
		return true
	case w != g.nw || h != g.nh:
		g.nw, g.nh, g.n = w, h, 0
	}
	if g.n++; g.n < sizeInsisted {
		return false
	}
	*g = sizeGuard{w: w, h: h}
	return true
}

// errSlept ends the reading of a camera after the machine was suspended: many
// hang then, or have forgotten how they were set up.
var errSlept = fmt.Errorf("the machine slept: %w", errAgain)

// sleepWatch notices that the machine slept.
type sleepWatch struct {
	known  bool
	behind time.Duration // of the clock that stops in sleep
}

// slept takes the time since boot with and without sleep and tells whether
// there was a sleep since the last call. A second is more than the two
// readings can be apart.
func (s *sleepWatch) slept(with, without time.Duration) bool {
	behind := with - without
	slept := s.known && behind-s.behind > time.Second
	s.known, s.behind = true, behind
	return slept
}
