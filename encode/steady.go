package encode

import "time"

// libvpx's rate control keeps the mean over a second, and lets a second's worth of
// bits come at once where the picture changes: on a link that has just the rate, that
// is the queue. steady bounds the quantizer from below while more has gone out than
// such a link has carried, and finds pictures that are worth being made again. All
// times are what a link of the target's rate takes. It is told the time.
type steady struct {
	debt      time.Duration // what still waits
	last      time.Time
	quantizer float64 // average
}

const (
	// freeDebt is what the base layer's larger pictures come to.
	freeDebt = 60 * time.Millisecond
	// stepDebt is the debt beyond freeDebt that costs one step of 64 of the quantizer.
	stepDebt = 8 * time.Millisecond
	// mostTime is how long one picture may take. One that would take longer is made
	// again, as coarse as can be: what comes after makes up for it.
	mostTime = 150 * time.Millisecond
	// coarseSteps below the coarsest nothing is gained by making it again.
	coarseSteps = 4
)

// least is the quantizer of the picture taken at t from least to most.
func (s *steady) least(t time.Time, least, most int) int {
	if !s.last.IsZero() {
		s.debt = max(0, s.debt-max(0, t.Sub(s.last)))
	}
	s.last = t
	if s.debt <= freeDebt {
		return least
	}
	return min(max(least, int(s.quantizer)+int((s.debt-freeDebt)/stepDebt)), most)
}

// sent accounts for a picture of so many bytes, made with that quantizer.
func (s *steady) sent(size, kbits, quantizer int) {
	s.debt += takes(size, kbits)
	if s.quantizer == 0 {
		s.quantizer = float64(quantizer)
	}
	s.quantizer += (float64(quantizer) - s.quantizer) / 10
}

// again tells that the picture is to be made again.
func (s *steady) again(size, kbits, quantizer, most int) bool {
	return takes(size, kbits) > mostTime && quantizer < most-coarseSteps
}

// takes is how long so many bytes take.
func takes(size, kbits int) time.Duration {
	return time.Duration(size) * 8 * time.Millisecond / time.Duration(max(kbits, 1))
}
