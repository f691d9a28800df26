package signaling

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/turn/v5"
	"golang.org/x/time/rate"
)

// relay is the UDP socket of one relay, as pion sees it: what may not pass
// seems to be lost on the network.
type relay struct {
	*net.UDPConn
	t        *TURN
	port     relayPort
	client   tuple // once pion has told, under t.mu
	user     string
	in, out  *rate.Limiter // bytes
	counters turnCounters
	to, from atomic.Pointer[passage] // the last decisions
	batch    *batch                  // ReadFrom's alone
	clients  batchConn               // the server's socket of a client over UDP, else nil
	channels atomic.Pointer[channels]
	once     sync.Once
}

// passage is a decision for packets to or from an address.
type passage struct {
	addr    netip.AddrPort
	way     netip.AddrPort
	udp     *net.UDPAddr // way
	ok      bool
	version uint64
}

type turnCounters struct{ packets, bytes, dropped atomic.Uint64 }

func (c *turnCounters) add(o *turnCounters) {
	c.packets.Add(o.packets.Load())
	c.bytes.Add(o.bytes.Load())
	c.dropped.Add(o.dropped.Load())
}

// WriteTo sends a client's packet to a peer.
func (r *relay) WriteTo(b []byte, addr net.Addr) (int, error) {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("TURN: %v is no UDP address", addr)
	}
	to := udp.AddrPort()
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	p := r.to.Load()
	if p == nil || p.addr != to || p.version != r.t.reach.version.Load() {
		p = &passage{addr: to}
		p.way, p.ok, p.version = r.t.reach.route(to)
		r.to.Store(p)
	}
	if !p.ok || !r.pass(r.out, len(b)) {
		r.counters.dropped.Add(1)
		return len(b), nil
	}
	return r.WriteToUDPAddrPort(b, p.way)
}

// ReadFrom receives a packet for the client. Those of its channels are on their
// way already.
func (r *relay) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		if r.batch.last() && r.clients != nil {
			r.batch.flush(r.clients)
		}
		packet, from, err := r.batch.take()
		if err != nil {
			return 0, nil, err
		}
		p := r.from.Load()
		if p == nil || p.addr != from || p.version != r.t.reach.version.Load() {
			p = &passage{addr: from}
			p.way, p.version = r.t.reach.origin(from)
			p.udp = net.UDPAddrFromAddrPort(p.way)
			r.from.Store(p)
		}
		if !r.pass(r.in, len(packet)) {
			r.counters.dropped.Add(1)
			continue
		}
		if c := r.channels.Load(); c != nil {
			if number, ok := c.number[p.way]; ok {
				r.batch.forward(len(packet), number, c.client)
				continue
			}
		}
		return copy(b, packet), p.udp, nil
	}
}

func (r *relay) pass(l *rate.Limiter, n int) bool {
	if !l.AllowN(time.Now(), n) {
		return false
	}
	r.counters.packets.Add(1)
	r.counters.bytes.Add(uint64(n))
	return true
}

// Close ends the relay; pion may close one twice.
func (r *relay) Close() error {
	r.once.Do(func() {
		_ = r.UDPConn.Close() // there is nothing to flush
		r.t.reach.removeRelay(r.port)
		r.t.quota.release(r)
		r.t.mu.Lock()
		r.t.reach.end(r.client, r)
		delete(r.t.relays, r)
		delete(r.t.ports, r.port)
		r.t.total.add(&r.counters)
		r.t.mu.Unlock()
		r.t.running.Done()
	})
	return nil
}

// relayMaker makes relays for pion.
type relayMaker struct {
	t       *TURN
	clients batchConn // nil for streams
	runs    bool      // clients takes several packets as one message
}

var (
	errTCPRelay   = errors.New("TURN: relays of TCP (RFC 6062) are not offered")
	errNoRelay    = errors.New("TURN: no more relays")
	errFamilyless = errors.New("TURN: no public address of that family")
)

func (m *relayMaker) Validate() error { return nil }

func (m *relayMaker) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errTCPRelay
}

func (m *relayMaker) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) {
	return nil, errTCPRelay
}

// AllocatePacketConn opens a relay.
func (m *relayMaker) AllocatePacketConn(c turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	t := m.t
	v6 := strings.HasSuffix(c.Network, "6")
	i := slices.IndexFunc(t.cfg.Public, func(a netip.Addr) bool { return a.Is6() == v6 })
	if i < 0 {
		return nil, nil, errFamilyless
	}
	r := &relay{t: t, user: c.UserID, in: t.limiter(), out: t.limiter()}
	if !t.quota.take(r) {
		t.refuse("full")
		return nil, nil, errNoRelay
	}
	conn, err := t.listen(c.Network, c.RequestedPort)
	if err != nil {
		t.quota.release(r)
		return nil, nil, err
	}
	r.UDPConn, r.batch, r.clients = conn, newBatch(newBatchConn(conn), m.runs), m.clients
	r.port = relayPort{v6, conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()}
	public := netip.AddrPortFrom(t.cfg.Public[i], r.port.port)
	t.mu.Lock()
	if t.closing {
		t.mu.Unlock()
		t.quota.release(r)
		return nil, nil, errors.Join(errNoRelay, conn.Close())
	}
	t.relays[r] = struct{}{}
	t.ports[r.port] = r
	t.running.Add(1)
	t.mu.Unlock()
	t.reach.addRelay(r.port, public)
	return r, net.UDPAddrFromAddrPort(public), nil
}

// limiter allows bursts of a quarter of a second, and of any one packet.
func (t *TURN) limiter() *rate.Limiter {
	bytes := t.cfg.Bitrate / 8
	return rate.NewLimiter(rate.Limit(bytes), max(bytes/4, 1<<16))
}

// listen opens a UDP port among those for relays.
func (t *TURN) listen(network string, port int) (*net.UDPConn, error) {
	if port != 0 {
		return net.ListenUDP(network, &net.UDPAddr{Port: port})
	}
	var err error
	for range 32 {
		port := int(t.cfg.MinPort) + rand.IntN(int(t.cfg.MaxPort)-int(t.cfg.MinPort)+1) //nolint:gosec // any free port will do
		var conn *net.UDPConn
		if conn, err = net.ListenUDP(network, &net.UDPAddr{Port: port}); err == nil {
			return conn, nil
		}
	}
	return nil, fmt.Errorf("TURN: no free port among %d-%d was found: %w", t.cfg.MinPort, t.cfg.MaxPort, err)
}

// opened is told of a relay that pion has made for a client.
func (t *TURN) opened(client, server net.Addr, user string, at net.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.relayAt(at); r != nil {
		r.client = tupleOf(client, server)
		t.reach.begin(r.client, r)
		t.quota.belongs(r, prefixOf(client))
	}
	for s := range t.streams {
		// One client port may be connected to several of ours.
		if s.RemoteAddr().String() == client.String() && s.LocalAddr().String() == server.String() {
			s.member.Store(true)
		}
	}
	t.cfg.Log.Debug("TURN: relay opened", "client", client, "user", user, "relay", at)
}

// relayAt finds a relay by its public address; t.mu is held.
func (t *TURN) relayAt(at net.Addr) *relay {
	udp, ok := at.(*net.UDPAddr)
	if !ok {
		return nil
	}
	port := relayPort{udp.IP.To4() == nil, uint16(udp.Port)} //nolint:gosec // a port
	return t.ports[port]
}

// bound is told of a channel that a client has made, or lost: number 0.
func (t *TURN) bound(client, at, peer net.Addr, number uint16) {
	to, ok := peer.(*net.UDPAddr)
	from, overUDP := client.(*net.UDPAddr)
	if !ok || !overUDP {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.relayAt(at)
	if r == nil || r.clients == nil {
		return
	}
	now := &channels{client: from, number: map[netip.AddrPort]uint16{}}
	if old := r.channels.Load(); old != nil {
		maps.Copy(now.number, old.number)
	}
	addr := to.AddrPort()
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if number == 0 {
		delete(now.number, addr)
	} else {
		now.number[addr] = number
	}
	r.channels.Store(now)
}
