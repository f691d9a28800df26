package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

const (
	stunTime  = 2500 * time.Millisecond // to wait for answers
	stunAgain = 400 * time.Millisecond  // until a request is sent again: UDP loses some
	turnTime  = 4 * time.Second
)

// mapping is how a server saw a socket of ours.
type mapping struct {
	server string
	addr   netip.AddrPort // invalid: no answer
	err    error          // why not, if known
}

// checkOutside asks how this network looks from outside: STUN servers all from
// one socket, since a difference between their answers tells the kind of NAT
// (RFC 5780, 4.3), and TURN servers for a relay.
func checkOutside(ctx context.Context, servers []*stun.URI) finding {
	var plain, relays []*stun.URI
	for _, u := range servers {
		switch u.Scheme {
		case stun.SchemeTypeTURN, stun.SchemeTypeTURNS:
			relays = append(relays, u)
		default:
			if u.Proto == stun.ProtoTypeUDP {
				plain = append(plain, u)
			}
		}
	}
	relayed := make([]error, len(relays))
	var asking sync.WaitGroup
	for i, u := range relays {
		asking.Go(func() { relayed[i] = tryRelay(ctx, u) })
	}
	mappings := askMappings(ctx, plain)
	asking.Wait()
	f := natFinding(mappings, localAddresses())
	return relayFinding(f, relays, relayed)
}

// askMappings asks STUN servers (RFC 8489) how they see one socket.
func askMappings(ctx context.Context, servers []*stun.URI) []mapping {
	ctx, cancel := context.WithTimeout(ctx, stunTime)
	defer cancel()
	all := make([]mapping, len(servers))
	addrs := make([]*net.UDPAddr, len(servers))
	var looking sync.WaitGroup
	for i, u := range servers {
		all[i].server = u.String()
		looking.Go(func() {
			ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", u.Host)
			if err != nil || len(ips) == 0 {
				all[i].err = errors.New("no name server (DNS) knows its name")
				return
			}
			addrs[i] = net.UDPAddrFromAddrPort(netip.AddrPortFrom(ips[0].Unmap(), uint16(u.Port)))
		})
	}
	looking.Wait()
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		for i := range all {
			all[i].err = err
		}
		return all
	}
	defer conn.Close()
	requests := make([]*stun.Message, len(servers))
	for i := range servers {
		requests[i] = stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	}
	for ctx.Err() == nil {
		open := 0
		for i, to := range addrs {
			if to != nil && !all[i].addr.IsValid() {
				open++
				if _, err := conn.WriteTo(requests[i].Raw, to); err != nil {
					all[i].err = err
				}
			}
		}
		if open == 0 {
			break
		}
		_ = conn.SetReadDeadline(time.Now().Add(stunAgain)) // fails only for a closed one
		for open > 0 && ctx.Err() == nil {
			b := make([]byte, 1500)
			n, _, err := conn.ReadFrom(b)
			if err != nil {
				break // the deadline, or an ICMP error: ask again
			}
			if noteMapping(b[:n], requests, all) {
				open--
			}
		}
	}
	return all
}

// noteMapping takes a packet for an answer to one of the requests and tells
// whether it was the first to it.
func noteMapping(packet []byte, requests []*stun.Message, all []mapping) bool {
	m := &stun.Message{Raw: packet}
	if m.Decode() != nil || m.Type != stun.BindingSuccess {
		return false
	}
	var seen stun.XORMappedAddress
	if seen.GetFrom(m) != nil {
		return false
	}
	ip, ok := netip.AddrFromSlice(seen.IP)
	i := slices.IndexFunc(requests, func(r *stun.Message) bool { return r.TransactionID == m.TransactionID })
	if !ok || i < 0 || all[i].addr.IsValid() {
		return false
	}
	all[i].addr, all[i].err = netip.AddrPortFrom(ip.Unmap(), uint16(seen.Port)), nil
	return true
}

// natFinding tells what the answers mean. own are this machine's addresses.
func natFinding(all []mapping, own []netip.Addr) finding {
	f := finding{Verdict: fine}
	if len(all) == 0 {
		f.Summary = "no STUN server was asked"
		return f
	}
	var seen []netip.AddrPort
	for _, m := range all {
		switch {
		case m.addr.IsValid():
			seen = append(seen, m.addr)
			f.Details = append(f.Details, fmt.Sprintf("%s sees %s", m.server, m.addr))
		case m.err != nil:
			f.Details = append(f.Details, fmt.Sprintf("%s: %v", m.server, m.err))
		default:
			f.Details = append(f.Details, m.server+": no answer")
		}
	}
	switch distinct := slices.Compact(slices.SortedFunc(slices.Values(seen), netip.AddrPort.Compare)); {
	case len(seen) == 0:
		return f.with(warning, "no STUN server answers: viewers outside this network will not get through",
			"inside the network all works; for outside let UDP out in the firewall, or use a TURN server over TCP (--ice-server turn:…?transport=tcp)")
	case slices.ContainsFunc(seen, func(a netip.AddrPort) bool { return slices.Contains(own, a.Addr()) }):
		f.Summary = "no NAT: this machine has a public address"
	case len(distinct) > 1:
		return f.with(warning, "a NAT with a mapping for each destination (symmetric): direct connections from outside mostly fail",
			"give viewers outside a TURN server: --ice-server turn:HOST:3478 --ice-username NAME --ice-credential SECRET")
	case len(seen) == 1:
		f.Summary = fmt.Sprintf("seen as %s; one answer does not tell the kind of NAT", seen[0].Addr())
	default:
		f.Summary = fmt.Sprintf("seen as %s, through a NAT with one mapping for all: direct connections from outside work", seen[0].Addr())
	}
	return f
}

// relayFinding adds how the TURN servers did.
func relayFinding(f finding, relays []*stun.URI, results []error) finding {
	worked := 0
	var failed []string
	for i, err := range results {
		if err == nil {
			worked++
			f.Details = append(f.Details, relays[i].String()+" relays")
			continue
		}
		failed = append(failed, relays[i].String())
		f.Details = append(f.Details, fmt.Sprintf("%s: %v", relays[i], err))
	}
	switch {
	case len(failed) > 0:
		return f.with(warning, "no relay by "+strings.Join(failed, ", "), "look at the server's address, at --ice-username and --ice-credential, and at the firewall")
	case worked > 0: // whatever the NAT
		f.Verdict, f.Remedy = fine, ""
		f.Summary = "viewers outside get through, by TURN if not directly"
	}
	return f
}

// tryRelay allocates an address on a TURN server (RFC 8656) and gives it back.
func tryRelay(ctx context.Context, u *stun.URI) error {
	ctx, cancel := context.WithTimeout(ctx, turnTime)
	defer cancel()
	addr := net.JoinHostPort(u.Host, fmt.Sprint(u.Port))
	conn, err := dialRelay(ctx, u, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	client, err := turn.NewClient(&turn.ClientConfig{TURNServerAddr: addr, Username: u.Username, Password: u.Password, Conn: conn})
	if err != nil {
		return err
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, client.Close) // fails what waits
	defer stop()
	if err := client.Listen(); err != nil {
		return err
	}
	relay, err := client.Allocate()
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("no answer")
		}
		return err
	}
	return relay.Close()
}

// dialRelay opens what a TURN URL asks for: UDP, TCP or TLS.
func dialRelay(ctx context.Context, u *stun.URI, addr string) (net.PacketConn, error) {
	if u.Proto == stun.ProtoTypeUDP && u.Scheme == stun.SchemeTypeTURN {
		return net.ListenPacket("udp4", ":0")
	}
	var stream interface {
		DialContext(context.Context, string, string) (net.Conn, error)
	} = &net.Dialer{}
	if u.IsSecure() {
		stream = &tls.Dialer{}
	}
	conn, err := stream.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return turn.NewSTUNConn(conn), nil
}
