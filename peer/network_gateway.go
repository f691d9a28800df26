package peer

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// mapped are the ports of ours that a router can forward.
func (n *Network) mapped() (ports []mappedPort) {
	if n.c.UDPPort != 0 {
		ports = append(ports, mappedPort{Port: uint16(n.c.UDPPort)}) //nolint:gosec // a port
	}
	if n.c.TCPPort != 0 {
		ports = append(ports, mappedPort{TCP: true, Port: uint16(n.c.TCPPort)}) //nolint:gosec // a port
	}
	return ports
}

// maxGateways is how many are asked; a machine has one, or a VPN besides.
const maxGateways = 3

// routers are those that may forward ports to us: a packet or two tells of the
// gateways whether they speak PCP or NAT-PMP, UPnP is a search.
func (n *Network) routers() (all []router) {
	for _, a := range n.gateways() {
		all = append(all, n.pmpRouter(netip.AddrPortFrom(a, pmpPort)))
	}
	return append(all, &igdRouter{search: ssdpAddr, from: func() []netip.Addr { return n.addresses(false) }})
}

// pmpRouter is one at an address. All that are ever found there get the same
// nonce: with another one a router denies what it forwards to us already (RFC
// 6887, section 11.3).
func (n *Network) pmpRouter(at netip.AddrPort) *pmpRouter {
	return &pmpRouter{at: at, nonce: n.nonce}
}

// gateways are those of IPv4. Where only Linux would tell, the first address of
// each private network is likely one.
func (n *Network) gateways() []netip.Addr {
	var all []netip.Addr
	if table, err := os.ReadFile("/proc/net/route"); err == nil {
		all = parseRoutes(string(table), n.uses)
	} else {
		for _, a := range n.addresses(false) {
			if a.Is4() && a.IsPrivate() {
				b := a.As4()
				b[3] = 1
				all = append(all, netip.AddrFrom4(b))
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	all = slices.Compact(all)
	return all[:min(len(all), maxGateways)]
}

// parseRoutes finds the gateways of default routes in Linux' table.
func parseRoutes(table string, uses func(name string) bool) (all []netip.Addr) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" || !uses(f[0]) {
			continue
		}
		raw, err := hex.DecodeString(f[2]) // in the order of this machine's bytes
		flags, err2 := strconv.ParseUint(f[3], 16, 16)
		if err != nil || err2 != nil || len(raw) != 4 || flags&2 == 0 { // RTF_GATEWAY
			continue
		}
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], binary.BigEndian.Uint32(raw))
		all = append(all, netip.AddrFrom4(b))
	}
	return all
}
