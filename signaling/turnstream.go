package signaling

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// strangerIdle is how long a TCP connection without a relay may be silent,
	// memberIdle one with a relay: that is refreshed within ten minutes.
	strangerIdle = 30 * time.Second
	memberIdle   = 11 * time.Minute
)

// turnListener gives pion the TCP connections that may be served.
type turnListener struct {
	net.Listener
	t *TURN
}

// Accept fails only when the listener is closed: pion serves no more after that.
func (l *turnListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil: // out of file descriptors, most of the time
			l.t.cfg.Log.Warn("TURN: accepting a connection", "err", err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if s := l.t.stream(c); s != nil {
			return s, nil
		}
		_ = c.Close() // refused
	}
}

// turnStream is a client's TCP connection.
type turnStream struct {
	net.Conn
	t      *TURN
	from   netip.Prefix
	member atomic.Bool // it has a relay
	frames framing
	once   sync.Once
}

// stream makes a stream, or nil if there are too many.
func (t *TURN) stream(c net.Conn) *turnStream {
	s := &turnStream{Conn: c, t: t, from: prefixOf(c.RemoteAddr())}
	t.mu.Lock()
	defer t.mu.Unlock()
	same := 0
	for other := range t.streams {
		if other.from == s.from {
			same++
		}
	}
	if t.closing || len(t.streams) >= 2*t.cfg.Relays || same >= t.cfg.RelaysPerAddress {
		t.refused["stream"]++
		return nil
	}
	t.streams[s] = struct{}{}
	t.running.Add(1)
	return s
}

func (s *turnStream) Read(b []byte) (int, error) {
	idle := strangerIdle
	if s.member.Load() {
		idle = memberIdle
	}
	_ = s.SetReadDeadline(time.Now().Add(idle))
	n, err := s.Conn.Read(b)
	if bad := s.frames.take(b[:n]); bad != nil {
		s.t.refuse("frame")
		return 0, bad
	}
	return n, err
}

// Write gives up on a client that does not read: its packets are late by then,
// and the relay waits.
func (s *turnStream) Write(b []byte) (int, error) {
	_ = s.SetWriteDeadline(time.Now().Add(writeWait))
	n, err := s.Conn.Write(b)
	if err != nil {
		_ = s.Conn.Close() // part of a packet may be out; the reader sees it
	}
	return n, err
}

func (s *turnStream) Close() error {
	err := s.Conn.Close()
	s.once.Do(func() {
		s.t.mu.Lock()
		delete(s.t.streams, s)
		s.t.mu.Unlock()
		s.t.running.Done()
	})
	return err
}
