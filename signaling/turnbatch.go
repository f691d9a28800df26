package signaling

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	// relayBatch is how many packets are taken, or sent, by one system call.
	relayBatch = 16
	// relayPacket is the largest packet that is relayed, in bytes; pion's.
	relayPacket = 1600
	// channelHeader is in front of channel data: the channel's number and the
	// length (RFC 8656, section 12.4). Over UDP there is no padding.
	channelHeader = 4
)

// batchConn is a UDP socket that takes and sends several packets at once, where
// the system can (Linux).
type batchConn interface {
	ReadBatch([]ipv4.Message, int) (int, error)
	WriteBatch([]ipv4.Message, int) (int, error)
}

func newBatchConn(c net.PacketConn) batchConn {
	if a, ok := c.LocalAddr().(*net.UDPAddr); ok && a.IP.To4() == nil {
		return ipv6.NewPacketConn(c)
	}
	return ipv4.NewPacketConn(c)
}

// batch holds packets on their way from peers to a client. Media goes by
// channels, whose packets are neither copied nor seen by pion.
type batch struct {
	from  batchConn
	rooms [relayBatch][]byte // a packet, and before it room for a header
	in    []ipv4.Message
	out   []ipv4.Message // those of the last read that go by channels
	next  int            // of in
	count int            // of in
}

func newBatch(from batchConn) *batch {
	b := &batch{from: from, in: make([]ipv4.Message, relayBatch), out: make([]ipv4.Message, relayBatch)[:0]}
	for i := range b.rooms {
		b.rooms[i] = make([]byte, channelHeader+relayPacket)
		b.in[i].Buffers = [][]byte{b.rooms[i][channelHeader:]}
		b.out[:relayBatch][i].Buffers = make([][]byte, 1)
	}
	return b
}

// take is the next packet and whom it is from, after a read if there is none.
func (b *batch) take() (packet []byte, from netip.AddrPort, err error) {
	if b.next >= b.count {
		if b.count, err = b.from.ReadBatch(b.in, 0); err != nil {
			b.count = 0
			return nil, netip.AddrPort{}, err
		}
		b.next = 0
	}
	m := &b.in[b.next]
	b.next++
	if udp, ok := m.Addr.(*net.UDPAddr); ok {
		from = udp.AddrPort()
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	}
	return m.Buffers[0][:m.N], from, nil
}

// last tells whether the next take reads.
func (b *batch) last() bool { return b.next >= b.count }

// forward puts the packet that was taken into a channel of the client's.
func (b *batch) forward(size int, channel uint16, client net.Addr) {
	whole := b.rooms[b.next-1][:channelHeader+size]
	binary.BigEndian.PutUint16(whole, channel)
	binary.BigEndian.PutUint16(whole[2:], uint16(size)) //nolint:gosec // at most relayPacket
	b.out = b.out[:len(b.out)+1]
	m := &b.out[len(b.out)-1]
	m.Buffers[0], m.Addr = whole, client
}

// flush sends what was forwarded; what the network does not take is lost.
func (b *batch) flush(to batchConn) {
	for rest := b.out; len(rest) > 0; {
		n, err := to.WriteBatch(rest, 0)
		if err != nil {
			n = max(n, 0) + 1 // that one
		}
		rest = rest[min(n, len(rest)):]
	}
	b.out = b.out[:0]
}

// channels are those that a client of ours over UDP has bound: a copy of pion's,
// which is changed whole.
type channels struct {
	client *net.UDPAddr
	number map[netip.AddrPort]uint16 // by peer
}
