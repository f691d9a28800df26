package peer

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
)

// lingerTime is how long a port stays open at an address that is gone: when that
// comes back, as after a cable was out for a moment, sessions there go on. It is
// longer than they live without.
const lingerTime = iceDisconnected + iceFailed

// portBuffer is what the OS may hold for all sessions of a port together, bytes.
const portBuffer = 2 << 20

// udpPort is one UDP port at each of the machine's addresses, shared by all
// sessions. A socket for each, since the OS would answer from another address
// than it was asked at, which ICE does not take for an answer.
type udpPort struct {
	port int
	log  *slog.Logger

	mu     sync.Mutex
	at     map[netip.Addr]*boundPort
	missed map[netip.Addr]string // why the port is not open there, as the log said
	closed bool
}

type boundPort struct {
	*ice.UDPMuxDefault
	gone time.Time // since when its address is; zero: it is there
}

func newUDPPort(port int, log *slog.Logger) *udpPort {
	return &udpPort{port: port, log: log, at: map[netip.Addr]*boundPort{}}
}

// follow opens the port at addresses that are new, and closes it where they are
// long gone. An address where that fails, such as one of IPv6 that is not yet known
// to be nobody else's, does not hinder the others: the next call tries it again.
// The error is of when the port is open nowhere.
func (u *udpPort) follow(now time.Time, addrs []netip.Addr) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return net.ErrClosed
	}
	var first error
	missed := map[netip.Addr]string{}
	for _, a := range addrs {
		if b := u.at[a]; b != nil {
			b.gone = time.Time{}
			continue
		}
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: a.AsSlice(), Port: u.port})
		if err != nil {
			err = fmt.Errorf("at %v: %w", a, portError("UDP", u.port, err))
			missed[a] = err.Error()
			if first == nil {
				first = err
			}
			continue
		}
		// The OS may give less; it says so to nobody.
		_ = conn.SetReadBuffer(portBuffer)
		_ = conn.SetWriteBuffer(portBuffer)
		u.at[a] = &boundPort{UDPMuxDefault: ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: conn, Logger: quiet()})}
		u.log.Debug("UDP port open", "at", conn.LocalAddr())
	}
	for a, b := range u.at {
		switch {
		case slices.Contains(addrs, a):
		case b.gone.IsZero():
			b.gone = now
		case now.Sub(b.gone) > lingerTime:
			_ = b.Close()
			delete(u.at, a)
		}
	}
	if len(u.at) == 0 {
		return first
	}
	for a, why := range missed {
		if u.missed[a] != why {
			u.log.Warn("the UDP port is not open at one of this machine's addresses; it is tried again", "err", why)
		}
	}
	u.missed = missed
	return nil
}

// GetConn is a session's share of the port at an address.
func (u *udpPort) GetConn(ufrag string, addr net.Addr) (net.PacketConn, error) {
	a, ok := addr.(*net.UDPAddr)
	if !ok {
		return nil, fmt.Errorf("%v is no UDP address", addr)
	}
	u.mu.Lock()
	b := u.at[a.AddrPort().Addr().Unmap()]
	u.mu.Unlock()
	if b == nil {
		return nil, fmt.Errorf("UDP port %d is not open at %v", u.port, a.IP)
	}
	return b.UDPMuxDefault.GetConn(ufrag, b.LocalAddr())
}

// RemoveConnByUfrag ends a session's share.
func (u *udpPort) RemoveConnByUfrag(ufrag string) {
	for _, b := range u.all() {
		b.RemoveConnByUfrag(ufrag)
	}
}

// GetListenAddresses are those where the port is open and the address is there.
func (u *udpPort) GetListenAddresses() []net.Addr {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all []net.Addr
	for _, b := range u.at {
		if b.gone.IsZero() {
			all = append(all, b.LocalAddr())
		}
	}
	return all
}

func (u *udpPort) all() []*boundPort {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all []*boundPort
	for _, b := range u.at {
		all = append(all, b)
	}
	return all
}

// Close gives the port back.
func (u *udpPort) Close() error {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	var err error
	for _, b := range u.all() {
		err = errors.Join(err, b.Close())
	}
	return err
}

// quiet keeps what pion would say about strangers' packets out of the log.
func quiet() logging.LeveledLogger {
	return logging.NewDefaultLeveledLoggerForScope("ice", logging.LogLevelDisabled, io.Discard)
}

var _ ice.UDPMux = (*udpPort)(nil)
