package peer

// overheadPercent is what headers, encryption and retransmissions add to the
// encoder's output.
const overheadPercent = 6

// videoBudget is the bit rate that an encoder may have whose packets share a
// link of estimate bit/s with audio bit/s of sound.
func videoBudget(estimate, audio int) int {
	return max(0, (estimate-audio)*100/(100+overheadPercent))
}

// linkDemand is what video and sound of that much take of a link.
func linkDemand(video, audio int) int { return video*(100+overheadPercent)/100 + audio }
