package main

import (
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/ice/v4"

	"github.com/peercam/peercam/signaling"
)

// turnFlags are shared by share and serve.
type turnFlags struct {
	TURN           string   `name:"turn" help:"Run a TURN server here (UDP and TCP; over TCP or TLS at the port of --listen as well), which relays where no direct way is found. It relays between those connected to this server only." placeholder:":3478"`
	TURNExternalIP []string `name:"turn-external-ip" help:"Address at which the TURN server is reached, where that is a router's. One for IPv4, one for IPv6." placeholder:"IP"`
	TURNPorts      string   `name:"turn-ports" help:"UDP ports for relays: a firewall must let them in." default:"49152-65535" placeholder:"FIRST-LAST"`
	TURNAllow      []string `name:"turn-allow" help:"Network that relays may reach besides: cameras or viewers at private addresses, for instance 192.168.1.0/24. May be repeated." placeholder:"CIDR"`
	TURNBitrate    bitrate  `name:"turn-bitrate" help:"Most bit/s of a relay each way." default:"20M" placeholder:"RATE"`
	TURNRelays     int      `name:"turn-relays" help:"Most relays at a time; a viewer has some." default:"1000" placeholder:"N"`
}

// relays is a TURN server and how it is reached.
type relays struct {
	*signaling.TURN
	free signaling.ICEServer // what costs no relay: its STUN
	ice  signaling.ICESource // with credentials
}

// open listens. web is the server's own port, secure inside TLS that browsers
// trust; known tells who is connected to the server.
func (f turnFlags) open(web net.Listener, certs *certificates, port *sharedPort, known func(netip.Addr) bool, log *slog.Logger) (*relays, error) {
	cfg := signaling.TURNConfig{Known: known, Relays: f.TURNRelays, Bitrate: int(f.TURNBitrate), Log: log, Streams: []net.Listener{port.turn}}
	if f.TURNRelays < 1 {
		return nil, usage("--turn-relays %d is out of range: it must be 1 or more", f.TURNRelays)
	}
	var err error
	if cfg.MinPort, cfg.MaxPort, err = portRange(f.TURNPorts); err != nil {
		return nil, err
	}
	for _, text := range f.TURNAllow {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, usage("--turn-allow %q is no network: write for instance 192.168.1.0/24", text)
		}
		cfg.Allow = append(cfg.Allow, p)
	}
	external, err := externalIPs(f.TURNExternalIP)
	if err != nil {
		return nil, err
	}
	packets, stream, err := listenTURN(f.TURN)
	if err != nil {
		return nil, err
	}
	cfg.Streams = append(cfg.Streams, stream)
	own, _, _ := net.SplitHostPort(reachable(packets[0].LocalAddr()))
	for _, c := range packets {
		cfg.Packets = append(cfg.Packets, c)
		host, _, _ := net.SplitHostPort(reachable(c.LocalAddr()))
		if c.LocalAddr().(*net.UDPAddr).IP.To4() == nil {
			host = ownAddress6()
		}
		if a, err := netip.ParseAddr(host); err == nil && len(external) == 0 {
			cfg.Public = append(cfg.Public, a)
		}
	}
	if len(external) > 0 {
		cfg.Public, own = external, external[0].String()
	}
	server, err := signaling.NewTURN(cfg)
	if err != nil {
		return nil, errors.Join(usageError{err}, stream.Close(), packets[0].Close())
	}
	_, udpPort, _ := net.SplitHostPort(stream.Addr().String())
	at := net.JoinHostPort(own, udpPort)
	urls := []string{"turn:" + at + "?transport=udp", "turn:" + at + "?transport=tcp"}
	urls = append(urls, webURL(web.Addr(), own, certs)...)
	log.Info("TURN server ready", "urls", urls, "relay_ports", f.TURNPorts)
	return &relays{
		TURN: server, ice: server.ICE(credentialLife, urls...), free: signaling.ICEServer{URLs: []string{"stun:" + at}},
	}, nil
}

// webURL is TURN on the port of http or https. Browsers refuse a certificate
// there of which they could ask nobody: then bare TCP is better.
func webURL(web net.Addr, own string, certs *certificates) []string {
	host, port, err := net.SplitHostPort(web.String())
	if ip := net.ParseIP(host); err != nil || ip.IsLoopback() && own != host {
		return nil // a reverse proxy's alone
	}
	if certs != nil && certs.trusted {
		return []string{"turns:" + net.JoinHostPort(certs.name(own), port) + "?transport=tcp"}
	}
	return []string{"turn:" + net.JoinHostPort(own, port) + "?transport=tcp"}
}

// listenTURN opens one port for UDP and TCP. The families of UDP are apart,
// since a relay is of the family that its client came by.
func listenTURN(addr string) ([]*net.UDPConn, net.Listener, error) {
	fail := func(err error) ([]*net.UDPConn, net.Listener, error) {
		return nil, nil, usage("--turn %s: %w: write for instance :3478, and choose another port if a program has it", addr, err)
	}
	stream, err := net.Listen("tcp", addr)
	if err != nil {
		return fail(err)
	}
	at := stream.Addr().(*net.TCPAddr)
	var packets []*net.UDPConn
	networks := []string{"udp4", "udp6"}
	switch {
	case at.IP.To4() != nil:
		networks = networks[:1]
	case !at.IP.IsUnspecified():
		networks = networks[1:]
	case ownAddress6() == "":
		networks = networks[:1]
	}
	for _, network := range networks {
		ip := at.IP
		if ip.IsUnspecified() {
			ip = nil
		}
		c, err := net.ListenUDP(network, &net.UDPAddr{IP: ip, Port: at.Port, Zone: at.Zone})
		if err != nil {
			for _, c := range packets {
				err = errors.Join(err, c.Close())
			}
			return fail(errors.Join(err, stream.Close()))
		}
		_ = c.SetReadBuffer(1 << 20) // all clients' packets wait here
		packets = append(packets, c)
	}
	return packets, stream, nil
}

func externalIPs(texts []string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, text := range texts {
		a, err := netip.ParseAddr(text)
		if err != nil || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
			return nil, usage("--turn-external-ip %q is no address that can be reached: write for instance 203.0.113.7", text)
		}
		for _, b := range all {
			if a.Is4() == b.Is4() {
				return nil, usage("--turn-external-ip %s and %s: give one IPv4 and one IPv6 address at most", b, a)
			}
		}
		all = append(all, a.Unmap())
	}
	return all, nil
}

func portRange(text string) (first, last uint16, err error) {
	a, b, ok := strings.Cut(text, "-")
	x, err1 := strconv.ParseUint(a, 10, 16)
	y, err2 := strconv.ParseUint(b, 10, 16)
	if !ok || err1 != nil || err2 != nil || x < 1024 || x > y {
		return 0, 0, usage("--turn-ports %q is no range of ports: write FIRST-LAST, for instance 49152-65535, from 1024 on", text)
	}
	return uint16(x), uint16(y), nil
}

// ownAddress6 is this machine's IPv6 address that others see, or "".
func ownAddress6() string {
	c, err := net.Dial("udp6", "[2001:db8::1]:9")
	if err != nil {
		return ""
	}
	defer c.Close()
	if a, ok := c.LocalAddr().(*net.UDPAddr); ok && a.IP.IsGlobalUnicast() {
		return a.IP.String()
	}
	return ""
}

// admit lets relays reach a candidate of the camera in this process.
func (r *relays) admit(session, candidate string) {
	if r == nil {
		return
	}
	c, err := ice.UnmarshalCandidate(candidate)
	if err != nil || !c.NetworkType().IsUDP() || c.Type() != ice.CandidateTypeHost {
		return
	}
	if a, err := netip.ParseAddr(c.Address()); err == nil {
		r.Admit(session, netip.AddrPortFrom(a, uint16(c.Port()))) //nolint:gosec // a port
	}
}

// dismiss closes the relays' way to a session that has ended.
func (r *relays) dismiss(session string) {
	if r != nil {
		r.Dismiss(session)
	}
}

// report adds how the TURN server does.
func (r *relays) report(e *exposition) {
	if r == nil {
		return
	}
	s := r.Stats()
	e.gauge("peercam_turn_relays", "", s.Relays)
	e.gauge("peercam_turn_connections", "", s.Streams)
	e.counter("peercam_turn_packets_total", "", s.Packets)
	e.counter("peercam_turn_bytes_total", "", s.Bytes)
	e.counter("peercam_turn_dropped_total", "", s.Dropped)
	for _, reason := range slices.Sorted(maps.Keys(s.Refused)) {
		e.counter("peercam_turn_refused_total", `{reason="`+reason+`"}`, s.Refused[reason])
	}
}
