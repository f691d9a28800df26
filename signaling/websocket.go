package signaling

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

const (
	maxMessage = 64 << 10         // bytes
	pingEvery  = 20 * time.Second // the server's pings
	silence    = 45 * time.Second // after which the other end counts as gone
	probeFor   = 5 * time.Second  // the same, for one that is suspected to be
	writeWait  = 10 * time.Second // for one message to go out
	// lingerFor is how long a closed connection may take to say its last words
	// and hear the other's.
	lingerFor = time.Second
)

// wsConn is a Conn over a WebSocket. The goroutine that calls Receive reads, one
// more writes.
type wsConn struct {
	ws      *websocket.Conn
	out     *queue
	pings   bool
	ask     chan struct{} // holds one token when a ping is due now
	written chan struct{} // closed when the writer has ended

	mu       sync.Mutex
	deadline time.Time // when closing ends; zero while not closing
	gone     bool      // its own address is
}

// errMoved says that a connection was given up because its own address is gone.
var errMoved = errors.New("this end's address is gone")

// newWSConn starts the writer. The one of the two ends that pings is the server.
func newWSConn(ws *websocket.Conn, pings bool, max limits) *wsConn {
	c := &wsConn{ws: ws, out: newQueue(max), pings: pings, ask: make(chan struct{}, 1), written: make(chan struct{})}
	c.heard()
	ws.SetPongHandler(func(string) error { c.heard(); return nil })
	ws.SetPingHandler(func(data string) error {
		c.heard()
		err := ws.WriteControl(websocket.PongMessage, []byte(data), c.writeBy())
		if errors.Is(err, websocket.ErrCloseSent) {
			return nil
		}
		return err
	})
	go c.write()
	return c
}

func (c *wsConn) queue() *queue { return c.out }

func (c *wsConn) Send(m Message) error { return c.out.push(m) }

func (c *wsConn) Close(code, message string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deadline.IsZero() {
		c.deadline = time.Now().Add(lingerFor)
		// Frees a writer that is stuck and a reader that waits.
		_ = c.ws.NetConn().SetDeadline(c.deadline)
	}
	c.out.finish(last(code, message))
}

// heard puts off the moment at which the other end counts as gone.
func (c *wsConn) heard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deadline.IsZero() {
		_ = c.ws.SetReadDeadline(time.Now().Add(silence))
	}
}

// probe pings the other end, which then has probeFor to say something.
func (c *wsConn) probe() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.deadline.IsZero() {
		return
	}
	_ = c.ws.SetReadDeadline(time.Now().Add(probeFor))
	select {
	case c.ask <- struct{}{}:
	default:
	}
}

// moved closes a connection from an address that is lost, without a goodbye that
// nobody would hear, and doubts any other.
func (c *wsConn) moved(lost func(netip.Addr) bool) (gone bool) {
	local, _ := c.ws.NetConn().LocalAddr().(*net.TCPAddr)
	if local == nil || !lost(local.AddrPort().Addr().Unmap()) {
		c.probe()
		return false
	}
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	_ = c.ws.Close()
	return true
}

func (c *wsConn) closing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.deadline.IsZero()
}

func (c *wsConn) writeBy() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.deadline.IsZero() {
		return c.deadline
	}
	return time.Now().Add(writeWait)
}

func (c *wsConn) Receive() (Message, error) {
	kind, data, err := c.read()
	switch {
	case err != nil:
		return Message{}, c.end(err)
	case len(data) > maxMessage:
		return Message{}, errorf(CodeTooLarge, "a message of more than %d bytes", maxMessage)
	case kind != websocket.TextMessage:
		return Message{}, errorf(CodeBadMessage, "a binary frame: messages are text frames with JSON")
	}
	return decode(data)
}

// read returns the next frame, one byte over the limit at most. It is here that
// sockets spend their lives: no Message is in its frame, to keep stacks small.
func (c *wsConn) read() (kind int, data []byte, err error) {
	for {
		kind, r, err := c.ws.NextReader()
		if err != nil {
			return 0, nil, err
		}
		c.heard()
		data, err := io.ReadAll(io.LimitReader(r, maxMessage+1))
		// While closing read on until the other end closes: a socket closed with
		// unread bytes in it is reset, and our last words may be lost with that.
		if err != nil || !c.closing() {
			return kind, data, err
		}
	}
}

func decode(data []byte) (Message, error) {
	var m Message
	if !utf8.Valid(data) {
		return m, errorf(CodeBadMessage, "not UTF-8")
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return Message{}, errorf(CodeBadMessage, "not a JSON object as PROTOCOL.md has it: %v", err)
	}
	return m, nil
}

// end waits until all is over and says how it ended.
func (c *wsConn) end(err error) error {
	if c.closing() {
		c.mu.Lock()
		left := time.Until(c.deadline)
		c.mu.Unlock()
		t := time.NewTimer(left)
		defer t.Stop()
		select {
		case <-c.written:
			_, _ = io.Copy(io.Discard, c.ws.NetConn()) // as in Receive; the deadline bounds it
		case <-t.C:
		}
	}
	c.out.abort()
	_ = c.ws.Close()
	<-c.written
	var timeout net.Error
	c.mu.Lock()
	gone := c.gone
	c.mu.Unlock()
	switch {
	case gone:
		return fmt.Errorf("%w: %w", ErrClosed, errMoved)
	case websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.ClosePolicyViolation):
		return ErrClosed
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: nothing heard for %v", ErrClosed, silence)
	}
	return fmt.Errorf("%w: %w", ErrClosed, err)
}

func (c *wsConn) write() {
	defer close(c.written)
	var tick <-chan time.Time
	if c.pings {
		t := time.NewTicker(pingEvery)
		defer t.Stop()
		tick = t.C
	}
	goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	var err error
	for {
		var open bool
		if open, err = c.flush(&goodbye); err != nil || !open {
			break
		}
		select {
		case <-c.out.wake:
		case <-c.ask:
			err = c.ws.WriteControl(websocket.PingMessage, nil, c.writeBy())
		case <-tick:
			err = c.ws.WriteControl(websocket.PingMessage, nil, c.writeBy())
		}
		if err != nil {
			break
		}
	}
	if err != nil {
		_ = c.ws.Close() // the reader sees it
		return
	}
	_ = c.ws.WriteControl(websocket.CloseMessage, goodbye, c.writeBy())
	if half, ok := c.ws.NetConn().(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// flush writes what is queued. A fatal error also decides how the goodbye goes.
func (c *wsConn) flush(goodbye *[]byte) (open bool, err error) {
	for {
		m, ok, open := c.out.pop()
		if !ok {
			return open, nil
		}
		_ = c.ws.SetWriteDeadline(c.writeBy())
		c.ws.EnableWriteCompression(m.SDP != "") // of what is short nothing would be gained
		if err := c.ws.WriteJSON(&m); err != nil {
			return false, err
		}
		if m.Type == TypeError && m.Fatal {
			*goodbye = websocket.FormatCloseMessage(websocket.ClosePolicyViolation, m.Code)
		}
	}
}
