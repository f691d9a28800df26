package signaling

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// ServerConfig is what a Server is told. Its zero value is a good server.
type ServerConfig struct {
	// Log gets who joins, leaves and is refused, at debug and info. Nil: nowhere.
	Log *slog.Logger
	// AllowedOrigins are the origins of pages, besides the server's own, that
	// may connect: "https://example.org", or "*" for all.
	AllowedOrigins []string
	// MaxPerAddress is how many sockets one address may hold, an IPv6 /64
	// counting as one. 0 means 128, negative no limit.
	MaxPerAddress int
	// ICEServers makes what everybody who joins is told to use, and told anew when
	// half its time is over. Nil: nothing.
	ICEServers ICESource
	// TrustProxy takes a client's address from X-Forwarded-For and the server's
	// name from X-Forwarded-Host, as a reverse proxy in front of it sets them.
	TrustProxy bool
	// WHEPTimeout is how long a WHEP player waits for an answer. 0 means 10 s.
	WHEPTimeout time.Duration
	// WHEPPatience is how long a WHEP player waits for a camera to come. 0 means 2 s.
	WHEPPatience time.Duration
	// Cluster joins this server to others. Nil: it is alone.
	Cluster Cluster
}

// Server brings viewers and cameras together. ServeHTTP is its WebSocket, WHEP
// serves players, Connect connects a camera in the same process. They wait until
// Run runs.
type Server struct {
	cfg     ServerConfig
	log     *slog.Logger
	events  chan event
	done    chan struct{} // closed when the hub has ended
	wg      sync.WaitGroup
	addrs   addresses
	players players

	mu       sync.Mutex
	conns    map[Conn]struct{}
	started  bool
	stopping bool
	refused  map[string]uint64
	messages atomic.Uint64
}

// NewServer makes a server, which works while Run does.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxPerAddress == 0 {
		cfg.MaxPerAddress = 128
	}
	if cfg.WHEPTimeout == 0 {
		cfg.WHEPTimeout = 10 * time.Second
	}
	if cfg.WHEPPatience == 0 {
		cfg.WHEPPatience = 2 * time.Second
	}
	return &Server{
		cfg: cfg, log: cfg.Log,
		events: make(chan event, 64), done: make(chan struct{}),
		addrs: addresses{max: cfg.MaxPerAddress},
		conns: map[Conn]struct{}{}, refused: map[string]uint64{},
	}
}

// Run serves until ctx ends; then it tells everybody CodeClosing, and returns
// when all connections have ended, about a second later at most. It runs once.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	again := s.started
	s.started = true
	s.mu.Unlock()
	if again {
		return errors.New("signaling: Run was called twice on one server: make another with NewServer")
	}
	h := &hub{rooms: map[string]*room{}, ice: s.cfg.ICEServers, refused: s.refuse}
	leave := s.joinCluster(ctx, h)
	h.run(ctx, s.events)
	s.mu.Lock()
	s.stopping = true
	all := maps.Clone(s.conns)
	s.mu.Unlock()
	close(s.done)
	for c := range all {
		c.Close(CodeClosing, "the server is stopping; come back")
	}
	leave()
	s.wg.Wait()
	return nil
}

// joinCluster starts what carries messages between h and other servers, and
// returns what ends it.
func (s *Server) joinCluster(ctx context.Context, h *hub) (leave func()) {
	if s.cfg.Cluster == nil {
		return func() {}
	}
	h.fleet = newFleet(s.cfg.Cluster, s.log)
	receive := func(data []byte) {
		m, err := decodeCluster(data)
		if err != nil {
			s.refuse(CodeBadMessage)
			s.log.Debug("another server sent nonsense", "bytes", len(data), "err", err)
			return
		}
		s.post(event{what: eventHeard, heard: m})
	}
	below, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.wg.Go(func() {
		err := s.cfg.Cluster.Run(below, h.fleet.self, receive, func() { s.post(event{what: eventLinked}) })
		if err != nil {
			s.log.Error("this server is alone: what joins it to others has failed", "err", err)
		}
	})
	return cancel
}

// Connect makes a connection within the process, for the camera that lives
// beside its server. It has no limits of rate and address. Its shape is that of
// Client.Dial.
func (s *Server) Connect(context.Context) (Conn, error) {
	client, server := pipe()
	if !s.start(server, func() {}) {
		return nil, fmt.Errorf("signaling: the server has stopped: %w", ErrClosed)
	}
	return client, nil
}

// Present tells whether somebody is connected from an address, with a socket or
// as a WHEP player; an IPv6 /64 counts as one.
func (s *Server) Present(a netip.Addr) bool { return s.addrs.holds(CountedAddress(a)) }

// Stats tells how the server does.
func (s *Server) Stats() Stats {
	var out Stats
	reply := make(chan Stats, 1)
	if s.post(event{what: eventStats, stats: reply}) {
		select {
		case out = <-reply:
		case <-s.done:
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out.Sockets = len(s.conns)
	out.Messages = s.messages.Load()
	out.Refused = maps.Clone(s.refused)
	if s.cfg.Cluster != nil {
		out.Dropped = s.cfg.Cluster.Dropped()
	}
	return out
}

// Stats is what a server has to tell about itself.
type Stats struct {
	// Rooms have somebody in them, or are kept for their camera: at this server,
	// or with a camera at another. Each counts once.
	Rooms int
	// Cameras and Viewers are those at this server.
	Cameras, Viewers int
	// Servers are the others in the cluster.
	Servers int
	// Sockets are all connections, joined or not, those in the process too.
	Sockets int
	// Messages is how many were received.
	Messages uint64
	// Refused is how many errors were sent, by code.
	Refused map[string]uint64
	// Dropped is how many messages to and from other servers were lost.
	Dropped uint64
}

func (s *Server) refuse(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[code]++
}

// start serves c in a goroutine, and calls ended when that has ended. False: the
// server is stopping, and ended was called.
func (s *Server) start(c queued, ended func()) bool {
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	forget := func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		ended()
	}
	ok := s.spawn(func() {
		defer forget()
		s.serve(c)
	})
	if !ok {
		forget()
	}
	return ok
}

// spawn runs f in a goroutine that Run waits for; false if it is too late.
func (s *Server) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.wg.Go(f)
	return true
}

// post gives the hub an event; false means that it has ended.
func (s *Server) post(e event) bool {
	select {
	case s.events <- e:
		return true
	case <-s.done:
		return false
	}
}

var _ http.Handler = (*Server)(nil)
