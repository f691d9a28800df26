package peer

import "math"

const (
	// overheadPercent is what headers, encryption and retransmissions add to the
	// encoder's output; roomPercent what is left empty: pictures differ in size, and a
	// link that is full by the mean drops or delays a part of them.
	overheadPercent = 6
	roomPercent     = 10
)

// videoBudget is the bit rate that an encoder may have whose packets share a
// link of estimate bit/s with audio bit/s of sound, and with parity percent of
// parity packets.
func videoBudget(estimate, audio, parity int) int {
	// In 64 bits: where an int has 32, percents of a fast link are too many for it.
	video := (int64(estimate) - int64(audio)) * 100 / int64(100+overheadPercent+roomPercent+parity)
	return int(max(0, video))
}

// linkDemand is what that much video and sound, and that many percent of parity,
// take of a link.
func linkDemand(video, audio, parity int) int {
	demand := int64(video)*int64(100+overheadPercent+roomPercent+parity)/100 + int64(audio)
	return int(min(demand, math.MaxInt))
}
