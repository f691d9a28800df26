package signaling

import (
	"encoding/binary"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// takesRuns tells whether the system cuts one message into several packets (UDP
// generic segmentation offload, Linux 4.18). An older one would send it whole.
func takesRuns(c net.PacketConn) bool {
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	asked := raw.Control(func(fd uintptr) { _, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT) }) //nolint:gosec // a descriptor
	return asked == nil && err == nil
}

// cutEvery is the control message that has a message cut into packets of size
// bytes, the last of what is left (UDP_SEGMENT in udp(7)), in into's memory.
func cutEvery(size int, into []byte) []byte {
	if cap(into) == 0 {
		into = make([]byte, unix.CmsgSpace(2))
	}
	into = into[:unix.CmsgSpace(2)]
	h := (*unix.Cmsghdr)(unsafe.Pointer(&into[0])) //nolint:gosec // as large as CmsgSpace says
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(into[unix.CmsgLen(0):], uint16(size)) //nolint:gosec // at most relayPacket
	return into
}
