package signaling

import (
	"context"
	"log/slog"
	"time"
)

// Cluster joins servers: it carries what they tell each other, as far as it can.
// What is lost is noticed, and told again.
type Cluster interface {
	// Run carries messages until ctx ends, and then what was sent before, for a
	// second or two at most. self is this server's id. receive gets what the others
	// say, one after the other, and may block; linked is called whenever the way to
	// the others is open, at first and again.
	Run(ctx context.Context, self string, receive func(data []byte), linked func()) error
	// Send queues data for the server with that id, or for all others if to is
	// "". It never blocks. An error says that data was dropped: nobody is connected
	// (ErrAway), or too much is queued already (ErrSlow).
	Send(to string, data []byte) error
	// Dropped counts messages that were lost on their way out or in.
	Dropped() uint64
}

const (
	// beatEvery is how often a server says that it lives.
	beatEvery = time.Second
	// leaseFor is how long the others believe that.
	leaseFor = 5 * time.Second
	// roomsAPart is how many rooms are told of in one message: some 300 KB if all
	// are full of cameras with long names.
	roomsAPart = 32
)

// fleet is what a server knows of the others. The hub's goroutine owns it.
//
// Each server numbers the changes of its own cameras, and says the number of the
// last with every beat. Who has missed one asks for all: nothing else is needed
// to recover from lost messages, lost links and restarts.
type fleet struct {
	self    string
	link    Cluster
	log     *slog.Logger
	version uint64 // of the last change that was told
	others  map[string]*otherServer
}

type otherServer struct {
	heard   time.Time
	version uint64    // of the last change that was applied
	asked   time.Time // for the whole state
	parts   []roomState
	next    int // part of a state
}

func newFleet(link Cluster, log *slog.Logger) *fleet {
	return &fleet{self: randomID(serverIDLen), link: link, log: log, others: map[string]*otherServer{}}
}

func (f *fleet) send(to string, m clusterMessage) error {
	m.From, m.Version = f.self, f.version
	return f.link.Send(to, m.encode())
}

// peer is one at another server: there is no telling whether it really is there,
// but for that server.
func (f *fleet) peer(room, id string) *peer {
	role, server := idParts(id)
	if role != RoleViewer || f.others[server] == nil {
		return nil // cameras are known
	}
	return f.newPeer(server, room, id, role)
}

func (f *fleet) newPeer(server, room, id, role string) *peer {
	return &peer{
		id: id, role: role, server: server, room: room,
		conn: &farConn{fleet: f, server: server, room: room, id: id}, refused: func(string) {},
	}
}

// farConn sends to a peer at another server. That one receives, and ends it.
type farConn struct {
	fleet            *fleet
	server, room, id string
}

func (c *farConn) Send(m Message) error {
	return c.fleet.send(c.server, clusterMessage{Kind: kindPeer, Room: c.room, To: c.id, Message: &m})
}
func (c *farConn) Receive() (Message, error) { return Message{}, ErrClosed }
func (c *farConn) Close(string, string)      {}

// announce tells the others which cameras are here in a room, if that changed.
func (h *hub) announce(r *room, now time.Time) {
	if !r.changed || h.fleet == nil {
		return
	}
	r.changed = false
	h.fleet.version++
	_ = h.fleet.send("", clusterMessage{Kind: kindRoom, Rooms: []roomState{r.state(now)}}) // who misses it asks
}

// ask has others tell all that they know, and says what there is to know here.
func (h *hub) ask(server string) {
	_ = h.fleet.send(server, clusterMessage{Kind: kindAsk}) // asked again at the next beat
}

// beat says that this server lives, and forgets those that do not.
func (h *hub) beat(now time.Time) {
	_ = h.fleet.send("", clusterMessage{Kind: kindBeat})
	for id, s := range h.fleet.others {
		if now.Sub(s.heard) >= leaseFor {
			h.forget(id, "nothing heard of it for "+leaseFor.String(), now)
		}
	}
}

func (h *hub) sayGone() {
	if h.fleet != nil {
		_ = h.fleet.send("", clusterMessage{Kind: kindGone})
	}
}

// forget lets go of a server and its cameras.
func (h *hub) forget(server, why string, now time.Time) {
	if h.fleet.others[server] == nil {
		return
	}
	delete(h.fleet.others, server)
	h.fleet.log.Info("a server has left the cluster", "server", server, "why", why)
	h.replace(server, nil, now)
}

// hear takes in what another server said.
func (h *hub) hear(m *clusterMessage, now time.Time) {
	if m.From == h.fleet.self {
		return
	}
	if m.Kind == kindGone {
		h.forget(m.From, "it was stopped", now)
		return
	}
	s := h.fleet.others[m.From]
	if s == nil {
		s = &otherServer{}
		h.fleet.others[m.From] = s
		h.fleet.log.Info("a server is in the cluster", "server", m.From)
	}
	s.heard = now
	switch m.Kind {
	case kindRoom:
		if m.Version == s.version+1 {
			s.version = m.Version
			h.apply(m.From, m.Rooms[0], now)
		}
	case kindState:
		s.asked = now // more of it may be on its way
		h.assemble(s, m, now)
	case kindAsk:
		h.tellAll(m.From, now)
	case kindPeer:
		h.deliver(m)
	}
	if s.version < m.Version && now.Sub(s.asked) >= beatEvery {
		s.asked = now
		h.ask(m.From)
	}
}

// tellAll sends a server all rooms that are claimed, with the cameras here.
func (h *hub) tellAll(server string, now time.Time) {
	var all []roomState
	for _, r := range h.rooms {
		if r.claimed {
			all = append(all, r.state(now))
		}
	}
	for part := 0; ; part++ {
		n := min(len(all), roomsAPart)
		err := h.fleet.send(server, clusterMessage{Kind: kindState, Part: part, More: n < len(all), Rooms: all[:n]})
		if all = all[n:]; len(all) == 0 || err != nil {
			return
		}
	}
}

// assemble puts a state together of its parts, and makes it what is known.
func (h *hub) assemble(s *otherServer, m *clusterMessage, now time.Time) {
	if m.Part == 0 {
		s.parts, s.next = nil, 0
	}
	if m.Part != s.next {
		s.parts, s.next = nil, 0 // one was lost
		return
	}
	s.parts = append(s.parts, m.Rooms...)
	s.next++
	if m.More {
		return
	}
	all := s.parts
	s.parts, s.next, s.version = nil, 0, m.Version
	h.replace(m.From, all, now)
}

// replace makes a server's rooms those, and no others.
func (h *hub) replace(server string, states []roomState, now time.Time) {
	has := map[string]bool{}
	for _, st := range states {
		has[st.Name] = true
		h.apply(server, st, now)
	}
	for name, r := range h.rooms {
		if !has[name] && len(r.at(server)) > 0 {
			h.apply(server, roomState{Name: name}, now)
		}
	}
}

// apply makes a server's cameras in one room those of the state. If the room is
// claimed differently there, the older claim holds at both.
func (h *hub) apply(server string, st roomState, now time.Time) {
	r := h.rooms[st.Name]
	if r == nil {
		if st.Claim == nil {
			return
		}
		r = h.newRoom(st.Name)
	}
	r.expire(now)
	cameras := st.Cameras
	if st.Claim != nil && !r.adopt(st.Claim, now) {
		cameras = nil
	}
	stays := map[string]bool{}
	for _, c := range cameras {
		stays[c.ID] = true
	}
	for _, c := range r.at(server) {
		if !stays[c.id] {
			r.leave(c, now)
		}
	}
	for _, c := range cameras {
		if r.peers[c.ID] == nil {
			p := h.fleet.newPeer(server, r.name, c.ID, RoleCamera)
			p.name, p.nonce, p.keyed, p.token = c.Name, c.Nonce, r.claim.keyed, r.claim.token
			r.addCamera(p)
		}
	}
	h.settle(r, now)
}

// adopt makes another server's claim this one's too; false if this one's is older.
func (r *room) adopt(st *claimState, now time.Time) bool {
	c := st.claim()
	switch {
	case !r.claimed:
	case r.claim.token == c.token:
		if c.before(r.claim) {
			r.claim.since = c.since
		}
		return true
	case r.claim.before(c):
		return false
	}
	if len(r.cameras) == 0 {
		r.deserted = now.Add(-min(claimFor, time.Duration(st.Deserted)*time.Millisecond))
	}
	r.take(c, now)
	return true
}

// deliver hands a message to the peer here that it is for, or says that there is
// none.
func (h *hub) deliver(m *clusterMessage) {
	var to *peer
	if r := h.rooms[m.Room]; r != nil {
		to = r.peers[m.To]
	}
	if m.Message.Type == TypeError {
		if to != nil && to.server == "" {
			h.refused(m.Message.Code)
			to.send(*m.Message)
		}
		return
	}
	role, _ := idParts(m.Message.From)
	if to != nil && to.server == "" && to.role != role {
		to.send(m.Message.routed(m.Message.From))
		return
	}
	e := &Error{Code: CodeNoSuchPeer, Message: "nobody with that id is in the room any more", Session: m.Message.Session}
	reply := e.message(false)
	_ = h.fleet.send(m.From, clusterMessage{Kind: kindPeer, Room: m.Room, To: m.Message.From, Message: &reply}) // its socket's time-out does as well
}
