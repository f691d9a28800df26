package main

import (
	"log/slog"
	"net/netip"

	"github.com/peercam/peercam/peer"
)

// networkFlags say how viewers reach the camera.
type networkFlags struct {
	UDPPort   int      `name:"udp-port" help:"The one UDP port of all sessions, for routers and firewalls that forward one. The default is a free one for each." placeholder:"PORT"`
	TCPPort   int      `name:"tcp-port" help:"TCP port for viewers whose network lets no UDP through (ICE-TCP). The default is none." placeholder:"PORT"`
	PublicIP  []string `name:"public-ip" help:"This machine's address on the internet, where a router forwards --udp-port or --tcp-port to it. May be repeated: one of IPv4, one of IPv6." placeholder:"ADDRESS"`
	MapPort   bool     `name:"map-port" help:"Ask the router to forward --udp-port and --tcp-port to this machine (PCP, NAT-PMP or UPnP) while peercam runs, and tell viewers its address."`
	Interface []string `name:"interface" help:"Send through this network interface only. May be repeated." placeholder:"NAME"`
}

// network opens the ports that the flags name.
func (f networkFlags) network(log *slog.Logger) (*peer.Network, error) {
	c := peer.NetworkConfig{UDPPort: f.UDPPort, TCPPort: f.TCPPort, Interfaces: f.Interface, MapPorts: f.MapPort, Log: log}
	for name, port := range map[string]int{"--udp-port": f.UDPPort, "--tcp-port": f.TCPPort} {
		if port < 0 || port > 65535 {
			return nil, usage("%s %d is no port: it must be from 1 to 65535", name, port)
		}
	}
	four, six := false, false
	for _, text := range f.PublicIP {
		ip, err := netip.ParseAddr(text)
		ip = ip.Unmap()
		taken := &six
		if ip.Is4() {
			taken = &four
		}
		switch {
		case err != nil || !ip.IsGlobalUnicast():
			return nil, usage("--public-ip %q is no address that others could reach: write for instance 203.0.113.7 or 2001:db8::7", text)
		case *taken:
			return nil, usage("--public-ip %s is the second of its kind: one IPv4 and one IPv6 address can be given", ip)
		}
		*taken = true
		c.PublicIPs = append(c.PublicIPs, ip)
	}
	if len(f.PublicIP) > 0 && f.UDPPort == 0 && f.TCPPort == 0 {
		return nil, usage("--public-ip needs the port that the router forwards: add --udp-port, and forward it to this machine")
	}
	if f.MapPort && f.UDPPort == 0 && f.TCPPort == 0 {
		return nil, usage("--map-port needs the port that the router is to forward: add for instance --udp-port 8189")
	}
	n, err := peer.NewNetwork(c)
	if err != nil {
		return nil, usageError{err}
	}
	return n, nil
}
