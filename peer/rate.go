package peer

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
	return max(0, (estimate-audio)*100/(100+overheadPercent+roomPercent+parity))
}

// linkDemand is what that much video and sound, and that many percent of parity,
// take of a link.
func linkDemand(video, audio, parity int) int {
	return video*(100+overheadPercent+roomPercent+parity)/100 + audio
}
