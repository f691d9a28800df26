package peer

import "time"

// doubles sends what was sent again once more, a picture later: where packets are lost
// in bursts parity is of no use, and one that is lost twice comes a round trip too late
// for most patience. It costs as much as is lost.
type doubles struct {
	on   bool
	seqs [32]uint16
	n    int
}

// add notes a packet that was sent again; of too many the rest has one chance.
func (d *doubles) add(seq uint16) {
	if d.on && d.n < len(d.seqs) {
		d.seqs[d.n] = seq
		d.n++
	}
}

// take empties it.
func (d *doubles) take() []uint16 {
	n := d.n
	d.n = 0
	return d.seqs[:n]
}

// sendDoubles goes before a picture, not with the first sending: a burst that has hit
// that one would hit this one as well.
func (s *Session) sendDoubles(now time.Time) {
	for _, seq := range s.doubles.take() {
		p := s.history.get(seq)
		if p == nil || int16(seq-s.keyStart) < 0 || s.blocked() || !s.repair.spend(p.size()) { //nolint:gosec // wraps
			continue
		}
		s.counters.Resent.Add(1)
		s.sendAgain(now, p, 0)
	}
}
