package signaling

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Subjects. A server hears natsAll and natsTo with its own id.
const (
	natsAll = "peercam.v1.all"
	natsTo  = "peercam.v1.to."
)

const (
	natsQueue      = 16384    // messages out, and as many in
	natsQueueBytes = 32 << 20 // out
	// natsStuck is how long NATS may take to read what it is sent, and to
	// answer a ping twice, before another of its servers is tried.
	natsStuck = 2 * time.Second
	// natsRetry is how long to wait before the next try, and up to half as much.
	natsRetry = 500 * time.Millisecond
)

// NATS is a Cluster over NATS servers: urls are one or more of nats://, tls://,
// ws:// and wss://, with commas between, and may hold a user and password or a
// token. The error is about the URLs, and shows no password. Servers that cannot
// be reached are tried again for ever.
//
// Drop policy: while there is no connection everything is dropped, and what does
// not fit into the queue, 16384 messages or 32 MiB, is; both are counted.
func NATS(urls string, log *slog.Logger) (Cluster, error) {
	for raw := range strings.SplitSeq(urls, ",") {
		u, err := url.Parse(strings.TrimSpace(raw))
		if err != nil {
			var e *url.Error
			if errors.As(err, &e) {
				err = e.Err // without the URL
			}
			return nil, fmt.Errorf("NATS URL: %w: give one like nats://10.0.0.5:4222", err)
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return nil, fmt.Errorf("NATS URL %.80q begins with none of nats://, tls://, ws://, wss://: give one like nats://10.0.0.5:4222", redacted(u))
		}
		if u.Hostname() == "" {
			return nil, fmt.Errorf("NATS URL %.80q names no host: give one like nats://10.0.0.5:4222", redacted(u))
		}
	}
	return &natsCluster{urls: urls, log: log, out: make(chan natsMessage, natsQueue)}, nil
}

// redacted is a URL without what may be secret: a lone user is a token.
func redacted(u *url.URL) string {
	bare := *u
	bare.User, bare.RawQuery, bare.Fragment = nil, "", ""
	return bare.String()
}

type natsCluster struct {
	urls    string
	log     *slog.Logger
	out     chan natsMessage
	queued  atomic.Int64 // bytes in out
	up      atomic.Bool
	dropped atomic.Uint64
}

type natsMessage struct {
	subject string
	data    []byte
}

func (n *natsCluster) Dropped() uint64 { return n.dropped.Load() }

func (n *natsCluster) Send(to string, data []byte) error {
	if !n.up.Load() {
		n.dropped.Add(1)
		return ErrAway
	}
	m := natsMessage{natsAll, data}
	if to != "" {
		m.subject = natsTo + to
	}
	if n.queued.Add(int64(len(data))) <= natsQueueBytes {
		select {
		case n.out <- m:
			return nil
		default:
		}
	}
	n.queued.Add(-int64(len(data)))
	n.dropped.Add(1)
	return ErrSlow
}

func (n *natsCluster) Run(ctx context.Context, self string, receive func([]byte), linked func()) error {
	for {
		if err := n.connected(ctx, self, receive, linked); err != nil || ctx.Err() != nil {
			return err
		}
		// The library gives up for good on errors that it does not know: of a
		// message cut short by natsStuck, for one.
		n.log.Warn("NATS has closed the connection; connecting again")
		select {
		case <-time.After(natsRetry):
		case <-ctx.Done():
		}
	}
}

// connected is the life of one connection, with all its reconnections. The error
// is about how it was to be made, and no other try would help.
func (n *natsCluster) connected(ctx context.Context, self string, receive func([]byte), linked func()) error {
	nc, closed, err := n.connect(ctx, linked)
	if err != nil {
		return err
	}
	// One channel for both subjects keeps the order in which a server spoke.
	in := make(chan *nats.Msg, natsQueue)
	var subs []*nats.Subscription
	for _, subject := range []string{natsAll, natsTo + self} {
		sub, err := nc.ChanSubscribe(subject, in)
		if err != nil {
			n.log.Warn("NATS", "subject", subject, "err", err)
			nc.Close()
			<-closed
			return nil
		}
		subs = append(subs, sub)
	}
	if nc.IsConnected() {
		n.open(nc, linked)
	}
	below, cancel := context.WithCancel(ctx)
	defer cancel()
	written := make(chan struct{})
	go func() {
		defer close(written)
		n.write(below, nc)
	}()
	for open := true; open; {
		select {
		case m := <-in:
			receive(m.Data)
		case <-closed:
			open = false
		case <-ctx.Done():
			open = false
		}
	}
	cancel()
	<-written
	n.up.Store(false)
	for _, sub := range subs {
		lost, _ := sub.Dropped() // it is a subscription still
		n.dropped.Add(uint64(max(0, lost)))
	}
	nc.Close()
	<-closed
	return nil
}

// connect returns at the first try, whether that succeeded or not.
func (n *natsCluster) connect(ctx context.Context, linked func()) (*nats.Conn, <-chan struct{}, error) {
	closed := make(chan struct{})
	nc, err := nats.Connect(n.urls,
		nats.Name("peercam"), nats.NoEcho(), nats.SetCustomDialer(dialer{ctx}), nats.Timeout(natsStuck),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(natsRetry), nats.ReconnectJitter(natsRetry/2, natsRetry/2),
		nats.ReconnectBufSize(-1), // what waited would be stale
		nats.FlusherTimeout(natsStuck), nats.PingInterval(natsStuck), nats.MaxPingsOutstanding(2),
		nats.ConnectHandler(func(nc *nats.Conn) { n.open(nc, linked) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { n.open(nc, linked) }),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if err == nil {
				err = nc.LastError()
			}
			if n.up.Swap(false) && ctx.Err() == nil {
				n.log.Warn("no connection to NATS; rooms of this server go on, those of others are away until it is back", "err", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { n.log.Debug("NATS", "err", err) }),
		nats.ErrorHandler(func(nc *nats.Conn, _ *nats.Subscription, err error) {
			n.log.Warn("NATS", "err", err)
			renew(nc, err)
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("signaling: NATS: %w", err)
	}
	if !nc.IsConnected() {
		n.log.Warn("NATS cannot be reached yet; rooms of this server work, trying again until it can", "err", nc.LastError())
	}
	return nc, closed, nil
}

func (n *natsCluster) open(nc *nats.Conn, linked func()) {
	if !n.up.Swap(true) {
		n.log.Info("joined the other servers over NATS", "nats", nc.ConnectedAddr())
	}
	linked()
}

// write publishes what is queued, and at the end what is left.
func (n *natsCluster) write(ctx context.Context, nc *nats.Conn) {
	for {
		select {
		case m := <-n.out:
			n.publish(nc, m)
			continue
		case <-ctx.Done():
		}
		for len(n.out) > 0 && nc.IsConnected() {
			n.publish(nc, <-n.out)
		}
		_ = nc.FlushTimeout(natsStuck) // what does not go out now is for nobody
		return
	}
}

func (n *natsCluster) publish(nc *nats.Conn, m natsMessage) {
	n.queued.Add(-int64(len(m.data)))
	if err := nc.Publish(m.subject, m.data); err != nil {
		n.dropped.Add(1)
		n.log.Debug("dropped a message to NATS", "bytes", len(m.data), "err", err)
		renew(nc, err)
	}
}

// renew connects again if a write timed out: what follows a message that was cut
// short would be taken for the rest of it.
func renew(nc *nats.Conn, err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = nc.ForceReconnect() // unless it is closed
	}
}

// dialer gives up when ctx ends.
type dialer struct{ ctx context.Context }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: natsStuck}).DialContext(d.ctx, network, address)
}
