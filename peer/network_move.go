package peer

import (
	"net/netip"
	"slices"
	"time"
)

// Move is a change of the machine's addresses.
type Move struct {
	// Here are the addresses that it has now.
	Here []netip.Addr
	// Slept says that it did, for seconds at least: the others may have given up.
	Slept bool
}

// Lost tells whether what was sent from an address cannot be any more.
func (m Move) Lost(from netip.Addr) bool {
	return m.Slept || from.IsValid() && !from.IsLoopback() && !slices.Contains(m.Here, from)
}

// sleptFor is how much further than the clock that stands still in sleep the
// other must have gone on for a sleep.
const sleptFor = 3 * time.Second

// look is what a machine's addresses were at a time.
type look struct {
	awake time.Duration // by a clock that stands still while the machine sleeps
	at    time.Time     // by one that does not
	addrs []netip.Addr  // sorted
}

// until tells how things are later, and whether what has changed matters: with
// no address left there is nothing to be done until one comes.
func (before look) until(now look) (m Move, matters bool) {
	slept := now.at.Sub(before.at) - (now.awake - before.awake)
	m = Move{Here: slices.Clone(now.addrs), Slept: slept > sleptFor}
	return m, len(now.addrs) > 0 && (m.Slept || !slices.Equal(before.addrs, now.addrs))
}
