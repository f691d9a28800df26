package signaling

import (
	"time"

	"golang.org/x/time/rate"
)

// queued is a Conn of which the server sets the queue's limits.
type queued interface {
	Conn
	queue() *queue
}

// joinWithin is how long a socket may stay without a join.
const joinWithin = 10 * time.Second

// maxFaults is how many messages without sense end a connection.
const maxFaults = 10

// serve is one connection's life on the server.
func (s *Server) serve(c queued) {
	p := s.join(c)
	if p == nil {
		drain(c)
		return
	}
	defer s.log.Debug("peer left", "room", p.room, "peer", p.id)
	defer s.post(event{what: eventLeave, peer: p})
	v := &visit{conn: c, peer: p, allow: allowance(c, p.role)}
	for {
		m, err := c.Receive()
		if err != nil {
			if _, more := goOn(err); !more {
				s.log.Debug("connection ended", "room", p.room, "peer", p.id, "err", err)
				return
			}
		}
		if !s.take(v, &m, err) {
			drain(c)
			return
		}
	}
}

// visit is what serve remembers of a peer.
type visit struct {
	conn   Conn
	peer   *peer
	allow  func() bool // whether it may send one more message now
	faults int
}

// take judges one message and passes it on; false ends the visit.
func (s *Server) take(v *visit, m *Message, err error) bool {
	s.messages.Add(1)
	bad, _ := goOn(err)
	if bad == nil {
		bad = m.check(v.peer.role)
	}
	switch {
	case !v.allow():
		s.end(v.conn, errorf(CodeRateLimited, "too many messages: a viewer may send %d a second over a burst of %d, a camera ten times as many", viewerRate, viewerBurst))
		return false
	case bad == nil:
		return s.post(event{what: eventMessage, peer: v.peer, msg: *m})
	case bad.Code == CodeTooLarge || v.faults == maxFaults-1:
		s.end(v.conn, bad)
		return false
	}
	v.faults++
	s.refuse(bad.Code)
	v.peer.send(bad.message(false))
	return true
}

// end refuses a connection for good.
func (s *Server) end(c Conn, e *Error) {
	s.refuse(e.Code)
	c.Close(e.Code, e.Message)
}

// join receives the join and asks the hub; nil if c was refused.
func (s *Server) join(c queued) *peer {
	late := time.AfterFunc(joinWithin, func() {
		s.end(c, errorf(CodeBadMessage, "no join within %v", joinWithin))
	})
	m, err := c.Receive()
	late.Stop()
	bad, more := goOn(err)
	if err != nil && !more {
		return nil
	}
	if bad == nil {
		bad = m.checkJoin()
	}
	if bad != nil {
		s.end(c, bad)
		return nil
	}
	p := newPeer(m, c, s.refuse)
	p.player = m.Bearer
	if p.role == RoleCamera {
		c.queue().resize(cameraQueue)
	}
	reply := make(chan *Error, 1)
	if !s.post(event{what: eventJoin, peer: p, reply: reply}) {
		return nil
	}
	select {
	case bad = <-reply:
	case <-s.done:
		return nil
	}
	if bad != nil {
		s.log.Info("refused", "room", p.room, "role", p.role, "code", bad.Code)
		s.end(c, bad)
		return nil
	}
	s.log.Debug("peer joined", "room", p.room, "peer", p.id, "name", p.name)
	return p
}

// Messages a second and burst of a viewer. A camera, which answers everybody in
// its room, has ten times as many.
const (
	viewerRate  = 50
	viewerBurst = 200
)

func allowance(c Conn, role string) func() bool {
	if _, remote := c.(*wsConn); !remote {
		return func() bool { return true }
	}
	n := 1
	if role == RoleCamera {
		n = 10
	}
	return rate.NewLimiter(rate.Limit(n*viewerRate), n*viewerBurst).Allow
}
