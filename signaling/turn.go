package signaling

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// TURNConfig is what a TURN server is told.
type TURNConfig struct {
	// Packets are the UDP sockets that it serves, each of one address family, and
	// Streams what delivers its TCP connections, bare or inside TLS. Run closes
	// them.
	Packets []net.PacketConn
	Streams []net.Listener
	// Public are the addresses at which relays are reached: one a family, IPv4 or
	// IPv6 or both. Who asks for another family gets no relay.
	Public []netip.Addr
	// MinPort to MaxPort are the UDP ports that relays open, on all addresses of
	// this machine. 0 means 49152 and 65535.
	MinPort, MaxPort uint16
	// Known tells whether somebody is connected from a public address:
	// Server.Present. Relays reach nobody else.
	Known func(netip.Addr) bool
	// Allow are the networks that relays may reach whatever they are.
	Allow []netip.Prefix
	// Relays are the most at a time: of all, of one client's address (an IPv6 /64
	// counting as one), of one user. 0 means 1000, 256 and 64.
	Relays, RelaysPerAddress, RelaysPerUser int
	// Bitrate is the most that a relay carries each way, bit/s; more is dropped.
	// 0 means 20 Mbit/s.
	Bitrate int
	Log     *slog.Logger
}

// TURN is a TURN server (RFC 8656) for those who join a Server, and nobody else:
//
//   - A relay is given to a user whom ICE let in, within quotas.
//   - A relay reaches the public addresses from which others are connected to the
//     server, other relays of its own, the ports that Admit names, and the
//     networks of TURNConfig.Allow. Everything else is refused, so that it is of
//     no use for reaching the server's own network, or strangers.
//   - Between two relays packets pass within this machine, also where its public
//     address is a router's.
type TURN struct {
	cfg    TURNConfig
	secret TURNSecret
	reach  *reach
	quota  quota

	mu      sync.Mutex
	closing bool
	running sync.WaitGroup // relays and streams
	streams map[*turnStream]struct{}
	refused map[string]uint64
	total   turnCounters // of relays that ended
	relays  map[*relay]struct{}
	ports   map[relayPort]*relay
}

// TURNStats is what a TURN server has to tell about itself.
type TURNStats struct {
	// Relays are open now, Streams are TCP connections.
	Relays, Streams int
	// Packets and Bytes were relayed, Dropped were not: over the bit rate, or to
	// where the relay may not reach.
	Packets, Bytes, Dropped uint64
	// Refused is how often a user, a relay or a peer was refused, by reason.
	Refused map[string]uint64
}

// turnRealm is only a name: users are known by it to this server alone.
const turnRealm = "peercam"

// NewTURN makes a server, which works while Run does. Its secret is new each
// time: whoever was connected before joins anew.
func NewTURN(cfg TURNConfig) (*TURN, error) {
	setDefault(&cfg.MinPort, 49152)
	setDefault(&cfg.MaxPort, 65535)
	setDefault(&cfg.Relays, 1000)
	setDefault(&cfg.RelaysPerAddress, 256)
	setDefault(&cfg.RelaysPerUser, 64)
	setDefault(&cfg.Bitrate, 20_000_000)
	setDefault(&cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.MinPort > cfg.MaxPort {
		return nil, fmt.Errorf("TURN relay ports %d-%d: the first must not be above the last", cfg.MinPort, cfg.MaxPort)
	}
	if len(cfg.Public) == 0 {
		return nil, errors.New("TURN: no public address for relays is given")
	}
	return &TURN{
		cfg: cfg, secret: TURNSecret(rand.Text()),
		reach:   newReach(cfg.Allow, cfg.Known),
		quota:   quota{max: cfg.Relays, perAddress: cfg.RelaysPerAddress, perUser: cfg.RelaysPerUser},
		streams: map[*turnStream]struct{}{}, refused: map[string]uint64{}, relays: map[*relay]struct{}{}, ports: map[relayPort]*relay{},
	}, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// ICE lets users in, at urls, for life.
func (t *TURN) ICE(life time.Duration, urls ...string) ICESource { return t.secret.ICE(life, urls...) }

// Admit lets relays reach one UDP port of this machine, for a session of the
// camera in this process, until Dismiss.
func (t *TURN) Admit(session string, port netip.AddrPort) { t.reach.admit(session, port) }

// Dismiss takes back what Admit gave a session.
func (t *TURN) Dismiss(session string) { t.reach.dismiss(session) }

// Run serves until ctx ends, and returns when every relay and connection is closed.
func (t *TURN) Run(ctx context.Context) error {
	cfg := turn.ServerConfig{
		Realm: turnRealm, AuthHandler: func(a *turn.RequestAttributes) (string, []byte, bool) { return t.authenticate(a, time.Now()) },
		QuotaHandler:  t.admitClient,
		LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled},
		EventHandler: turn.EventHandler{
			OnAllocationCreated: func(client, server net.Addr, _, user, _ string, at net.Addr, _ int) {
				t.opened(client, server, user, at)
			},
			OnChannelCreated: func(client, _ net.Addr, _, _, _ string, at, peer net.Addr, number uint16) {
				t.bound(client, at, peer, number)
			},
			OnChannelDeleted: func(client, _ net.Addr, _, _, _ string, at, peer net.Addr, _ uint16) { t.bound(client, at, peer, 0) },
		},
	}
	for _, c := range t.cfg.Packets {
		cfg.PacketConnConfigs = append(cfg.PacketConnConfigs, turn.PacketConnConfig{
			PacketConn: c, RelayAddressGenerator: &relayMaker{t, newBatchConn(c), takesRuns(c)}, PermissionHandler: t.permit(c.LocalAddr()),
		})
	}
	for _, l := range t.cfg.Streams {
		cfg.ListenerConfigs = append(cfg.ListenerConfigs, turn.ListenerConfig{
			Listener: &turnListener{l, t}, RelayAddressGenerator: &relayMaker{t: t}, PermissionHandler: t.permit(l.Addr()),
		})
	}
	server, err := turn.NewServer(cfg)
	if err != nil {
		return fmt.Errorf("TURN: %w", err)
	}
	<-ctx.Done()
	t.mu.Lock()
	t.closing = true
	open := maps.Clone(t.streams)
	t.mu.Unlock()
	err = server.Close()
	for s := range open {
		_ = s.Conn.Close() // pion's reader sees it, and closes the stream
	}
	t.running.Wait()
	if err != nil {
		return fmt.Errorf("closing TURN: %w", err)
	}
	return nil
}

// authenticate tells pion a user's key. Who has a relay may keep it when its
// credentials expire: they let one in, and do not throw one out.
func (t *TURN) authenticate(a *turn.RequestAttributes, now time.Time) (string, []byte, bool) {
	user, until, ok := parseTURNUser(a.Username)
	if !ok || a.Realm != turnRealm {
		t.refuse("user")
		return "", nil, false
	}
	if a.Method == stun.MethodAllocate && now.After(until) {
		t.refuse("expired")
		return "", nil, false
	}
	return user, turn.GenerateAuthKey(a.Username, a.Realm, t.secret.password(a.Username)), true
}

// permit decides whether the relay of a client of one socket of ours may reach an
// address at all.
func (t *TURN) permit(server net.Addr) turn.PermissionHandler {
	return func(client net.Addr, ip net.IP) bool {
		a, ok := netip.AddrFromSlice(ip)
		if ok && t.reach.permits(tupleOf(client, server), a.Unmap()) {
			return true
		}
		t.refuse("peer")
		t.cfg.Log.Debug("TURN: a relay may not reach this address", "client", client, "address", ip)
		return false
	}
}

// admitClient is pion's question whether a user may have one more relay.
func (t *TURN) admitClient(user, _ string, client net.Addr) bool {
	if reason := t.quota.full(user, prefixOf(client)); reason != "" {
		t.refuse(reason)
		return false
	}
	return true
}

func (t *TURN) refuse(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused[reason]++
}

// Stats tells how the server does.
func (t *TURN) Stats() TURNStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	var sum turnCounters
	sum.add(&t.total)
	for r := range t.relays {
		sum.add(&r.counters)
	}
	return TURNStats{
		Relays: len(t.relays), Streams: len(t.streams), Refused: maps.Clone(t.refused),
		Packets: sum.packets.Load(), Bytes: sum.bytes.Load(), Dropped: sum.dropped.Load(),
	}
}
