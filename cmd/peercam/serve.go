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

	NATS string `name:"nats" help:"Join other signaling servers over NATS, so that camera and viewer may be at different ones. More URLs with commas between." placeholder:"nats://HOST:4222"`

	frontFlags
}

// Run serves until ctx is done.
func (s *serveCommand) Run(ctx context.Context, env environment, log *slog.Logger) error {
	if s.MaxSockets < 1 {
		return usage("--max-sockets %d is out of range: it must be 1 or more", s.MaxSockets)
	}
	cfg := signaling.ServerConfig{AllowedOrigins: s.Origin, MaxPerAddress: s.MaxSockets, TrustProxy: s.TrustProxy}
	if s.NATS != "" {
		cluster, err := signaling.NATS(s.NATS, log)
		if err != nil {
			return usage("--nats: %w", err)
		}
		cfg.Cluster = cluster
	}
	front, err := s.open(s.Listen, cfg, configDir, log)
	if err != nil {
		return err
	}
	defer front.close()
	server := front.server
	mux := http.NewServeMux()
	mux.Handle("/ws", server)
	mux.Handle("/whep/", server.WHEP())
	mux.Handle("/", server.Pages())
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /metrics", metrics(func(e *exposition) { reportServer(e, server.Stats()) }, front.relays.report))
	mux.HandleFunc("GET /snapshot/{file}", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this server only routes; snapshots come from the camera's own server (peercam share)", http.StatusNotFound)
	})
	fmt.Fprintf(env.stdout, "%s/\n", front.base)
	log.Info("signaling server ready", "address", front.web.Addr().String(), "cameras", fmt.Sprintf("peercam share --signal %s --room NAME", front.socket()))
	return front.run(ctx, mux)
}
