package peer

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// pcpNonce shows a PCP router that a mapping is ours.
type pcpNonce [12]byte

func newPCPNonce() (n pcpNonce) {
	_, _ = rand.Read(n[:]) // never fails
	return n
}

// pmpGrant is what a router grants; NAT-PMP tells of the address apart from the rest.
type pmpGrant struct {
	at    netip.Addr
	port  uint16 // beyond the router
	lease time.Duration
}

// pcpRequest is a MAP request (RFC 6887, section 11.1) from our address own.
func pcpRequest(p mappedPort, lease time.Duration, own netip.Addr, nonce pcpNonce) []byte {
	b := make([]byte, 60)
	b[0], b[1] = 2, 1 // version, MAP
	binary.BigEndian.PutUint32(b[4:], uint32(lease/time.Second))
	client := own.As16()
	copy(b[8:], client[:])
	copy(b[24:], nonce[:])
	b[36] = 17
	if p.TCP {
		b[36] = 6
	}
	binary.BigEndian.PutUint16(b[40:], p.Port)
	if lease > 0 {
		binary.BigEndian.PutUint16(b[42:], p.Port)
	}
	b[54], b[55] = 0xff, 0xff // ::ffff:0:0, any address of IPv4
	return b
}

// parsePCP reads a packet; done: it is the answer to our request.
func parsePCP(b []byte, p mappedPort, nonce pcpNonce) (g pmpGrant, done bool, err error) {
	switch {
	case len(b) >= 4 && b[0] == 0 && b[1] == 0x81 && b[3] == 1: // of NAT-PMP: "unsupported version"
		return g, true, errNotPCP
	case len(b) < 4 || b[0] != 2 || b[1] != 0x81:
		return g, false, nil
	case b[3] == 1: // UNSUPP_VERSION
		return g, true, errNotPCP
	case len(b) >= 60 && (pcpNonce(b[24:36]) != nonce || binary.BigEndian.Uint16(b[40:]) != p.Port):
		return g, false, nil // to another request
	case b[3] != 0:
		return g, true, fmt.Errorf("it answers with PCP result code %d (RFC 6887, section 7.4)", b[3])
	case len(b) < 60:
		return g, false, nil
	}
	return pmpGrant{
		at:    netip.AddrFrom16([16]byte(b[44:60])).Unmap(),
		port:  binary.BigEndian.Uint16(b[42:]),
		lease: time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second,
	}, true, nil
}

// pmpAddress is NAT-PMP's request for the router's other address.
const pmpAddress = 0

// pmpOp is NAT-PMP's request for a port.
func pmpOp(p mappedPort) byte {
	if p.TCP {
		return 2
	}
	return 1
}

// pmpRequest is one of RFC 6886, section 3; a lease of 0 withdraws.
func pmpRequest(op byte, p mappedPort, lease time.Duration) []byte {
	if op == pmpAddress {
		return []byte{0, op}
	}
	b := []byte{0, op, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(b[4:], p.Port)
	if lease > 0 {
		binary.BigEndian.PutUint16(b[6:], p.Port)
	}
	binary.BigEndian.PutUint32(b[8:], uint32(lease/time.Second))
	return b
}

// parsePMP reads a packet; done: it is the answer to our request op.
func parsePMP(b []byte, op byte, p mappedPort) (g pmpGrant, done bool, err error) {
	switch {
	case len(b) < 12 || b[0] != 0 || b[1] != 128+op:
		return g, false, nil
	case op == pmpAddress:
		g.at = netip.AddrFrom4([4]byte(b[8:12]))
	case len(b) < 16 || binary.BigEndian.Uint16(b[8:]) != p.Port:
		return g, false, nil
	default:
		g.port = binary.BigEndian.Uint16(b[10:])
		g.lease = time.Duration(binary.BigEndian.Uint32(b[12:])) * time.Second
	}
	if code := binary.BigEndian.Uint16(b[2:]); code != 0 {
		return g, true, fmt.Errorf("it answers with NAT-PMP result code %d (RFC 6886, section 3.5)", code)
	}
	return g, true, nil
}
