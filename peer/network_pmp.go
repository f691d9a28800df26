package peer

import (
	"context"
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
	nonce pcpNonce
	pcpOK bool // it has forwarded a port by PCP, which it is held to
	old   bool // it knows NAT-PMP only
}

const (
	pmpPort = 5351
	// pmpFirst is when a request is sent again, which doubles; pmpTries how often
	// it is sent in all. The RFCs would go on for a minute; routers of today answer
	// or do not.
	pmpFirst = 250 * time.Millisecond
	pmpTries = 3
)

func (r *pmpRouter) String() string {
	if r.old {
		return fmt.Sprintf("NAT-PMP at %v", r.at.Addr())
	}
	return fmt.Sprintf("PCP at %v", r.at.Addr())
}

func (r *pmpRouter) forward(ctx context.Context, p mappedPort, lease time.Duration) (netip.Addr, time.Duration, error) {
	if !r.old {
		a, got, err := r.pcp(ctx, p, lease)
		r.pcpOK = r.pcpOK || err == nil
		if r.pcpOK || !errors.Is(err, errNotPCP) && !errors.Is(err, errPMPSilent) {
			return a, got, err
		}
		r.old = true
	}
	return r.natPMP(ctx, p, lease)
}

func (r *pmpRouter) withdraw(ctx context.Context, p mappedPort) error {
	if r.old {
		_, err := r.natPMPExchange(ctx, pmpOp(p), p, 0)
		return err
	}
	_, _, err := r.pcp(ctx, p, 0)
	return err
}

// pcp sends a MAP request; a lease of 0 withdraws.
func (r *pmpRouter) pcp(ctx context.Context, p mappedPort, lease time.Duration) (netip.Addr, time.Duration, error) {
	var g pmpGrant
	err := r.exchange(ctx, func(own netip.Addr) []byte { return pcpRequest(p, lease, own, r.nonce) }, func(b []byte) (done bool, err error) {
		g, done, err = parsePCP(b, p, r.nonce)
		return done, err
	})
	return r.granted(ctx, p, lease, g, err)
}

func (r *pmpRouter) natPMP(ctx context.Context, p mappedPort, lease time.Duration) (netip.Addr, time.Duration, error) {
	external, err := r.natPMPExchange(ctx, pmpAddress, p, 0)
	if err != nil {
		return netip.Addr{}, 0, err
	}
	g, err := r.natPMPExchange(ctx, pmpOp(p), p, lease)
	g.at = external.at
	return r.granted(ctx, p, lease, g, err)
}

func (r *pmpRouter) natPMPExchange(ctx context.Context, op byte, p mappedPort, lease time.Duration) (g pmpGrant, err error) {
	err = r.exchange(ctx, func(netip.Addr) []byte { return pmpRequest(op, p, lease) }, func(b []byte) (done bool, err error) {
		g, done, err = parsePMP(b, op, p)
		return done, err
	})
	return g, err
}

var (
	errNotPCP    = errors.New("it speaks NAT-PMP only")
	errPMPSilent = errors.New("it does not answer")
	errOtherPort = errors.New("somebody else has the port there: choose another one")
)

// granted gives back what is of no use: a port under another number.
func (r *pmpRouter) granted(ctx context.Context, p mappedPort, lease time.Duration, g pmpGrant, err error) (netip.Addr, time.Duration, error) {
	if err == nil && lease > 0 && g.port != p.Port {
		err = fmt.Errorf("it offers port %d: %w", g.port, errOtherPort)
		_ = r.withdraw(ctx, p) // it ends by itself
	}
	return g.at, min(g.lease, lease), err
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
