package peer

// VP8 in RTP, RFC 7741.

const (
	// maxPacket is the most bytes of an RTP packet before encryption; with tag,
	// UDP and IPv6 headers it stays under the 1280 bytes every path carries.
	maxPacket = 1200
	// descriptorSize is the length of the payload descriptor we send: the
	// required octet, the extension octet, a 15 bit picture id, TL0PICIDX and
	// the octet of the temporal layer.
	descriptorSize = 6
	// maxHeader is the RTP header with all extensions we may add.
	maxHeader = 12 + 4 + 24
	// A parity packet is longer than the longest that it protects: by its own header, and
	// by the extensions of that one's.
	maxChunk = maxPacket - maxHeader - descriptorSize - fecHeaderSize - 4
)

// putDescriptor writes the payload descriptor of RFC 7741, section 4.2, and
// returns its length.
func putDescriptor(b []byte, p *sentPacket) int {
	b[0] = 0x80 // X: extension octet follows
	if p.part == 0 {
		b[0] |= 0x10 // S, partition index 0
	}
	b[1] = 0x80 | 0x40 | 0x20 // I, L, T: picture id, TL0PICIDX and TID follow
	b[2] = 0x80 | byte(p.pictureID>>8)
	b[3] = byte(p.pictureID)
	b[4] = p.baseID
	b[5] = byte(p.frame.Layer) << 6 //nolint:gosec // at most 3
	if p.frame.Sync || p.frame.Key {
		b[5] |= 0x20 // Y: refers to the base layer only
	}
	return descriptorSize
}

// packetCount is the number of packets that a frame of n bytes needs.
func packetCount(n int) int {
	if n == 0 {
		return 1
	}
	return (n + maxChunk - 1) / maxChunk
}

// chunk is the k-th of count nearly equal parts of data: packets of one size
// leave no runt that costs as much as a full one.
func chunk(data []byte, k, count int) []byte {
	return data[len(data)*k/count : len(data)*(k+1)/count]
}
