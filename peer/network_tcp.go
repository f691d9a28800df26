package peer

import (
	"net"
	"sync"
)

const (
	// maxTCPConns is how many TCP connections viewers may hold; more are closed.
	maxTCPConns = 512
	// tcpReadQueue is in packets: what a viewer sends is feedback. tcpWriteBuffer
	// is in bytes: what has not gone out after that is dropped, as a router would.
	tcpReadQueue   = 64
	tcpWriteBuffer = 512 << 10
)

// limitedListener accepts only so many connections at a time: whoever connects
// and says nothing holds one for seconds.
type limitedListener struct {
	net.Listener
	held chan struct{}
}

func limit(l net.Listener, most int) *limitedListener {
	return &limitedListener{l, make(chan struct{}, most)}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.held <- struct{}{}:
			return &limitedConn{Conn: c, free: func() { <-l.held }}, nil
		default:
			_ = c.Close()
		}
	}
}

type limitedConn struct {
	net.Conn
	once sync.Once
	free func()
}

func (c *limitedConn) Close() error {
	c.once.Do(c.free)
	return c.Conn.Close()
}
