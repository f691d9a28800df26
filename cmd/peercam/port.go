package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/peercam/peercam/signaling"
)

const (
	// greeting is how long a connection may take to show what it speaks.
	greeting = 10 * time.Second
	// maxGreetings is how many may be about to, and addressGreetings how many of
	// one address; more are closed.
	maxGreetings     = 1024
	addressGreetings = 64
)

// sharedPort is one TCP port for https, wss and TURN, bare or inside TLS: what
// lets a browser load the page lets TURN through. Who connects speaks first in
// each of them, so the first byte tells which it is.
type sharedPort struct {
	net.Listener
	tls  *tls.Config // nil: plain http
	web  *handoff
	turn *handoff // nil: none
	log  *slog.Logger
	wg   sync.WaitGroup

	mu        sync.Mutex
	greetings map[netip.Prefix]int // connections about to show what they speak
	all       int
}

func newSharedPort(l net.Listener, config *tls.Config, turn bool, log *slog.Logger) *sharedPort {
	p := &sharedPort{Listener: l, tls: config, web: newHandoff(l.Addr()), log: log, greetings: map[netip.Prefix]int{}}
	if turn {
		p.turn = newHandoff(l.Addr())
	}
	return p
}

// run sorts connections until ctx is done.
func (p *sharedPort) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer p.wg.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = p.Close() })
	defer stop()
	for {
		c, err := p.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of file descriptors, most of the time
			p.log.Warn("accepting a connection", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		from := addressOf(c)
		if !p.enter(from) {
			_ = c.Close()
			continue
		}
		p.wg.Go(func() {
			defer p.exit(from)
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			defer stop()
			p.sort(ctx, c)
		})
	}
}

// addressOf is what a connection's greeting counts for.
func addressOf(c net.Conn) netip.Prefix {
	a, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{} // all that have none count as one
	}
	return signaling.CountedAddress(a.Addr())
}

// enter counts one more greeting, unless there are too many.
func (p *sharedPort) enter(from netip.Prefix) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= maxGreetings || p.greetings[from] >= addressGreetings {
		return false
	}
	p.all++
	p.greetings[from]++
	return true
}

func (p *sharedPort) exit(from netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.greetings[from]--; p.greetings[from] == 0 {
		delete(p.greetings, from)
	}
}

// sort finds out what a connection speaks and hands it over.
func (p *sharedPort) sort(ctx context.Context, raw net.Conn) {
	_ = raw.SetDeadline(time.Now().Add(greeting))
	c, first, err := peek(raw)
	switch {
	case err != nil:
		_ = raw.Close()
	case first == 0x16 && p.tls != nil: // a TLS handshake
		p.sortTLS(ctx, tls.Server(c, p.tls))
	case first < 4 && p.turn != nil: // STUN begins with its type
		p.turn.give(c)
	case p.tls != nil:
		p.toHTTPS(c)
	default:
		p.web.give(c)
	}
}

func (p *sharedPort) sortTLS(ctx context.Context, c *tls.Conn) {
	if err := c.HandshakeContext(ctx); err != nil {
		p.log.Debug("TLS handshake", "from", c.RemoteAddr(), "err", err)
		_ = c.Close()
		return
	}
	// Browsers name their protocol when they load a page, and none for TURN.
	if p.turn == nil || c.ConnectionState().NegotiatedProtocol != "" {
		p.web.give(c)
		return
	}
	inner, first, err := peek(c)
	switch {
	case err != nil:
		_ = c.Close()
	case first < 4:
		p.turn.give(inner)
	default:
		p.web.give(inner)
	}
}

// toHTTPS sends who typed the address without https:// where it is.
func (p *sharedPort) toHTTPS(c net.Conn) {
	defer c.Close()
	r, err := http.ReadRequest(bufio.NewReader(io.LimitReader(c, 8<<10)))
	if err != nil || r.Host == "" {
		return
	}
	_, _ = io.WriteString(c, "HTTP/1.1 307 Temporary Redirect\r\nLocation: https://"+r.Host+r.URL.RequestURI()+
		"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") // who has left needs no answer
}

// peeked is a connection of which the first byte was read already.
type peeked struct {
	net.Conn
	first []byte
}

func peek(c net.Conn) (*peeked, byte, error) {
	p := &peeked{Conn: c, first: make([]byte, 1)}
	_, err := io.ReadFull(c, p.first)
	return p, p.first[0], err
}

func (p *peeked) Read(b []byte) (int, error) {
	if len(p.first) > 0 && len(b) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// NetConn is the connection itself.
func (p *peeked) NetConn() net.Conn { return p.Conn }

// CloseWrite says that no more is sent.
func (p *peeked) CloseWrite() error {
	if half, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// handoff is a listener whose connections come from elsewhere.
type handoff struct {
	addr net.Addr
	c    chan net.Conn
	done chan struct{}
	once sync.Once
}

func newHandoff(addr net.Addr) *handoff {
	return &handoff{addr: addr, c: make(chan net.Conn), done: make(chan struct{})}
}

// give hands a connection over, or closes it when nobody accepts any more.
func (h *handoff) give(c net.Conn) {
	_ = c.SetDeadline(time.Time{})
	select {
	case h.c <- c:
	case <-h.done:
		_ = c.Close()
	}
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.c:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

func (h *handoff) Addr() net.Addr { return h.addr }
