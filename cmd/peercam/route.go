package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/peercam/peercam/signaling"
)

// signalFlags are about the server of --signal.
type signalFlags struct {
	SignalFingerprint string `name:"signal-fingerprint" help:"Fingerprint (SHA-256) of the certificate of --signal, where that is self-signed: as the server logs it." placeholder:"FINGERPRINT"`
}

// route is how a camera is reached: a server in this process, or one elsewhere.
type route struct {
	dial  func(context.Context) (signaling.Conn, error)
	base  string // the link without the room
	front *front // nil: a server elsewhere
}

// signaling opens the built-in server's port, or checks the address of the
// one elsewhere.
func (s *shareCommand) signaling(log *slog.Logger) (*route, error) {
	if s.Signal != "" {
		if name := s.ownServer(); name != "" {
			return nil, usage("%s is for the built-in server, and --signal names another: give it to peercam serve there", name)
		}
		dial, err := signaling.DialPinned(s.Signal, s.SignalFingerprint)
		if err != nil {
			return nil, usage("--signal: %w", err)
		}
		base, err := pageURL(s.Signal)
		if err != nil {
			return nil, usage("--signal: %w", err)
		}
		return &route{dial: dial, base: base}, nil
	}
	if s.SignalFingerprint != "" {
		return nil, usage("--signal-fingerprint is of use with --signal only")
	}
	front, err := s.frontFlags.open(s.Listen, signaling.ServerConfig{}, s.keyDir, log)
	if err != nil {
		return nil, err
	}
	return &route{dial: front.server.Connect, base: front.base, front: front}, nil
}

func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, usage("--listen %s: %w; another program may have the port: choose another with --listen :8081", addr, err)
	}
	return l, nil
}

func (r *route) close() {
	if r.front != nil {
		r.front.close()
	}
}

// link is what a viewer opens. The key stands behind #, which browsers keep
// to themselves.
func (r *route) link(room string, key *signaling.Key) string {
	link := r.base + "/" + room
	if key != nil {
		link += "#" + key.Fragment()
	}
	return link
}

// run serves pages and signaling until ctx is done; with a server elsewhere
// there is nothing to serve.
func (r *route) run(ctx context.Context, watch *monitor) error {
	if r.front == nil {
		<-ctx.Done()
		return nil
	}
	mux := http.NewServeMux()
	server := r.front.server
	mux.Handle("/ws", server)
	mux.Handle("/whep/", server.WHEP())
	mux.Handle("/", server.Pages())
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /metrics", metrics(watch.report, func(e *exposition) { reportServer(e, server.Stats()) }, r.front.relays.report))
	mux.HandleFunc("GET /snapshot/{file}", watch.snapshot)
	return r.front.run(ctx, mux)
}

// serveHTTP runs an HTTP server and the signaling behind it until ctx is done.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, server *signaling.Server, log *slog.Logger) error {
	web := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ConnContext: signaling.ConnContext,
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(l) }()
	hub, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	hubDone := make(chan error, 1)
	go func() { hubDone <- server.Run(hub) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
		served <- err
		err = fmt.Errorf("serving on %s: %w", l.Addr(), err)
	}
	// Sockets first: they are told that the server closes.
	stop()
	err = errors.Join(err, <-hubDone)
	late, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if web.Shutdown(late) != nil {
		_ = web.Close()
	}
	<-served
	return err
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

// pageURL is where the viewer page of a signaling server is.
func pageURL(text string) (string, error) {
	if !strings.Contains(text, "://") {
		text = "ws://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	scheme := "http"
	if u.Scheme == "wss" || u.Scheme == "https" {
		scheme = "https"
	}
	return scheme + "://" + u.Host + strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/ws"), nil
}

// reachable is the host and port at which others reach a listening address:
// this machine's own address where it listens on all of them.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = ownAddress()
	}
	return net.JoinHostPort(host, port)
}

// ownAddress is the address that other machines of this network see; sending
// nothing, a UDP socket tells which interface the default route takes. It is of
// IPv6 where only that has one; a machine without any has what its interfaces have.
func ownAddress() string {
	if c, err := net.Dial("udp4", "192.0.2.1:9"); err == nil {
		defer c.Close()
		if a, ok := c.LocalAddr().(*net.UDPAddr); ok && !a.IP.IsUnspecified() {
			return a.IP.String()
		}
	}
	if six := ownAddress6(); six != "" {
		return six // rather than what a bridge for containers has of IPv4
	}
	var six string
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		switch {
		case !ok || !n.IP.IsGlobalUnicast():
		case n.IP.To4() != nil:
			return n.IP.String()
		case six == "":
			six = n.IP.String()
		}
	}
	if six != "" {
		return six
	}
	return "localhost"
}
