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
}

type eventKind int

const (
	eventJoin eventKind = iota
	eventMessage
	eventLeave
	eventStats
)

// hub owns the rooms: only its goroutine touches them.
type hub struct {
	rooms   map[string]*room
	ice     ICESource         // nil: none
	refused func(code string) // counts
}

// sweepEvery is how often rooms without anybody are looked for.
const sweepEvery = 30 * time.Second

func (h *hub) run(ctx context.Context, events <-chan event) {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			h.handle(e, time.Now())
		case now := <-sweep.C:
			h.sweep(now)
			h.renew(now)
		}
	}
}

func (h *hub) handle(e event, now time.Time) {
	if e.what == eventStats {
		e.stats <- h.gauges()
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
			r = newRoom(p.room)
			h.rooms[p.room] = r
		}
		p.id = newPeerID(p.role)
		err := r.join(p, h.lease(p, now), now)
		if r.expire(now) {
			delete(h.rooms, r.name)
		}
		e.reply <- err
	case eventMessage:
		if e.msg.Type == TypePing {
			p.send(Message{Type: TypePong})
		} else if err := r.route(p, e.msg); err != nil {
			h.refused(err.Code)
			p.send(err.message(false))
		}
	case eventLeave:
		r.leave(p, now)
		if r.expire(now) {
			delete(h.rooms, r.name)
		}
	}
}

func (h *hub) gauges() Stats {
	s := Stats{Rooms: len(h.rooms)}
	for _, r := range h.rooms {
		s.Cameras += len(r.cameras)
		s.Viewers += len(r.peers) - len(r.cameras)
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
// cameras may outlive it and speak to whom they knew.
func newPeerID(role string) string {
	return role[:1] + strings.ToLower(rand.Text()[:12])
}
