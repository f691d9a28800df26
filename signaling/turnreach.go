package signaling

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

// reach decides where relays may send. What is another machine's it decides by
// address, what is this machine's by port.
type reach struct {
	allow []netip.Prefix
	known func(netip.Addr) bool

	version atomic.Uint64 // counts changes of what route and origin answer

	mu       sync.RWMutex
	own      map[netip.Addr]bool
	relays   map[relayPort]netip.AddrPort // to the public address
	admitted map[netip.AddrPort]int
	sessions map[string][]netip.AddrPort // what each has admitted
	granted  map[tuple]*grants
}

// tuple tells clients' relays apart: one client port may be connected to several
// of ours, and by UDP and TCP. pion does not tell by which of our addresses.
type tuple struct{ network, client, port string }

func tupleOf(client, server net.Addr) tuple {
	_, port, _ := net.SplitHostPort(server.String())
	return tuple{client.Network(), client.String(), port}
}

// grants are the addresses that a relay was let reach.
type grants struct {
	relay *relay
	to    map[netip.Addr]bool
}

// relayPort is where a relay is on this machine.
type relayPort struct {
	v6   bool
	port uint16
}

const (
	// maxRelayPeers is how many addresses one relay may reach: a viewer's or a
	// camera's candidates, for some ICE restarts.
	maxRelayPeers = 64
	// maxAdmitted is how many ports one session may admit: a candidate each.
	maxAdmitted = 64
)

func newReach(allow []netip.Prefix, known func(netip.Addr) bool) *reach {
	if known == nil {
		known = func(netip.Addr) bool { return false }
	}
	return &reach{
		allow: allow, known: known, own: map[netip.Addr]bool{}, relays: map[relayPort]netip.AddrPort{},
		admitted: map[netip.AddrPort]int{}, sessions: map[string][]netip.AddrPort{}, granted: map[tuple]*grants{},
	}
}

// permits decides whether the relay of a client may reach an address. What was
// granted stays so while the relay lives: a viewer whose signaling is away for a
// while keeps its picture.
func (r *reach) permits(client tuple, ip netip.Addr) bool {
	if r.allowed(ip) {
		return true
	}
	r.look()
	known := r.known(ip)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isOwn(ip) {
		return len(r.relays) > 0 || len(r.admitted) > 0 // and then it is for route to say
	}
	mine := r.granted[client]
	switch {
	case mine == nil || !routable(ip):
		return false
	case mine.to[ip]:
		return true
	case !known || len(mine.to) >= maxRelayPeers:
		return false
	}
	mine.to[ip] = true
	return true
}

// begin lets a client's new relay be granted addresses, and end takes back what
// it was: not what was granted to the client's next one, which may come first.
func (r *reach) begin(client tuple, by *relay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.granted[client] = &grants{by, map[netip.Addr]bool{}}
}

func (r *reach) end(client tuple, by *relay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if mine := r.granted[client]; mine != nil && mine.relay == by {
		delete(r.granted, client)
	}
}

// route is where on the network a packet for to goes, if it may. Between relays
// it stays on this machine.
func (r *reach) route(to netip.AddrPort) (way netip.AddrPort, ok bool, version uint64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	switch {
	case !r.isOwn(to.Addr()) || r.allowed(to.Addr()) && !r.isRelay(to):
		return to, true, r.version.Load()
	case r.isRelay(to):
		return netip.AddrPortFrom(loopback(to.Addr()), to.Port()), true, r.version.Load()
	}
	return to, r.admitted[to] > 0, r.version.Load()
}

// origin is route's inverse: whom a packet is from, as the relay's client knows it.
func (r *reach) origin(from netip.AddrPort) (netip.AddrPort, uint64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if public, ok := r.relays[relayPort{from.Addr().Is6(), from.Port()}]; ok && r.isOwn(from.Addr()) {
		return public, r.version.Load()
	}
	return from, r.version.Load()
}

func (r *reach) allowed(ip netip.Addr) bool {
	return slices.ContainsFunc(r.allow, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func (r *reach) isOwn(ip netip.Addr) bool { return ip.IsLoopback() || ip.IsUnspecified() || r.own[ip] }

func (r *reach) isRelay(a netip.AddrPort) bool {
	_, ok := r.relays[relayPort{a.Addr().Is6(), a.Port()}]
	return ok
}

func loopback(like netip.Addr) netip.Addr {
	if like.Is6() {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// look learns which addresses are this machine's, besides those that it has by a
// router's grace.
func (r *reach) look() {
	addrs, _ := net.InterfaceAddrs() // without them those we know stay ours
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				r.learn(ip.Unmap())
			}
		}
	}
}

func (r *reach) learn(ip netip.Addr) {
	if !r.own[ip] {
		r.own[ip] = true
		r.version.Add(1)
	}
}

func (r *reach) addRelay(p relayPort, public netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.learn(public.Addr())
	r.relays[p] = public
	r.version.Add(1)
}

func (r *reach) removeRelay(p relayPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.relays, p)
	r.version.Add(1)
}

func (r *reach) admit(session string, port netip.AddrPort) {
	port = netip.AddrPortFrom(port.Addr().Unmap().WithZone(""), port.Port())
	r.mu.Lock()
	defer r.mu.Unlock()
	if mine := r.sessions[session]; len(mine) < maxAdmitted && !slices.Contains(mine, port) {
		r.sessions[session] = append(mine, port)
		r.admitted[port]++
		r.version.Add(1)
	}
}

func (r *reach) dismiss(session string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, port := range r.sessions[session] {
		if r.admitted[port]--; r.admitted[port] == 0 {
			delete(r.admitted, port)
		}
	}
	delete(r.sessions, session)
	r.version.Add(1)
}

// unroutable are the networks that no stranger on the internet is in: IANA's
// special-purpose registries (RFC 6890), documentation aside.
var unroutable = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("224.0.0.0/3"),
	// These carry an IPv4 address, whatever that is: Teredo and 6to4.
	netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("2002::/16"),
}

// global is all of IPv6 that is handed out; NAT64's 64:ff9b::/96 is not in it.
var global = netip.MustParsePrefix("2000::/3")

func routable(ip netip.Addr) bool {
	if ip.Is6() && !global.Contains(ip) {
		return false
	}
	return !slices.ContainsFunc(unroutable, func(p netip.Prefix) bool { return p.Contains(ip) })
}
