//go:build !linux

package signaling

import "net"

func takesRuns(net.PacketConn) bool { return false }

func cutEvery(_ int, into []byte) []byte { return into }
