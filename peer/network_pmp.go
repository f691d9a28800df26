package peer

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

// pmpRouter speaks PCP (RFC 6887), or NAT-PMP (RFC 6886) if that is what it
// knows: both on one UDP port, told apart by the first byte.
type pmpRouter struct {
	at    netip.AddrPort
	nonce [12]byte // shows a PCP router that a mapping is ours
	old   bool     // it knows NAT-PMP only
}

const (
	pmpPort = 5351
	// pmpFirst is when a request is sent again, which doubles; pmpTries how often
	// it is sent in all. The RFCs would go on for a minute; routers of today answer
	// or do not.
	pmpFirst = 250 * time.Millisecond
	pmpTries = 3
)

func newPMPRouter(at netip.AddrPort) *pmpRouter {
	r := &pmpRouter{at: at}
	_, _ = rand.Read(r.nonce[:]) // never fails
	return r
}

func (r *pmpRouter) String() string {
	if r.old {
		return fmt.Sprintf("NAT-PMP at %v", r.at.Addr())
	}
	return fmt.Sprintf("PCP at %v", r.at.Addr())
}

var errNotPCP = errors.New("it speaks NAT-PMP only")

func (r *pmpRouter) forward(ctx context.Context, p mappedPort, lease time.Duration) (netip.Addr, time.Duration, error) {
	if !r.old {
		a, got, err := r.pcp(ctx, p, lease)
		if !errors.Is(err, errNotPCP) && !errors.Is(err, errPMPSilent) {
			return a, got, err
		}
		r.old = true
	}
	a, got, err := r.natPMP(ctx, p, lease)
	if err != nil {
		r.old = false // it may be another one next time
	}
	return a, got, err
}

func (r *pmpRouter) withdraw(ctx context.Context, p mappedPort) error {
	if r.old {
		_, err := r.natPMPMap(ctx, p, 0)
		return err
	}
	_, _, err := r.pcp(ctx, p, 0)
	return err
}

// pcp sends a MAP request; a lease of 0 withdraws.
func (r *pmpRouter) pcp(ctx context.Context, p mappedPort, lease time.Duration) (netip.Addr, time.Duration, error) {
	var at netip.Addr
	var got time.Duration
	err := r.exchange(ctx, func(own netip.Addr) []byte {
		b := make([]byte, 60)
		b[0], b[1] = 2, 1 // version, MAP
		binary.BigEndian.PutUint32(b[4:], uint32(lease/time.Second))
		client := netip.AddrFrom16(own.As16()).As16()
		copy(b[8:], client[:])
		copy(b[24:], r.nonce[:])
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
	}, func(b []byte) (bool, error) {
		switch {
		case len(b) >= 4 && b[0] == 0 && b[1] == 0x81 && b[3] == 1: // of NAT-PMP: "unsupported version"
			return true, errNotPCP
		case len(b) < 4 || b[0] != 2 || b[1] != 0x81:
			return false, nil
		case b[3] == 1: // UNSUPP_VERSION
			return true, errNotPCP
		case len(b) >= 60 && ([12]byte(b[24:36]) != r.nonce || binary.BigEndian.Uint16(b[40:]) != p.Port):
			return false, nil // to another request
		case b[3] != 0:
			return true, pcpError(b[3])
		case len(b) < 60:
			return false, nil
		}
		at = netip.AddrFrom16([16]byte(b[44:60])).Unmap()
		got = time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second
		if lease == 0 {
			return true, nil
		}
		return true, samePort(p, binary.BigEndian.Uint16(b[42:]))
	})
	return r.granted(ctx, p, at, min(got, lease), err)
}

// granted gives back what is of no use: a port under another number.
func (r *pmpRouter) granted(ctx context.Context, p mappedPort, at netip.Addr, lease time.Duration, err error) (netip.Addr, time.Duration, error) {
	if errors.Is(err, errOtherPort) {
		_ = r.withdraw(ctx, p) // it ends by itself
	}
	return at, lease, err
}

func (r *pmpRouter) natPMP(ctx context.Context, p mappedPort, lease time.Duration) (netip.Addr, time.Duration, error) {
	var at netip.Addr
	err := r.exchange(ctx, func(netip.Addr) []byte { return []byte{0, 0} }, func(b []byte) (bool, error) {
		if len(b) < 12 || b[0] != 0 || b[1] != 128 {
			return false, nil
		}
		at = netip.AddrFrom4([4]byte(b[8:12]))
		return true, pmpError(b)
	})
	if err != nil {
		return at, 0, err
	}
	got, err := r.natPMPMap(ctx, p, lease)
	return r.granted(ctx, p, at, got, err)
}

func (r *pmpRouter) natPMPMap(ctx context.Context, p mappedPort, lease time.Duration) (got time.Duration, err error) {
	op := byte(1)
	if p.TCP {
		op = 2
	}
	err = r.exchange(ctx, func(netip.Addr) []byte {
		b := []byte{0, op, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		binary.BigEndian.PutUint16(b[4:], p.Port)
		if lease > 0 {
			binary.BigEndian.PutUint16(b[6:], p.Port)
		}
		binary.BigEndian.PutUint32(b[8:], uint32(lease/time.Second))
		return b
	}, func(b []byte) (bool, error) {
		if len(b) < 16 || b[0] != 0 || b[1] != 128+op || binary.BigEndian.Uint16(b[8:]) != p.Port {
			return false, nil
		}
		got = min(lease, time.Duration(binary.BigEndian.Uint32(b[12:]))*time.Second)
		if err := pmpError(b); err != nil || lease == 0 {
			return true, err
		}
		return true, samePort(p, binary.BigEndian.Uint16(b[10:]))
	})
	return got, err
}

var (
	errPMPSilent = errors.New("it does not answer")
	errOtherPort = errors.New("somebody else has the port there: choose another one")
)

func samePort(p mappedPort, got uint16) error {
	if got != p.Port {
		return fmt.Errorf("it offers port %d: %w", got, errOtherPort)
	}
	return nil
}

func pmpError(b []byte) error {
	if code := binary.BigEndian.Uint16(b[2:]); code != 0 {
		return fmt.Errorf("it answers with NAT-PMP result code %d (RFC 6886, section 3.5)", code)
	}
	return nil
}

func pcpError(code byte) error {
	return fmt.Errorf("it answers with PCP result code %d (RFC 6887, section 7.4)", code)
}

// exchange sends a request, which may hold our own address, until take says that
// a packet was the answer.
func (r *pmpRouter) exchange(ctx context.Context, request func(own netip.Addr) []byte, take func([]byte) (bool, error)) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp4", r.at.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	own := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	b := make([]byte, 1100) // PCP's longest
	for try := 0; try < pmpTries && ctx.Err() == nil; try++ {
		if _, err := conn.Write(request(own)); err != nil {
			return errors.Join(errPMPSilent, err) // of an ICMP error, too
		}
		_ = conn.SetReadDeadline(time.Now().Add(pmpFirst << try)) // fails only for a closed one
		for ctx.Err() == nil {
			n, err := conn.Read(b)
			if err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					return errors.Join(errPMPSilent, err)
				}
				break
			}
			if done, err := take(b[:n]); done {
				return err
			}
		}
	}
	return errors.Join(errPMPSilent, ctx.Err())
}
