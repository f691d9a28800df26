package signaling

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// onTheWay asks a TCP connection for its round trip time, and for how many segments
// were sent and not acknowledged, or wait to be sent.
func onTheWay(raw syscall.RawConn) (round time.Duration, segments int) {
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return // as near
		}
		round = time.Duration(info.Rtt) * time.Microsecond
		segments = int(info.Unacked) + int(info.Notsent_bytes+gentlePiece-1)/gentlePiece
	})
	return round, segments
}
