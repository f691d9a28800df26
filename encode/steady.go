package encode

import "time"

// libvpx's rate control keeps the mean over a second, and lets a second's worth of
// bits come at once where the picture changes: on a link that has just the rate, that
// is the queue. steady bounds the quantizer from below while more has gone out than
// such a link has carried, leaves out a picture where that does not help, and finds
// those that are worth being made again. All times are what a link of the target's rate
// takes. It is told the time.
type steady struct {
	debt      time.Duration // what still waits
	kbits     int           // the rate that this is by
	last      time.Time
	gap       time.Duration // between pictures, on average
	quantizer float64       // average
}

const (
	// freeDebt, or freeGaps between pictures, is what the base layer's larger pictures
	// come to.
	freeDebt = 60 * time.Millisecond
	freeGaps = 1.8
	// stepDebt is the debt beyond that costs one step of 64 of the quantizer.
	stepDebt = 8 * time.Millisecond
	// mostTime, or mostGaps between pictures, is how long one picture may take. One that
	// would take longer is made again, as coarse as can be: what comes after makes up
	// for it.
	mostTime = 150 * time.Millisecond
	mostGaps = 4.5
	// A picture that comes while more than fullDebt waits, or fullGaps between pictures,
	// is left out; twice that where the quantizer is not bounded.
	fullDebt = 300 * time.Millisecond
	fullGaps = 9.
	// coarseSteps below the coarsest nothing is gained by making it again.
	coarseSteps = 4
)

// full tells whether to leave out the picture taken at t, where they come a gap apart
// and the quantizer is bounded or not.
func (s *steady) full(t time.Time, gap time.Duration, kbits int, bounded bool) bool {
	s.gap = gap
	if !s.last.IsZero() {
		s.debt = max(0, s.debt-max(0, t.Sub(s.last)))
	}
	if kbits > s.kbits { // what waits goes out sooner
		s.debt = s.debt * time.Duration(s.kbits) / time.Duration(kbits)
	}
	s.last, s.kbits = t, kbits
	most := longer(fullDebt, fullGaps, gap)
	if !bounded {
		most *= 2
	}
	return s.debt > most
}

// bound is the quantizer, from least to most, of the picture that full was asked about.
func (s *steady) bound(least, most int) int {
	beyond := s.debt - longer(freeDebt, freeGaps, s.gap)
	if beyond <= 0 {
		return least
	}
	return min(max(least, int(s.quantizer)+int(beyond/stepDebt)), most)
}

// sent accounts for a picture of so many bytes, made with that quantizer.
func (s *steady) sent(size, quantizer int) {
	s.debt += takes(size, s.kbits)
	if s.quantizer == 0 {
		s.quantizer = float64(quantizer)
	}
	s.quantizer += (float64(quantizer) - s.quantizer) / 10
}

// again tells that the picture is to be made again.
func (s *steady) again(size, quantizer, most int) bool {
	return takes(size, s.kbits) > longer(mostTime, mostGaps, s.gap) && quantizer < most-coarseSteps
}

// longer is the longer one of d and so many gaps.
func longer(d time.Duration, gaps float64, gap time.Duration) time.Duration {
	return max(d, time.Duration(gaps*float64(gap)))
}

// takes is how long so many bytes take.
func takes(size, kbits int) time.Duration {
	return time.Duration(size) * 8 * time.Millisecond / time.Duration(max(kbits, 1))
}
