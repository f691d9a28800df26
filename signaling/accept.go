package signaling

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Buffers are small, since most sockets are idle most of the time; a larger
// message takes a few reads more.
const (
	readBuffer  = 512
	writeBuffer = 2048
)

var writeBuffers sync.Pool

// ServeHTTP is the WebSocket of PROTOCOL.md. What is refused after the handshake
// is refused with an error message, because a page sees no HTTP status. By POST it
// takes early words.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		s.early(w, r)
		return
	}
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "this is peercam's signaling: it speaks WebSocket", http.StatusUpgradeRequired)
		return
	}
	addr := s.addrOf(r)
	held := s.addrs.take(addr)
	release := func() { s.addrs.release(addr) }
	if s.addrs.over(held, 2) {
		// Those over the limit hold a socket too while they are told so.
		release()
		s.refuse(CodeTooMany)
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many connections from this address", http.StatusTooManyRequests)
		return
	}
	up := websocket.Upgrader{
		HandshakeTimeout: 10 * time.Second,
		ReadBufferSize:   readBuffer,
		WriteBufferSize:  writeBuffer,
		WriteBufferPool:  &writeBuffers,
		CheckOrigin:      func(*http.Request) bool { return true }, // below
		// An SDP is packed to less than half. The library would promise, and not keep, a smaller window.
		EnableCompression: !strings.Contains(r.Header.Get("Sec-WebSocket-Extensions"), "server_max_window_bits"),
	}
	ws, err := up.Upgrade(w, r, nil)
	if err != nil {
		release()
		s.log.Debug("no WebSocket", "addr", addr, "err", err)
		return
	}
	c := newWSConn(ws, true, viewerQueue)
	switch {
	case s.addrs.over(held, 1):
		s.end(c, errorf(CodeTooMany, "too many connections from this address: %d are the most (behind a proxy the server must be told to trust it)", s.cfg.MaxPerAddress))
	default:
		if bad := s.checkOrigin(r); bad != nil {
			s.end(c, bad)
		}
	}
	if !s.start(c, release) {
		c.Close(CodeClosing, "the server is stopping; come back")
		drain(c)
	}
}

// checkOrigin tells what is wrong with the page that a request comes from.
func (s *Server) checkOrigin(r *http.Request) *Error {
	if s.originAllowed(r) {
		return nil
	}
	s.log.Info("refused", "code", CodeForbidden, "origin", r.Header.Get("Origin"), "host", r.Host)
	return errorf(CodeForbidden, "pages of %.100q may not use this server: it must be told to allow that origin", r.Header.Get("Origin"))
}

func (s *Server) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(s.cfg.AllowedOrigins, "*") {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	host := r.Host
	if fwd := r.Header.Get("X-Forwarded-Host"); s.cfg.TrustProxy && fwd != "" {
		host = fwd
	}
	return strings.EqualFold(u.Host, host) || slices.ContainsFunc(s.cfg.AllowedOrigins, func(o string) bool {
		return strings.EqualFold(strings.TrimSuffix(o, "/"), origin)
	})
}

// addrOf is where a request comes from, as far as counting goes.
func (s *Server) addrOf(r *http.Request) netip.Prefix {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if fwd := r.Header.Values("X-Forwarded-For"); s.cfg.TrustProxy && len(fwd) > 0 {
		// The last one is what the proxy saw; those before are hearsay.
		list := strings.Split(fwd[len(fwd)-1], ",")
		host = strings.TrimSpace(list[len(list)-1])
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{} // a Unix socket: all count as one
	}
	return CountedAddress(a)
}

// CountedAddress is the network that counts as one address: an IPv6 /64 is one house.
func CountedAddress(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// addresses counts connections by address.
type addresses struct {
	max int // negative: no limit
	mu  sync.Mutex
	n   map[netip.Prefix]int
}

// take counts one more and returns how many there are now.
func (a *addresses) take(p netip.Prefix) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n == nil {
		a.n = map[netip.Prefix]int{}
	}
	a.n[p]++
	return a.n[p]
}

func (a *addresses) holds(p netip.Prefix) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n[p] > 0
}

func (a *addresses) over(n, times int) bool { return a.max >= 0 && n > times*a.max }

func (a *addresses) release(p netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n[p]--; a.n[p] <= 0 {
		delete(a.n, p)
	}
}
