package signaling

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// player is the viewer in a room that stands for a WHEP player, from its POST
// to the session's end.
type player struct {
	room    string
	session string
	offer   string
	bearer  bool // the player sent one
	conn    Conn

	offered chan struct{}   // closed when a camera has the offer
	result  chan playResult // the first answer
	again   chan playResult // that of an ICE restart
	ended   chan struct{}   // closed when all is over

	patching sync.Mutex // one PATCH at a time
	mu       sync.Mutex
	camera   string    // who has the offer
	ice      playerICE // the present ICE session
}

type playResult struct {
	answer string
	ice    []ICEServer
	err    *whepError
}

// players finds the players of running sessions.
type players struct {
	mu sync.Mutex
	m  map[string]*player
}

func (ps *players) get(session string) *player {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.m[session]
}

func (ps *players) put(p *player) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.m == nil {
		ps.m = map[string]*player{}
	}
	ps.m[p.session] = p
}

func (ps *players) remove(p *player) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.m, p.session)
}

// newPlayer joins the room. A foreign one, a page of another origin, may come
// by the room's own token only. ended is called when all is over.
func (s *Server) newPlayer(room, token, offer string, foreign bool, ended func()) (*player, error) {
	p := &player{
		room: room, session: NewSession(), offer: offer, bearer: token != "",
		offered: make(chan struct{}), result: make(chan playResult, 1), again: make(chan playResult, 1), ended: make(chan struct{}),
		ice: newPlayerICE(offer),
	}
	if token != "" && !validID(token) {
		token = NewSession() // as wrong as that one; an open room takes any
	}
	conn, err := s.Connect(context.Background())
	if err != nil {
		ended()
		return nil, err
	}
	p.conn = conn
	s.players.put(p)
	ok := s.spawn(func() {
		defer ended()
		defer drain(conn)
		defer close(p.ended)
		defer conn.Close("", "")
		defer s.players.remove(p) // first: who hears that it is over finds nothing more
		p.run()
	})
	if !ok {
		s.players.remove(p)
		ended()
		conn.Close("", "")
		return nil, ErrClosed
	}
	_ = conn.Send(Message{Type: TypeJoin, Version: Version, Role: RoleViewer, Room: room, Token: token, Bearer: !foreign})
	return p, nil
}

// run receives until the session's end.
func (p *player) run() {
	fail := func(e *whepError) {
		select {
		case p.result <- playResult{err: e}:
		default: // it has its answer
		}
	}
	gone := whepErrorOf(CodeFailed, "the camera has just gone", false)
	var ice []ICEServer
	var follow follow
	defer follow.stop()
	join := func(c Camera) {
		follow.joined(c)
		if first := p.watched() == ""; first {
			p.watch(c.ID)
			p.say(p.offer)
			close(p.offered)
		}
	}
	for {
		m, err := p.conn.Receive()
		if err != nil {
			fail(whepErrorOf(CodeClosing, "the connection to the camera was lost", false))
			return
		}
		ours := m.Session == p.session
		if ours && m.From != "" {
			follow.heard(m.From)
		}
		switch {
		case m.Type == TypeWelcome:
			ice = m.ICEServers
			for _, c := range m.Cameras {
				join(c)
			}
		case m.Type == TypeCameraJoined:
			join(*m.Camera)
		case m.Type == TypeCameraLeft && m.Camera.ID == follow.camera.ID && !p.answered(), m.Type == TypeError && m.Code == CodeNoSuchPeer && !p.answered():
			fail(gone)
			return
		case m.Type == TypeCameraLeft:
			follow.left(*m.Camera, func() { p.conn.Close("", "") })
		case m.Type == TypeAnswer && ours:
			p.give(playResult{answer: m.SDP, ice: ice})
		case m.Type == TypeBye && ours && m.Code == CodeBadOffer && p.answered():
			p.give(playResult{err: whepErrorOf(m.Code, m.Message, p.bearer)}) // of a restart; the session goes on
		case m.Type == TypeError && m.Code == CodeNoSuchPeer:
			p.give(playResult{err: gone}) // the same
		case m.Type == TypeBye && ours, m.Type == TypeError && m.Fatal:
			fail(whepErrorOf(m.Code, m.Message, p.bearer))
			return
		}
		p.watch(follow.camera.ID)
	}
}

func (p *player) watched() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.camera
}

func (p *player) watch(camera string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.camera = camera
}

// say offers to the camera.
func (p *player) say(offer string) {
	no := false
	_ = p.conn.Send(Message{Type: TypeOffer, To: p.watched(), Session: p.session, SDP: offer, Trickle: &no, Bearer: true})
}

// give hands an answer to who waits for it: the first to the POST, what follows
// to a PATCH. Nobody waits for more than one.
func (p *player) give(r playResult) {
	to := p.again
	if !p.answered() {
		to = p.result
		p.mu.Lock()
		p.ice.answered = r.err == nil
		p.mu.Unlock()
	}
	select {
	case to <- r:
	default:
	}
}

func (p *player) answered() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ice.answered
}

// hangUp tells the camera that the player left, and ends the session.
func (p *player) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.camera != "" {
		_ = p.conn.Send(Message{Type: TypeBye, To: p.camera, Session: p.session, Code: CodeLeft})
	}
	p.conn.Close("", "")
}

// wait waits for a camera as long as patience, and for its answer as long as
// timeout. Whoever gets no answer is hung up.
func (p *player) wait(ctx context.Context, patience, timeout time.Duration) playResult {
	t := time.NewTimer(patience)
	defer t.Stop()
	offered, refusal := p.offered, &whepError{status: http.StatusServiceUnavailable, text: "no camera is in this room just now", retry: true}
	for {
		select {
		case r := <-p.result:
			return r
		case <-offered:
			offered = nil
			t.Reset(timeout)
			refusal = &whepError{status: http.StatusGatewayTimeout, text: "the camera did not answer in time", retry: true}
		case <-ctx.Done():
			p.hangUp()
			return playResult{err: refusal}
		case <-t.C:
			p.hangUp()
			return playResult{err: refusal}
		}
	}
}
