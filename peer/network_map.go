package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// mapLease is how long a router is asked to forward a port: what a program
	// that was killed leaves behind. mapRenew is how often it is asked again, which
	// is how long a router that was started again forwards nothing.
	mapLease = 20 * time.Minute
	mapRenew = 5 * time.Minute
	// mapTime is how long all routers together have to answer; leaveTime how long
	// the end of the program waits for them.
	mapTime   = 15 * time.Second
	leaveTime = 2 * time.Second
	// After a failure it is tried again, first soon.
	mapRetryFirst = 5 * time.Second
	mapRetryLast  = 5 * time.Minute
)

// mappedPort is a port of ours that a router is to forward, under the same number.
type mappedPort struct {
	TCP  bool
	Port uint16
}

func (p mappedPort) String() string {
	if p.TCP {
		return fmt.Sprintf("TCP %d", p.Port)
	}
	return fmt.Sprintf("UDP %d", p.Port)
}

// A router forwards ports to those that ask it.
type router interface {
	// forward asks for a port, or again for one that it forwards already. It
	// returns the address at which the port is reached, and for how long. After
	// an error, those that it had forwarded before can still be withdrawn.
	forward(ctx context.Context, p mappedPort, lease time.Duration) (netip.Addr, time.Duration, error)
	// withdraw takes that back.
	withdraw(ctx context.Context, p mappedPort) error
	String() string
}

// portMapper has a router forward ports as long as it runs.
type portMapper struct {
	ports []mappedPort
	find  func() []router // those that there may be, likely ones first
	log   *slog.Logger
	moved chan struct{} // the machine may be behind another router now

	at     atomic.Pointer[netip.Addr] // where the ports are reached; nil: not
	router router                     // which forwards them; nil: none
	failed int                        // times in a row
}

func newPortMapper(ports []mappedPort, find func() []router, log *slog.Logger) *portMapper {
	return &portMapper{ports: ports, find: find, log: log, moved: make(chan struct{}, 1)}
}

// external is the address at which others reach the ports; zero: none is known.
func (m *portMapper) external() netip.Addr {
	if a := m.at.Load(); a != nil {
		return *a
	}
	return netip.Addr{}
}

// kick makes it look for the router anew.
func (m *portMapper) kick() {
	select {
	case m.moved <- struct{}{}:
	default: // it will
	}
}

// run asks and renews until ctx is done, and then takes everything back.
func (m *portMapper) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
			m.leave(late)
			cancel()
			return
		case <-m.moved:
			m.router = nil // what it forwards to an address that is gone ends by itself
		case <-timer.C:
		}
		asking, cancel := context.WithTimeout(ctx, mapTime)
		timer.Reset(m.renew(asking))
		cancel()
	}
}

// renew has the ports forwarded by the router that does so, or by another, and
// returns when to do so again.
func (m *portMapper) renew(ctx context.Context) time.Duration {
	candidates := []router{m.router}
	if m.router == nil {
		candidates = m.find()
	}
	var all []error
	for _, r := range candidates {
		at, lease, err := m.ask(ctx, r)
		if err != nil {
			all = append(all, fmt.Errorf("%v: %w", r, err))
			continue
		}
		if m.router == nil || m.external() != at {
			m.log.Info("the router forwards our ports", "by", r.String(), "address", at, "ports", m.ports)
			if at.IsPrivate() || carrierNAT.Contains(at) {
				m.log.Warn("the router is behind another one, which forwards nothing: from the internet this machine is not reached", "address", at)
			}
		}
		m.router, m.failed = r, 0
		m.at.Store(&at)
		return renewAfter(lease)
	}
	if m.failed == 0 && !errors.Is(ctx.Err(), context.Canceled) {
		m.log.Warn("no router forwards our ports: switch on UPnP or NAT-PMP there, or forward them by hand and name its address with --public-ip", "ports", m.ports, "err", errors.Join(all...))
	}
	m.router = nil
	m.at.Store(nil)
	m.failed++
	return retryAfter(m.failed)
}

// ask has a router forward all ports; what it forwards if not all is withdrawn.
func (m *portMapper) ask(ctx context.Context, r router) (netip.Addr, time.Duration, error) {
	var at netip.Addr
	least := mapLease
	for i, p := range m.ports {
		a, lease, err := r.forward(ctx, p, mapLease)
		forwarded := m.ports[:i] // not this one after an error: it may be another machine's
		if err == nil && (i > 0 && a != at || !reachableExternal(a)) {
			forwarded = m.ports[:i+1]
			err = fmt.Errorf("it says that its address is %v", a)
		}
		if err != nil {
			// What is left ends by itself, unless it is for ever.
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
			defer cancel()
			for _, p := range forwarded {
				_ = r.withdraw(late, p)
			}
			return netip.Addr{}, 0, fmt.Errorf("%v: %w", p, err)
		}
		at, least = a, min(least, lease)
	}
	return at, least, nil
}

func (m *portMapper) leave(ctx context.Context) {
	if m.router == nil {
		return
	}
	for _, p := range m.ports {
		if err := m.router.withdraw(ctx, p); err != nil {
			m.log.Debug("the router goes on forwarding a port for a while", "port", p, "err", err)
		}
	}
}

// renewAfter is well before a lease ends, however short a router makes it.
func renewAfter(lease time.Duration) time.Duration {
	return min(mapRenew, max(lease/2, mapRetryFirst))
}

func retryAfter(failed int) time.Duration {
	return min(mapRetryLast, mapRetryFirst<<min(failed-1, 10))
}

// carrierNAT is where providers put customers behind a NAT of theirs (RFC 6598).
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// reachableExternal tells whether a router can have an address on its other side.
func reachableExternal(a netip.Addr) bool {
	return a.Is4() && a.IsGlobalUnicast() && !slices.Contains([]netip.Addr{netip.IPv4Unspecified(), netip.AddrFrom4([4]byte{255, 255, 255, 255})}, a)
}
