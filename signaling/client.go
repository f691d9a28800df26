package signaling

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// ErrAway says that there is no connection to the signaling server just now.
// Sessions go on without; what was to be said is lost.
var ErrAway = errors.New("away from the signaling server")

// Client keeps a connection to a signaling server, for ever: what is lost is
// connected again. Fields are set before Run and left alone.
type Client struct {
	// Dial connects: DialURL's, or Server.Connect.
	Dial func(context.Context) (Conn, error)
	// Join makes the join, anew for each connection (a camera's nonce is new
	// each time).
	Join func() Message
	// Handle gets every message, one after the other, welcome and error too. It
	// must be quick: while it is at work nothing is read.
	Handle func(Message)
	// Log gets what the user should know, once an outage.
	Log *slog.Logger

	mu     sync.Mutex
	dialed Conn               // while there is one
	conn   Conn               // the same, while joined
	hurry  context.CancelFunc // of dialing, or of the wait before it; nil: nothing to hurry
}

const (
	// refusedWait is how long to wait after a refusal: it lasts until somebody
	// does something about it.
	refusedWait = 30 * time.Second
	// steadyAfter is how long a connection must have lived for the next outage
	// to count as a new one.
	steadyAfter = 15 * time.Second
)

// Send sends m to the server. ErrAway: there is no connection, or it is being
// given up because the server does not read.
func (c *Client) Send(m Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return ErrAway
	}
	err := c.conn.Send(m)
	if errors.Is(err, ErrSlow) {
		c.conn.Close("", "")
		c.conn = nil
	}
	if err != nil {
		return ErrAway
	}
	return nil
}

// Connected tells whether the client is joined.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn != nil
}

// Moved tells that this machine's addresses have changed, or that it slept. A
// connection from an address that is lost is given up, and another made at once;
// of any other it is found out, in seconds, whether it still lives.
func (c *Client) Moved(lost func(netip.Addr) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hurry != nil {
		c.hurry()
	}
	if ws, ok := c.dialed.(interface {
		moved(lost func(netip.Addr) bool) (gone bool)
	}); ok && ws.moved(lost) {
		c.conn = nil
	}
}

// hurried runs f, and tells whether Moved made it return.
func (c *Client) hurried(ctx context.Context, f func(context.Context)) bool {
	hurry, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.hurry = cancel
	c.mu.Unlock()
	f(hurry)
	c.mu.Lock()
	c.hurry = nil
	c.mu.Unlock()
	return hurry.Err() != nil && ctx.Err() == nil
}

// Run connects and connects again until ctx ends. What was sent before that
// still goes out. It returns nil.
func (c *Client) Run(ctx context.Context) error {
	out := outage{log: c.Log}
	for attempt := 0; ctx.Err() == nil; attempt++ {
		var since time.Time // of the welcome
		err := c.once(ctx, func() { since = time.Now(); out.over() })
		if ctx.Err() != nil {
			break
		}
		if !since.IsZero() && time.Since(since) >= steadyAfter {
			attempt = 0
		}
		if errors.Is(err, errMoved) {
			attempt = -1
			continue
		}
		wait := backoff(attempt, rand.Float64())
		if refused := (*Error)(nil); since.IsZero() && errors.As(err, &refused) && refused.Code != CodeClosing {
			wait = refusedWait
			out.refused(refused)
		} else {
			out.lost(err)
		}
		if c.hurried(ctx, func(ctx context.Context) {
			select {
			case <-ctx.Done():
			case <-time.After(wait):
			}
		}) {
			attempt = -1
		}
	}
	return nil
}

// once is one connection's life. It returns why it ended, an *Error if the
// server said why.
func (c *Client) once(ctx context.Context, joined func()) error {
	var conn Conn
	var err error
	hurried := c.hurried(ctx, func(ctx context.Context) { conn, err = c.Dial(ctx) })
	if hurried && err == nil { // from which address is not to be relied on
		conn.Close("", "")
		drain(conn)
	}
	switch {
	case hurried:
		return errMoved
	case err != nil:
		return err
	}
	c.mu.Lock()
	c.dialed = conn
	c.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { conn.Close("", "") })
	defer stop()
	defer c.setConn(nil)
	_ = conn.Send(c.Join()) // if it is closed already, Receive says so
	var said *Error
	for {
		m, err := conn.Receive()
		if _, more := goOn(err); err != nil && more {
			c.Log.Debug("signaling: the server sent nonsense", "err", err)
			continue
		}
		if err != nil && said != nil {
			return said
		}
		if err != nil {
			return err
		}
		switch {
		case m.Type == TypeWelcome:
			c.setConn(conn)
			joined()
		case m.Type == TypeError && m.Fatal:
			said = &Error{Code: m.Code, Message: m.Message}
			c.setConn(nil)
		}
		c.Handle(m)
	}
}

func (c *Client) setConn(conn Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
	if conn == nil {
		c.dialed = nil
	}
}

// outage says what is wrong once, and once that it is well again.
type outage struct {
	log  *slog.Logger
	told string
}

// refused: the server does not let us join. It may after somebody did something
// about it.
func (o *outage) refused(e *Error) {
	if o.told != e.Code {
		o.log.Error("the signaling server refuses us; trying again every "+refusedWait.String(), "code", e.Code, "why", e.Message)
	}
	o.told = e.Code
}

// lost: there is no connection.
func (o *outage) lost(err error) {
	if o.told == "" {
		o.log.Warn("no connection to the signaling server; sessions go on, trying again until it is back", "err", err)
		o.told = "lost"
	}
}

func (o *outage) over() {
	if o.told != "" {
		o.log.Info("connected to the signaling server again")
	}
	o.told = ""
}
