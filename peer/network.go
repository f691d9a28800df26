package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/pion/ice/v4"
	pion "github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"
)

// NetworkConfig says at which addresses and ports sessions are reached. The zero
// value is every address of the machine, at a UDP port a session.
type NetworkConfig struct {
	// UDPPort is the one port of all sessions; 0: each has its own.
	UDPPort int
	// TCPPort is for viewers that reach us by TCP only (RFC 6544); 0: none.
	TCPPort int
	// PublicIPs stand for this machine's addresses, where a router forwards the
	// ports: at most one of each family. Empty: its own.
	PublicIPs []netip.Addr
	// Interfaces are the names of those to use; empty: all.
	Interfaces []string
	// MapPorts has a router forward UDPPort and TCPPort, and its address stands for
	// this machine's then, unless PublicIPs has one of IPv4.
	MapPorts bool
	Log      *slog.Logger
}

// Network is the machine's side of every session's ICE, over all changes of its
// addresses.
type Network struct {
	c   NetworkConfig
	udp *udpPort // nil: a port a session
	tcp *ice.TCPMuxDefault

	mapper *portMapper // nil: no router is asked
	nonce  pcpNonce
}

// lookEvery is how often the machine's addresses are looked at: a system call or
// two, which every OS has.
const lookEvery = 500 * time.Millisecond

// NewNetwork opens the ports. Its errors name the port that cannot be had.
func NewNetwork(c NetworkConfig) (*Network, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	n := &Network{c: c, nonce: newPCPNonce()}
	if err := n.checkInterfaces(); err != nil {
		return nil, err
	}
	if c.UDPPort != 0 {
		n.udp = newUDPPort(c.UDPPort, c.Log)
		if err := n.udp.follow(time.Now(), n.reachable(n.addresses(false))); err != nil {
			return nil, errors.Join(err, n.udp.Close())
		}
	}
	if c.TCPPort != 0 {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{Port: c.TCPPort})
		if err != nil {
			return nil, errors.Join(portError("TCP", c.TCPPort, err), n.Close())
		}
		n.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
			Listener: limit(l, maxTCPConns), Logger: quiet(),
			ReadBufferSize: tcpReadQueue, WriteBufferSize: tcpWriteBuffer, FirstStunBindTimeout: 10 * time.Second,
		})
	}
	if c.MapPorts {
		n.mapper = newPortMapper(n.mapped(), n.routers, c.Log)
	}
	return n, nil
}

func (n *Network) checkInterfaces() error {
	for _, name := range n.c.Interfaces {
		if _, err := net.InterfaceByName(name); err != nil {
			all, _ := net.Interfaces()
			var names []string
			for _, i := range all {
				names = append(names, i.Name)
			}
			return fmt.Errorf("network interface %q: %w; there are %q", name, err, names)
		}
	}
	return nil
}

func portError(kind string, port int, err error) error {
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return fmt.Errorf("%s port %d cannot be had: %w", kind, port, err)
	}
	return fmt.Errorf("%s port %d cannot be had: %w; another program may have it: choose another port", kind, port, err)
}

// Close gives the ports back. Sessions are to have ended.
func (n *Network) Close() error {
	var err error
	if n.udp != nil {
		err = n.udp.Close()
	}
	if n.tcp != nil {
		err = errors.Join(err, n.tcp.Close())
	}
	return err
}

// Run watches the machine's addresses until ctx is done, and calls moved after
// each change with which sessions must reckon.
func (n *Network) Run(ctx context.Context, moved func(Move)) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	if n.mapper != nil {
		var mapping sync.WaitGroup
		defer mapping.Wait()
		mapping.Go(func() { n.mapper.run(ctx) })
	}
	start := time.Now()
	see := func() look {
		now := time.Now()
		return look{now.Sub(start), now.Round(0), n.addresses(false)}
	}
	last := see()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := see()
		if n.udp != nil {
			if err := n.udp.follow(now.at, n.reachable(now.addrs)); err != nil {
				n.c.Log.Debug("the UDP port is open nowhere", "err", err)
			}
		}
		m, matters := last.until(now)
		if len(now.addrs) == 0 {
			continue // what is lost, and a sleep, count when there is something else
		}
		last = now
		if matters {
			n.c.Log.Info("the network has changed", "addresses", now.addrs, "slept", m.Slept)
			m.Here = append(m.Here, n.public()...)
			moved(m)
			if n.mapper != nil {
				n.mapper.kick()
			}
		}
	}
}

// settings makes a session use this network.
func (n *Network) settings(s *webrtc.SettingEngine) error {
	loopback := onlyLoopback()
	s.SetNet(liveNet{&stdnet.Net{}})
	s.SetIncludeLoopbackCandidate(loopback)
	s.SetRemoteIPFilter(func(ip net.IP) bool { return plausible(ip, loopback) })
	if len(n.c.Interfaces) > 0 {
		s.SetInterfaceFilter(n.uses)
	}
	if n.udp != nil {
		s.SetICEUDPMux(n.udp)
	}
	if n.tcp != nil {
		s.SetICETCPMux(n.tcp)
		s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6})
	}
	var rules []webrtc.ICEAddressRewriteRule
	for _, ip := range n.public() {
		rules = append(rules, webrtc.ICEAddressRewriteRule{
			External: []string{ip.String()}, AsCandidateType: webrtc.ICECandidateTypeHost, Networks: familyOf(ip),
			// Beside ours, which viewers at home reach without the router's help.
			Mode: webrtc.ICEAddressRewriteAppend,
		})
	}
	if len(rules) == 0 {
		return nil
	}
	return s.SetICEAddressRewriteRules(rules...)
}

// public are the addresses that stand for this machine's, beyond a router.
func (n *Network) public() []netip.Addr {
	if n.mapper == nil || slices.ContainsFunc(n.c.PublicIPs, netip.Addr.Is4) {
		return n.c.PublicIPs
	}
	if a := n.mapper.external(); a.IsValid() {
		return append(slices.Clone(n.c.PublicIPs), a)
	}
	return n.c.PublicIPs
}

func familyOf(ip netip.Addr) []webrtc.NetworkType {
	if ip.Is4() {
		return []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeTCP4}
	}
	return []webrtc.NetworkType{webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP6}
}

func (n *Network) uses(name string) bool {
	return len(n.c.Interfaces) == 0 || slices.Contains(n.c.Interfaces, name)
}

// addresses are those at which others reach this machine now, or the loopback's.
func (n *Network) addresses(loopback bool) []netip.Addr {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var all []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || !n.uses(i.Name) {
			continue
		}
		addrs, _ := i.Addrs() // an interface that has just gone has none
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			ip := p.Addr().Unmap()
			// IPv6 link-local addresses are no candidates (RFC 8445, section 5.1.1.1).
			if err == nil && ip.IsLoopback() == loopback && !(ip.Is6() && ip.IsLinkLocalUnicast()) {
				all = append(all, ip)
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// reachable are the addresses, or the loopback's while there is none: then a
// viewer can only be on this machine.
func (n *Network) reachable(addrs []netip.Addr) []netip.Addr {
	if len(addrs) == 0 {
		return n.addresses(true)
	}
	return addrs
}

// liveNet is the OS's network as it is now: pion's own keeps the addresses that
// there were when a session began.
type liveNet struct{ *stdnet.Net }

func (liveNet) Interfaces() ([]*pion.Interface, error) {
	now, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	return now.Interfaces()
}

// plausible tells whether a viewer can be at an address that it names: what is
// sent to others would only serve to knock at this machine's own doors, or at
// everybody's.
func plausible(ip net.IP, loopback bool) bool {
	return ip.IsGlobalUnicast() || ip.To4() != nil && ip.IsLinkLocalUnicast() && !ip.Equal(metadataIP) || loopback && ip.IsLoopback()
}

// metadataIP is where clouds keep a machine's secrets.
var metadataIP = net.IPv4(169, 254, 169, 254)

// onlyLoopback tells whether this machine has no other address just now: then
// a viewer can only be on it.
func onlyLoopback() bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return false
		}
	}
	return true
}
