package signaling

import (
	"context"
	"crypto/rand"
	"strings"
	"time"
)

// event is what the goroutines of the sockets post to the hub.
type event struct {
	what  eventKind
	peer  *peer
	msg   Message
	reply chan *Error // what became of a join
	stats chan Stats  // the gauges
	heard *clusterMessage
	look  *look // what a page wants to know
}

type eventKind int

const (
	eventJoin eventKind = iota
	eventMessage
	eventLeave
	eventStats
	eventHeard  // another server said something
	eventLinked // the way to the other servers is open, perhaps again
	eventLook
)

// hub owns the rooms: only its goroutine touches them.
type hub struct {
	rooms   map[string]*room
	ice     ICESource         // nil: none
	refused func(code string) // counts
	fleet   *fleet            // nil: this server is alone
}

// sweepEvery is how often rooms without anybody are looked for.
const sweepEvery = 30 * time.Second

func (h *hub) run(ctx context.Context, events <-chan event) {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	var beat <-chan time.Time
	if h.fleet != nil {
		t := time.NewTicker(beatEvery)
		defer t.Stop()
		beat = t.C
	}
	for {
		select {
		case <-ctx.Done():
			h.sayGone()
			return
		case e := <-events:
			h.handle(e, time.Now())
		case now := <-sweep.C:
			h.sweep(now)
			h.renew(now)
		case now := <-beat:
			h.beat(now)
		}
	}
}

func (h *hub) handle(e event, now time.Time) {
	switch e.what {
	case eventStats:
		e.stats <- h.gauges()
		return
	case eventHeard:
		h.hear(e.heard, now)
		return
	case eventLinked:
		h.ask("")
		return
	case eventLook:
		e.look.reply <- h.look(e.look.room)
		return
	}
	p := e.peer
	r := h.rooms[p.room]
	if r == nil && e.what != eventJoin {
		return // was sent away, and the room is gone since
	}
	switch e.what {
	case eventJoin:
		if r == nil {
			r = h.newRoom(p.room)
		}
		switch q := r.other(p); {
		case q == nil:
			p.id = h.newPeerID(p.role)
		case p.early: // it was overtaken
			p.id = q.id
			p.hush()
			e.reply <- nil
			return
		default:
			r.takeOver(p, q)
		}
		err := r.join(p, h.lease(p, now), now)
		h.settle(r, now)
		e.reply <- err
	case eventMessage:
		p = r.now(p)
		if e.msg.Type == TypePing {
			p.send(Message{Type: TypePong})
		} else if err := r.route(p, e.msg); err != nil {
			h.refused(err.Code)
			p.send(err.message(false))
		}
	case eventLeave:
		r.leave(p, now)
		h.settle(r, now)
	}
}

func (h *hub) newRoom(name string) *room {
	r := newRoom(name)
	if h.fleet != nil {
		r.elsewhere = h.fleet.peer
	}
	h.rooms[name] = r
	return r
}

// settle is called when something in the room has changed: the other servers
// hear of it, and a room that is over goes.
func (h *hub) settle(r *room, now time.Time) {
	h.announce(r, now)
	if r.expire(now) {
		delete(h.rooms, r.name)
	}
}

func (h *hub) gauges() Stats {
	s := Stats{Rooms: len(h.rooms)}
	for _, r := range h.rooms {
		s.Cameras += len(r.own())
		s.Viewers += len(r.peers) - len(r.cameras)
	}
	if h.fleet != nil {
		s.Servers = len(h.fleet.others)
	}
	return s
}

func (h *hub) sweep(now time.Time) {
	for name, r := range h.rooms {
		if r.expire(now) {
			delete(h.rooms, name)
		}
	}
}

// newPeerID makes an id that no other run of the server gave either, since
// cameras may outlive it and speak to whom they knew. In a cluster it says which
// server holds the peer.
func (h *hub) newPeerID(role string) string {
	if h.fleet != nil {
		return role[:1] + h.fleet.self + randomID(peerIDLen)
	}
	return role[:1] + randomID(peerIDLen)
}

const peerIDLen = 12

func randomID(n int) string { return strings.ToLower(rand.Text()[:n]) }
