package signaling

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"time"
)

const (
	maxCameras = 16
	maxViewers = 1000 // at one server
	// claimFor is how long a room stays its owner's after the last camera left.
	claimFor = 2 * time.Minute
)

// peer is one joined socket. Only the hub touches it once it is posted there.
type peer struct {
	id   string
	role string
	// server holds the socket; "" is this one.
	server string
	room   string
	name   string
	nonce  string
	token  [sha256.Size]byte // a hash: the server keeps no token
	keyed  bool              // the token is not ""
	// session is the one that a viewer offered by POST, or will; early: it did, and is
	// waiting for its WebSocket.
	session string
	early   bool
	// player is a WHEP player: it may come to an open room with a token, since
	// many always send one.
	player  bool
	conn    Conn
	refused func(code string) // counts
	// renewICE is when it is told new ICE servers; zero for never.
	renewICE time.Time
}

func newPeer(join Message, conn Conn, refused func(code string)) *peer {
	_, early := conn.(*pipeEnd)
	return &peer{
		role: join.Role, room: join.Room, name: join.Name, nonce: join.Nonce, session: join.Session, early: early && join.Session != "",
		token: sha256.Sum256([]byte(join.Token)), keyed: join.Token != "",
		conn: conn, refused: refused,
	}
}

func (p *peer) camera() Camera { return Camera{ID: p.id, Name: p.name, Nonce: p.nonce} }

// send never blocks: who does not read is sent away, so that nobody waits for
// a slow peer.
func (p *peer) send(m Message) {
	if p.conn.Send(m) == ErrSlow {
		p.end(errorf(CodeSlow, "too many messages wait to be read by this client; connect again"))
	}
}

// end refuses the peer for good.
func (p *peer) end(e *Error) {
	p.refused(e.Code)
	p.conn.Close(e.Code, e.Message)
}

// room decides who is in a room and who hears what. It has no clock and no
// goroutine of its own.
type room struct {
	name    string
	peers   map[string]*peer
	cameras []*peer // in the order they came
	// The claim, made by the first camera.
	claimed  bool
	claim    claim
	deserted time.Time // when the last camera left; counts while there is none
	// changed: the other servers do not know yet which cameras are here.
	changed bool
	// elsewhere finds a viewer at another server; nil without others.
	elsewhere func(room, id string) *peer
}

// claim is whose a room is.
type claim struct {
	keyed bool
	token [sha256.Size]byte
	since time.Time
}

// before orders claims that were made at two servers at once.
func (c claim) before(d claim) bool {
	if !c.since.Equal(d.since) {
		return c.since.Before(d.since)
	}
	return bytes.Compare(c.token[:], d.token[:]) < 0
}

func newRoom(name string) *room { return &room{name: name, peers: map[string]*peer{}} }

// expire lets go of a claim whose time is over and tells whether the room is
// good for nothing any more.
func (r *room) expire(now time.Time) (over bool) {
	if r.claimed && len(r.cameras) == 0 && now.Sub(r.deserted) >= claimFor {
		r.claimed = false
	}
	return !r.claimed && len(r.peers) == 0
}

// join lets p in, tells it who is there and the others that it is.
func (r *room) join(p *peer, servers []ICEServer, now time.Time) *Error {
	r.expire(now)
	if r.claimed && !r.admits(p) {
		return r.refusal(p)
	}
	if p.role == RoleCamera && len(r.cameras) >= maxCameras || p.role == RoleViewer && len(r.peers)-len(r.cameras) >= maxViewers {
		return errorf(CodeRoomFull, "room %s is full: it holds %d cameras and %d viewers", r.name, maxCameras, maxViewers)
	}
	if p.role == RoleCamera && !r.claimed {
		r.take(claim{keyed: p.keyed, token: p.token, since: now.Truncate(time.Millisecond)}, now)
	}
	r.peers[p.id] = p
	welcome := Message{Type: TypeWelcome, ID: p.id, Room: r.name, ICEServers: servers}
	for _, c := range r.cameras {
		welcome.Cameras = append(welcome.Cameras, c.camera())
	}
	p.send(welcome)
	if p.role == RoleCamera {
		r.addCamera(p)
	}
	return nil
}

// other is the same viewer on its other way here: what it says by POST and its
// WebSocket, of which either may come first. A session is as secret as its viewer
// keeps it, so the token counts too.
func (r *room) other(p *peer) *peer {
	if p.role != RoleViewer || p.session == "" {
		return nil
	}
	for _, q := range r.peers {
		if q.role == RoleViewer && q.early != p.early && q.session == p.session && q.token == p.token {
			return q
		}
	}
	return nil
}

// hush ends what is said to an early peer, for whom its WebSocket is told. What it said
// is still to be heard.
func (p *peer) hush() { p.conn.(*pipeEnd).out.finish(nil) }

// takeOver lets p go on where it began by POST, under the same id.
func (r *room) takeOver(p, early *peer) {
	p.id = early.id
	delete(r.peers, early.id)
	early.hush()
}

// now is who speaks for p: itself, or who took over from it.
func (r *room) now(p *peer) *peer {
	if q := r.peers[p.id]; q != nil && p.early && q.session == p.session {
		return q
	}
	return p
}

func (r *room) addCamera(p *peer) {
	r.doubt(p.name)
	r.peers[p.id] = p
	r.cameras = append(r.cameras, p)
	r.changed = r.changed || p.server == ""
	r.tellViewers(TypeCameraJoined, p.camera())
}

// take makes the room the claim's, and sends away those who came before it with
// another token.
func (r *room) take(c claim, now time.Time) {
	r.claimed, r.claim = true, c
	for _, p := range r.peers {
		if !r.admits(p) {
			p.end(r.refusal(p))
			r.leave(p, now)
		}
	}
}

// own are the cameras whose sockets this server holds.
func (r *room) own() []*peer { return r.at("") }

// at are the cameras at a server.
func (r *room) at(server string) (cameras []*peer) {
	for _, c := range r.cameras {
		if c.server == server {
			cameras = append(cameras, c)
		}
	}
	return cameras
}

// doubt asks the cameras of that name whether they still live. A camera whose
// network changed comes back before its old socket is known to be dead, and
// viewers should not offer to a ghost for longer than they must.
func (r *room) doubt(name string) {
	for _, c := range r.cameras {
		if ws, ok := c.conn.(interface{ probe() }); ok && c.name == name {
			ws.probe()
		}
	}
}

func (r *room) admits(p *peer) bool {
	same := subtle.ConstantTimeCompare(r.claim.token[:], p.token[:]) == 1
	return same || !r.claim.keyed && p.player
}

func (r *room) refusal(p *peer) *Error {
	switch {
	case p.role == RoleCamera:
		return errorf(CodeRoomTaken, "a camera with another key holds room %s: choose another name with --room, or use the same key file", r.name)
	case !p.keyed:
		return errorf(CodeForbidden, "room %s needs a key: open the whole link, with what follows #", r.name)
	case !r.claim.keyed:
		return errorf(CodeForbidden, "room %s has no key: open its link without what follows #", r.name)
	}
	return errorf(CodeForbidden, "this link's key is not the one of room %s: ask for the link again", r.name)
}

// leave takes p out of the room. A peer that was sent away is not in it.
func (r *room) leave(p *peer, now time.Time) {
	if r.peers[p.id] != p {
		return
	}
	delete(r.peers, p.id)
	if p.role != RoleCamera {
		return
	}
	r.cameras = slices.DeleteFunc(r.cameras, func(c *peer) bool { return c == p })
	r.changed = r.changed || p.server == ""
	if len(r.cameras) == 0 {
		r.deserted = now
	}
	gone := p.camera()
	gone.Nonce = ""
	r.tellViewers(TypeCameraLeft, gone)
}

func (r *room) tellViewers(what string, c Camera) {
	for _, v := range r.peers {
		if v.role == RoleViewer {
			v.send(Message{Type: what, Camera: &c})
		}
	}
}

// route hands a checked message to the peer it is for.
func (r *room) route(from *peer, m Message) *Error {
	if r.peers[from.id] != from {
		return nil // sent away a moment ago
	}
	to := r.peers[m.To]
	if to == nil && r.elsewhere != nil {
		to = r.elsewhere(r.name, m.To)
	}
	if to == nil || to.role == from.role {
		return &Error{Code: CodeNoSuchPeer, Message: "nobody with that id is in the room any more", Session: m.Session}
	}
	if to.server == "" {
		to.send(m.routed(from.id))
	} else if to.conn.Send(m.routed(from.id)) != nil {
		return &Error{Code: CodeNoSuchPeer, Message: "the server that holds this peer cannot be reached just now", Session: m.Session}
	}
	return nil
}
