package main

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pion/stun/v4"

	"github.com/peercam/peercam/signaling"
)

// iceFlags are shared by share and serve: what helps viewers and cameras find a
// way to each other.
type iceFlags struct {
	ICEServer     []string `name:"ice-server" help:"STUN or TURN server for viewers outside this network, for instance turn:turn.example.org:3478?transport=udp. May be repeated. The default is public STUN servers." placeholder:"URL"`
	ICEUsername   string   `name:"ice-username" help:"User name for the TURN servers." placeholder:"NAME"`
	ICECredential string   `name:"ice-credential" help:"Password for the TURN servers." placeholder:"SECRET"`
	TURNSecret    string   `name:"turn-secret" help:"Secret shared with the TURN servers (coturn: static-auth-secret), from which everybody gets credentials of their own that expire; instead of --ice-username and --ice-credential." placeholder:"SECRET"`
	NoSTUN        bool     `name:"no-stun" help:"Ask no public STUN server for our public address."`
}

// publicSTUN are asked unless other servers are named: two, of different
// houses, so that one may be away.
var publicSTUN = []string{"stun:stun.l.google.com:19302", "stun:stun.cloudflare.com:3478"}

// credentialLife is how long credentials work. Sockets are told new ones in
// time; who has none, like a WHEP player, needs them only to begin.
const credentialLife = 6 * time.Hour

// source checks the flags and makes what peers are told.
func (f iceFlags) source() (signaling.ICESource, error) {
	sources, err := f.sources(false)
	return signaling.JoinICE(sources...), err
}

// sources are those that the flags name. No public server is asked by those who
// have a server of our own.
func (f iceFlags) sources(own bool) ([]signaling.ICESource, error) {
	var free, paid []string // of credentials
	for _, text := range f.ICEServer {
		scheme, rest, _ := strings.Cut(text, ":")
		u, err := url.Parse(scheme + "://" + rest)
		if err != nil || u.Hostname() == "" || u.Path != "" {
			return nil, usage("--ice-server %q is no STUN or TURN URL: write for instance stun:stun.example.org:3478 or turn:turn.example.org:3478?transport=udp", text)
		}
		switch scheme {
		case "stun", "stuns", "turn", "turns":
			if server, err := stun.ParseURI(text); err != nil {
				return nil, usage("--ice-server %q is no STUN or TURN URL (%w): only turn: and turns: have a transport, which is udp or tcp", text, err)
			} else if server.Port < 1 || server.Port > 65535 {
				return nil, usage("--ice-server %q names port %d: it must be from 1 to 65535", text, server.Port)
			}
		}
		switch scheme {
		case "stun", "stuns":
			free = append(free, text)
		case "turn", "turns":
			paid = append(paid, text)
		default:
			return nil, usage("--ice-server %q begins with %q: it must be stun:, stuns:, turn: or turns:", text, scheme+":")
		}
	}
	if len(f.ICEServer) == 0 && !f.NoSTUN && !own {
		free = publicSTUN
	}
	var sources []signaling.ICESource
	if len(free) > 0 {
		sources = append(sources, signaling.FixedICE(signaling.ICEServer{URLs: slices.Clone(free)}))
	}
	named := f.ICEUsername != "" && f.ICECredential != ""
	switch {
	case f.TURNSecret != "" && (f.ICEUsername != "" || f.ICECredential != ""):
		return nil, usage("--turn-secret and --ice-username or --ice-credential exclude each other: use what the TURN server asks for")
	case len(paid) == 0 && f.TURNSecret != "":
		return nil, usage("--turn-secret is for a TURN server that --ice-server names: add for instance --ice-server turn:turn.example.org:3478?transport=udp (the server of --turn makes its own secret)")
	case len(paid) == 0:
	case f.TURNSecret != "":
		sources = append(sources, signaling.TURNSecret(f.TURNSecret).ICE(credentialLife, paid...))
	case named:
		sources = append(sources, signaling.FixedICE(signaling.ICEServer{URLs: paid, Username: f.ICEUsername, Credential: f.ICECredential}))
	default:
		return nil, usage("--ice-server %q needs --ice-username and --ice-credential, or --turn-secret", paid[0])
	}
	return sources, nil
}
