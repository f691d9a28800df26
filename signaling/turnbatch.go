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
	next  int            // of in
	count int            // of in
	out   []ipv4.Message // what of the last read goes by channels: a run each
	sizes []int          // of out: the first packet of each run
	runs  bool           // the system takes runs
}

func newBatch(from batchConn, runs bool) *batch {
	b := &batch{from: from, runs: runs, in: make([]ipv4.Message, relayBatch), out: make([]ipv4.Message, 0, relayBatch), sizes: make([]int, 0, relayBatch)}
	for i := range b.rooms {
		b.rooms[i] = make([]byte, channelHeader+relayPacket)
		b.in[i].Buffers = [][]byte{b.rooms[i][channelHeader:]}
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

// forward puts the packet that was taken into a channel of the client's. Packets
// of one size, and one shorter one after them, are a run: the system takes it as
// one message and cuts it, which costs a fraction of as many messages.
func (b *batch) forward(size int, channel uint16, client net.Addr) {
	whole := b.rooms[b.next-1][:channelHeader+size]
	binary.BigEndian.PutUint16(whole, channel)
	binary.BigEndian.PutUint16(whole[2:], uint16(size)) //nolint:gosec // at most relayPacket
	if last := len(b.out) - 1; last >= 0 && b.runs && b.out[last].Addr == client {
		run := &b.out[last]
		if len(run.Buffers[len(run.Buffers)-1]) == b.sizes[last] && len(whole) <= b.sizes[last] {
			run.Buffers = append(run.Buffers, whole)
			return
		}
	}
	b.out = b.out[:len(b.out)+1]
	b.sizes = append(b.sizes, len(whole))
	run := &b.out[len(b.out)-1]
	run.Buffers, run.Addr, run.OOB = append(run.Buffers[:0], whole), client, run.OOB[:0]
}

// flush sends what was forwarded; what the network does not take is lost.
func (b *batch) flush(to batchConn) {
	for i := range b.out {
		if run := &b.out[i]; len(run.Buffers) > 1 {
			run.OOB = cutEvery(b.sizes[i], run.OOB)
		}
	}
	for rest := b.out; len(rest) > 0; {
		n, err := to.WriteBatch(rest, 0)
		n = max(n, 0)
		if err != nil && n < len(rest) {
			if failed := rest[n]; len(failed.Buffers) > 1 {
				b.runs = false // an interface that sums nothing up, or a packet above its MTU
				for _, packet := range failed.Buffers {
					_, _ = to.WriteBatch([]ipv4.Message{{Buffers: [][]byte{packet}, Addr: failed.Addr}}, 0)
				}
			}
			n++
		}
		rest = rest[min(n, len(rest)):]
	}
	b.out, b.sizes = b.out[:0], b.sizes[:0]
}

// channels are those that a client of ours over UDP has bound: a copy of pion's,
// which is changed whole.
type channels struct {
	client *net.UDPAddr
	number map[netip.AddrPort]uint16 // by peer
}
