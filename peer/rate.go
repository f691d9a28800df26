package peer

// overheadPercent is what headers, encryption and retransmissions add to the
// encoder's output.
const overheadPercent = 6

// videoRate is the bit rate for an encoder whose packets share a link of
// estimate bit/s with audio bit/s of sound: what is left, less the overhead,
// within [least, most].
func videoRate(estimate, audio, least, most int) int {
	rate := (estimate - audio) * 100 / (100 + overheadPercent)
	return min(max(rate, least), most)
}
