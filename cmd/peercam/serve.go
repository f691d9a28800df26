package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/peercam/peercam/signaling"
)

type serveCommand struct {
	Listen     string   `help:"Address to listen on." default:":8080" placeholder:"ADDR"`
	Origin     []string `help:"Other web origins whose pages may use this server, for instance https://example.org. May be repeated." placeholder:"ORIGIN"`
	TrustProxy bool     `help:"Take the client's address from X-Forwarded-For: only behind a proxy that sets it."`
	MaxSockets int      `help:"Most sockets an address may hold." default:"128" placeholder:"N"`

	iceFlags
}

// Run serves until ctx is done.
func (s *serveCommand) Run(ctx context.Context, env environment, log *slog.Logger) error {
	ice, err := s.source()
	if err != nil {
		return err
	}
	if s.MaxSockets < 1 {
		return usage("--max-sockets %d is out of range: it must be 1 or more", s.MaxSockets)
	}
	l, err := listen(s.Listen)
	if err != nil {
		return err
	}
	server := signaling.NewServer(signaling.ServerConfig{
		Log: log, AllowedOrigins: s.Origin, MaxPerAddress: s.MaxSockets, ICEServers: ice, TrustProxy: s.TrustProxy,
	})
	mux := http.NewServeMux()
	mux.Handle("/ws", server)
	mux.Handle("/whep/", server.WHEP())
	mux.Handle("/", signaling.Pages())
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /metrics", metrics(func(e *exposition) { reportServer(e, server.Stats()) }))
	mux.HandleFunc("GET /snapshot/{file}", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this server only routes; snapshots come from the camera's own server (peercam share)", http.StatusNotFound)
	})
	host := reachable(l.Addr())
	fmt.Fprintf(env.stdout, "http://%s/\n", host)
	log.Info("signaling server ready", "address", l.Addr().String(), "cameras", fmt.Sprintf("peercam share --signal ws://%s --room NAME", host))
	return serveHTTP(ctx, l, mux, server, log)
}
