package peer

import "math"

const (
	// overheadPercent is what headers, encryption and retransmissions add to the
	// encoder's output; roomPercent what is left empty: pictures differ in size, and a
	// link that is full by the mean drops or delays a part of them.
	overheadPercent = 6
	roomPercent     = 10

	audioBitrate = 40_000 // what sound takes from a link, with its headers
	leastBitrate = 40_000 // an estimate is never lower: sound may always be tried

	// cautiousStart is for links of which nothing is known: a first picture of that
	// rate passes any soon, and its feedback tells more. startBitrate is for those
	// known to carry as much, leastStart for those known to carry little: what was told
	// is a guess.
	cautiousStart, startBitrate, leastStart = 350_000, 1_000_000, 200_000
	toldPercent                             = 90 // of what a link has carried
)

// startRate is the first estimate for a viewer whose link has carried told bit/s
// lately; 0: not known.
func (p *Publisher) startRate(told int) int {
	if told <= 0 {
		return min(cautiousStart, p.knownStart())
	}
	told = min(told, math.MaxInt/toldPercent) // a stranger's word
	return min(max(told*toldPercent/100, leastStart), p.knownStart())
}

// knownStart is the first estimate for a link that is not the limit. The others' are
// the best guess.
func (p *Publisher) knownStart() int {
	most := linkDemand(p.c.MaxBitrate, audioBitrate, 0)
	return min(max(startBitrate, linkDemand(p.VideoRate(), audioBitrate, 0)), most)
}

// videoBudget is the bit rate that an encoder may have whose packets share a
// link of estimate bit/s with audio bit/s of sound, and with parity percent of
// parity packets.
func videoBudget(estimate, audio, parity int) int {
	// In 64 bits: where an int has 32, percents of a fast link are too many for it.
	video := (int64(estimate) - int64(audio)) * 100 / int64(100+overheadPercent+roomPercent+parity)
	return int(max(0, video))
}

// hasRoom tells whether a link of estimate bit/s carries the most parity beside what is
// demanded, which counts share percent of it.
func hasRoom(estimate, demand, share int) bool {
	const besides = 100 + overheadPercent + roomPercent
	return int64(estimate)*int64(besides+share) >= int64(demand)*(besides+mostShare)
}

// linkDemand is what that much video and sound, and that many percent of parity,
// take of a link.
func linkDemand(video, audio, parity int) int {
	demand := int64(video)*int64(100+overheadPercent+roomPercent+parity)/100 + int64(audio)
	return int(min(demand, math.MaxInt))
}
