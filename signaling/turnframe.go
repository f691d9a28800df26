package signaling

import (
	"encoding/binary"
	"errors"
)

// maxFrame is the largest TURN message that is taken from a stream, in bytes:
// what fits into one UDP packet, and pion's buffer.
const maxFrame = 1500

var errFrame = errors.New("TURN: this is no stream of STUN messages and channel data")

// framing follows a stream of TURN messages (RFC 8656, section 3.6 and 12.5),
// so that none reaches pion whose length is a lie: it keeps what is incomplete
// for ever, and spins on a message that says it has 65536 bytes.
type framing struct {
	head [4]byte
	have int // of head
	left int // of the message's rest
}

// take follows what was received next.
func (f *framing) take(b []byte) error {
	for len(b) > 0 {
		if f.left > 0 {
			n := min(f.left, len(b))
			f.left -= n
			b = b[n:]
			continue
		}
		n := copy(f.head[f.have:], b)
		f.have += n
		b = b[n:]
		if f.have < len(f.head) {
			return nil
		}
		f.have = 0
		length := int(binary.BigEndian.Uint16(f.head[2:]))
		switch {
		case f.head[0] < 0x40 && length%4 == 0: // STUN: 16 more bytes of header
			f.left = 16 + length
		case f.head[0] >= 0x40 && f.head[0] < 0x80 && length > 0: // channel data, padded
			f.left = (length + 3) &^ 3
		default:
			return errFrame
		}
		if f.left > maxFrame {
			return errFrame
		}
	}
	return nil
}
