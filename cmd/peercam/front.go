package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/peercam/peercam/signaling"
)

// frontFlags are shared by share and serve: the server's side to the world.
type frontFlags struct {
	iceFlags
	tlsFlags
	turnFlags
}

// ownServer names a flag that only a server of our own can have, if one is given.
func (f frontFlags) ownServer() string {
	for name, given := range map[string]bool{
		"--turn": f.TURN != "", "--tls-cert": f.TLSCert != "", "--tls-self-signed": f.TLSSelfSigned, "--acme-domain": len(f.ACMEDomain) > 0,
	} {
		if given {
			return name
		}
	}
	return ""
}

// front is a signaling server with its ports: http or https, and TURN.
type front struct {
	server *signaling.Server
	relays *relays // nil: none
	base   string  // of links: scheme, host and port
	port   *sharedPort
	web    net.Listener
	log    *slog.Logger
}

// open listens at addr. dir is where a certificate that is made here is kept.
func (f frontFlags) open(addr string, cfg signaling.ServerConfig, dir func() (string, error), log *slog.Logger) (*front, error) {
	sources, err := f.sources(f.TURN != "")
	if err != nil {
		return nil, err
	}
	certs, err := f.certificates(dir, log)
	if err != nil {
		return nil, err
	}
	l, err := listen(addr)
	if err != nil {
		return nil, err
	}
	t := &front{web: l, log: log}
	scheme, host := "http", reachable(l.Addr())
	if certs != nil {
		scheme, host = "https", certs.at(host)
		if len(f.ACMEDomain) > 0 {
			warnACMEPort(l.Addr(), f.ACMEDomain[0], log)
		}
	}
	t.base = scheme + "://" + host
	if certs != nil || f.TURN != "" {
		t.port = newSharedPort(l, certs.tlsConfig(), f.TURN != "", log)
		t.web = t.port.web
	}
	if f.TURN != "" {
		known := func(a netip.Addr) bool { return t.server.Present(a) }
		if t.relays, err = f.turnFlags.open(l, certs, t.port, known, log); err != nil {
			return nil, errors.Join(err, l.Close())
		}
		sources = append(sources, t.relays.ice)
		if len(f.ICEServer) == 0 {
			sources = append(sources, signaling.FixedICE(t.relays.free))
		}
	}
	cfg.Log, cfg.ICEServers = log, signaling.JoinICE(sources...)
	t.server = signaling.NewServer(cfg)
	return t, nil
}

// socket is what cameras elsewhere connect to.
func (t *front) socket() string { return "ws" + strings.TrimPrefix(t.base, "http") }

// close gives the ports back when run has not run.
func (t *front) close() {
	_ = t.web.Close() // it may be closed
	if t.port != nil {
		_ = t.port.Close()
	}
}

// run serves until ctx is done.
func (t *front) run(ctx context.Context, h http.Handler) error {
	below, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	turned, sorted := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(sorted)
		if t.port != nil {
			t.port.run(below)
		}
	}()
	go func() {
		var err error
		if t.relays != nil {
			err = t.relays.Run(below)
		}
		turned <- err
	}()
	err := serveHTTP(ctx, t.web, h, t.server, t.log)
	stop()
	err = errors.Join(err, <-turned)
	<-sorted
	return err
}
