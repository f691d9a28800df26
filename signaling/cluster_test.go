package signaling

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// wire joins hubs without a network, a clock or a goroutine.
type wire struct {
	t     *testing.T
	now   time.Time
	hubs  []*hub
	moved []parcel
	// cut tells whether a parcel is lost; nil: none is.
	cut func(parcel) bool
	ids int
}

type parcel struct {
	from, to string
	data     []byte
}

// wireEnd is one hub's end.
type wireEnd struct {
	Cluster
	w    *wire
	self string
}

func (e *wireEnd) Send(to string, data []byte) error {
	e.w.moved = append(e.w.moved, parcel{e.self, to, data})
	return nil
}

func newWire(t *testing.T, servers int) *wire {
	w := &wire{t: t, now: time.Unix(1e9, 0)}
	for range servers {
		w.add()
	}
	return w
}

// add starts one more server.
func (w *wire) add() *hub {
	end := &wireEnd{w: w}
	h := &hub{rooms: map[string]*room{}, refused: func(string) {}, fleet: newFleet(end, slog.New(slog.DiscardHandler))}
	end.self = h.fleet.self
	w.hubs = append(w.hubs, h)
	h.handle(event{what: eventLinked}, w.now)
	w.settle()
	return h
}

// kill takes a server away without a word.
func (w *wire) kill(h *hub) {
	for i := range w.hubs {
		if w.hubs[i] == h {
			w.hubs = append(w.hubs[:i:i], w.hubs[i+1:]...)
			return
		}
	}
}

// settle carries all that is on its way, as often as it takes.
func (w *wire) settle() {
	for n := 0; len(w.moved) > 0; n++ {
		if n > 100_000 {
			w.t.Fatal("the servers never stop talking")
		}
		p := w.moved[0]
		w.moved = w.moved[1:]
		if w.cut != nil && w.cut(p) {
			continue
		}
		for _, h := range w.hubs {
			if h.fleet.self == p.from || p.to != "" && p.to != h.fleet.self {
				continue
			}
			m, err := decodeCluster(p.data)
			if err != nil {
				w.t.Fatalf("a server does not understand another: %v: %s", err, p.data)
			}
			h.handle(event{what: eventHeard, heard: m}, w.now)
		}
	}
}

// pass lets time pass, and beats.
func (w *wire) pass(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(beatEvery)
		for _, h := range w.hubs {
			h.beat(w.now)
			h.sweep(w.now)
		}
		w.settle()
	}
}

// join joins one server; its refusal is nil if it was let in.
func (w *wire) join(h *hub, m Message) (*fakeConn, *peer, *Error) {
	c := &fakeConn{}
	p := newPeer(m, c, func(string) {})
	reply := make(chan *Error, 1)
	h.handle(event{what: eventJoin, peer: p, reply: reply}, w.now)
	w.settle()
	return c, p, <-reply
}

func (w *wire) say(h *hub, p *peer, m Message) {
	h.handle(event{what: eventMessage, peer: p, msg: m}, w.now)
	w.settle()
}

func (w *wire) leave(h *hub, p *peer) {
	h.handle(event{what: eventLeave, peer: p}, w.now)
	w.settle()
}

// told is the types of what a peer was sent since the last call, and the last
// message.
func (c *fakeConn) told() (types string, last Message) {
	for _, m := range c.sent {
		types += " " + m.Type
		last = m
	}
	c.sent = nil
	return strings.TrimSpace(types), last
}

func wantTold(t *testing.T, c *fakeConn, want string) Message {
	t.Helper()
	got, last := c.told()
	if got != want {
		t.Fatalf("was told %q, want %q (%s)", got, want, show(last))
	}
	return last
}

func TestServersShareARoom(t *testing.T) {
	w := newWire(t, 3)
	a, b, c := w.hubs[0], w.hubs[1], w.hubs[2]
	early, earlyPeer, _ := w.join(b, viewerJoin())
	wantTold(t, early, "welcome")
	join := cameraJoin("Door")
	camera, cameraPeer, _ := w.join(a, join)
	wantTold(t, camera, "welcome")
	if m := wantTold(t, early, "camera-joined"); *m.Camera != (Camera{cameraPeer.id, "Door", join.Nonce}) {
		t.Fatalf("%s", show(m))
	}
	late, latePeer, _ := w.join(c, viewerJoin())
	if m := wantTold(t, late, "welcome"); len(m.Cameras) != 1 || m.Cameras[0] != (Camera{cameraPeer.id, "Door", join.Nonce}) {
		t.Fatalf("%s", show(m))
	}

	session := NewSession()
	for _, m := range []Message{
		{Type: TypeOffer, To: cameraPeer.id, Session: session, SDP: "<v=0>", Proof: "p", From: "forged"},
		{Type: TypeCandidate, To: cameraPeer.id, Session: session, Candidate: json.RawMessage(`{"candidate":"x"}`)},
		{Type: TypeBye, To: cameraPeer.id, Session: session, Code: CodeLeft},
	} {
		w.say(c, latePeer, m)
		got := wantTold(t, camera, m.Type)
		want := m.routed(latePeer.id)
		if show(got) != show(want) {
			t.Fatalf("%s arrives as %s", show(want), show(got))
		}
	}
	w.say(a, cameraPeer, Message{Type: TypeAnswer, To: latePeer.id, Session: session, SDP: "v=0", Proof: "q"})
	if m := wantTold(t, late, "answer"); m.From != cameraPeer.id || m.SDP != "v=0" || m.Proof != "q" {
		t.Fatalf("%s", show(m))
	}
	wantTold(t, early, "")

	if s := b.gauges(); s.Rooms != 1 || s.Cameras != 0 || s.Viewers != 1 || s.Servers != 2 {
		t.Errorf("%+v", s)
	}
	w.leave(a, cameraPeer)
	for _, v := range []*fakeConn{early, late} {
		if m := wantTold(t, v, "camera-left"); m.Camera.ID != cameraPeer.id || m.Camera.Nonce != "" {
			t.Errorf("%s", show(m))
		}
	}
	w.say(b, earlyPeer, Message{Type: TypeOffer, To: cameraPeer.id, Session: session, SDP: "v=0"})
	if m := wantTold(t, early, "error"); m.Code != CodeNoSuchPeer || m.Session != session {
		t.Errorf("%s", show(m))
	}
}

// Who is gone at the other server is found out there.
func TestNobodyThereAtTheOtherServer(t *testing.T) {
	w := newWire(t, 2)
	a, b := w.hubs[0], w.hubs[1]
	camera, cameraPeer, _ := w.join(a, cameraJoin("x"))
	viewer, viewerPeer, _ := w.join(b, viewerJoin())
	other := cameraJoin("y")
	other.Room = "cellar"
	stranger, strangerPeer, _ := w.join(a, other)
	session := NewSession()
	camera.told()
	stranger.told()
	for name, to := range map[string]string{
		"made up":         "v1",
		"of no server":    "v" + randomID(serverIDLen) + randomID(peerIDLen),
		"another camera":  "c" + b.fleet.self + randomID(peerIDLen),
		"unknown there":   "v" + b.fleet.self + randomID(peerIDLen),
		"another's room":  strangerPeer.id,
		"no such role":    "x" + b.fleet.self + randomID(peerIDLen),
		"unknown server ": "v00000000" + randomID(peerIDLen),
	} {
		w.say(a, cameraPeer, Message{Type: TypeAnswer, To: to, Session: session, SDP: "v=0"})
		if types, m := camera.told(); types != "error" || m.Code != CodeNoSuchPeer || m.Session != session {
			t.Errorf("%s: %s", name, show(m))
		}
	}
	w.leave(b, viewerPeer)
	viewer.told()
	w.say(a, cameraPeer, Message{Type: TypeAnswer, To: viewerPeer.id, Session: session, SDP: "v=0"})
	wantTold(t, camera, "error")
	w.say(a, strangerPeer, Message{Type: TypeBye, To: viewerPeer.id, Session: session})
	wantTold(t, stranger, "error")
	wantTold(t, viewer, "")
}

func TestServerThatDiesIsForgotten(t *testing.T) {
	w := newWire(t, 3)
	a, b := w.hubs[0], w.hubs[1]
	_, gone, _ := w.join(a, cameraJoin("x"))
	stays, _, _ := w.join(b, cameraJoin("y"))
	viewer, _, _ := w.join(b, viewerJoin())
	viewer.told()
	stays.told()
	w.kill(a)
	w.pass(leaseFor - 2*beatEvery)
	wantTold(t, viewer, "") // it may be only slow
	w.pass(3 * beatEvery)
	if m := wantTold(t, viewer, "camera-left"); m.Camera.ID != gone.id {
		t.Errorf("%s", show(m))
	}
	wantTold(t, stays, "")
	if s := b.gauges(); s.Servers != 1 || s.Rooms != 1 || s.Cameras != 1 || s.Viewers != 1 {
		t.Errorf("%+v", s)
	}
	_, back, err := w.join(b, cameraJoin("x")) // with the same key
	if err != nil {
		t.Fatal(err)
	}
	if m := wantTold(t, viewer, "camera-joined"); m.Camera.ID != back.id {
		t.Errorf("%s", show(m))
	}
}

func TestServerThatStopsIsForgottenAtOnce(t *testing.T) {
	w := newWire(t, 2)
	w.join(w.hubs[0], cameraJoin("x"))
	viewer, _, _ := w.join(w.hubs[1], viewerJoin())
	viewer.told()
	w.hubs[0].sayGone()
	w.kill(w.hubs[0])
	w.settle()
	wantTold(t, viewer, "camera-left")
}

// A claim outlives its camera and the server that it was made at.
func TestClaimOutlivesItsServer(t *testing.T) {
	other := cameraJoin("y")
	other.Token = otherKey.Token()
	w := newWire(t, 2)
	a, b := w.hubs[0], w.hubs[1]
	w.join(a, cameraJoin("x"))
	if _, _, err := w.join(b, other); err == nil || err.Code != CodeRoomTaken {
		t.Fatalf("while the camera is at another server: %v", err)
	}
	if _, _, err := w.join(b, Message{Type: TypeJoin, Version: 1, Role: RoleViewer, Room: "kitchen"}); err == nil || err.Code != CodeForbidden {
		t.Fatalf("a viewer without a key, elsewhere: %v", err)
	}
	w.kill(a)
	w.pass(claimFor - 10*time.Second)
	late := w.add() // learns of it from b
	for _, h := range []*hub{b, late} {
		if _, _, err := w.join(h, other); err == nil || err.Code != CodeRoomTaken {
			t.Fatalf("after its server died: %v", err)
		}
	}
	w.pass(20 * time.Second)
	for _, h := range []*hub{b, late} {
		if s := h.gauges(); s.Rooms != 0 {
			t.Errorf("the room is kept: %+v", s)
		}
	}
	if _, _, err := w.join(late, other); err != nil {
		t.Errorf("after its time: %v", err)
	}
}

// Two servers that did not hear of each other let two owners in. The first one
// keeps the room, at both.
func TestOlderClaimHolds(t *testing.T) {
	other := cameraJoin("y")
	other.Token = otherKey.Token()
	foreign := viewerJoin()
	foreign.Token = otherKey.Token()
	for name, order := range map[string][2]int{"here first": {0, 1}, "there first": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, 2)
			w.cut = func(parcel) bool { return true }
			w.pass(leaseFor + beatEvery)
			first, second := w.hubs[order[0]], w.hubs[order[1]]
			owner, _, _ := w.join(first, cameraJoin("x"))
			viewer, _, _ := w.join(first, viewerJoin())
			w.now = w.now.Add(time.Second)
			intruder, intruderPeer, _ := w.join(second, other)
			theirs, theirPeer, _ := w.join(second, foreign)
			w.cut = nil
			w.pass(3 * beatEvery)
			w.leave(second, intruderPeer) // their sockets have ended
			w.leave(second, theirPeer)
			if owner.ended != "" || viewer.ended != "" {
				t.Errorf("the owner was ended with %q, its viewer with %q", owner.ended, viewer.ended)
			}
			if intruder.ended != CodeRoomTaken || theirs.ended != CodeForbidden {
				t.Errorf("the other camera was ended with %q, its viewer with %q", intruder.ended, theirs.ended)
			}
			for _, h := range w.hubs {
				c, _, err := w.join(h, viewerJoin())
				if m := wantTold(t, c, "welcome"); err != nil || len(m.Cameras) != 1 || m.Cameras[0].Name != "x" {
					t.Errorf("%v, %s", err, show(m))
				}
			}
		})
	}
}

// Whatever is lost on the way, servers agree in the end.
func TestLossesHeal(t *testing.T) {
	for n := range 20 {
		w := newWire(t, 3)
		i := 0
		w.cut = func(parcel) bool { i++; return (i*7+n)%(n%4+2) == 0 }
		viewers := map[*hub]*fakeConn{}
		for _, h := range w.hubs {
			viewers[h], _, _ = w.join(h, viewerJoin())
		}
		var left []*peer
		for k := range 12 {
			h := w.hubs[k%3]
			_, p, _ := w.join(h, cameraJoin(fmt.Sprint(k)))
			if k%2 == 0 {
				left = append(left, p)
			}
		}
		for k, p := range left {
			w.leave(w.hubs[2*k%3], p)
		}
		w.cut = nil
		w.pass(5 * beatEvery)
		for i, h := range w.hubs {
			names := map[string]bool{}
			for _, m := range viewers[h].sent {
				switch m.Type {
				case TypeCameraJoined:
					names[m.Camera.Name] = true
				case TypeCameraLeft:
					delete(names, m.Camera.Name)
				}
			}
			if len(names) != 6 || !names["1"] || !names["11"] {
				t.Errorf("run %d: the viewer at server %d sees %v", n, i, names)
			}
		}
	}
}

// A state of many rooms travels in parts, and one that lacks a part is no state.
func TestLargeState(t *testing.T) {
	const rooms = 3*roomsAPart + 1
	w := newWire(t, 1)
	for i := range rooms {
		m := cameraJoin("x")
		m.Room = fmt.Sprint("room", i)
		w.join(w.hubs[0], m)
	}
	parts := 0
	w.cut = func(p parcel) bool {
		if strings.Contains(string(p.data), `"kind":"state"`) && p.to != "" && p.from == w.hubs[0].fleet.self {
			parts++
		}
		return parts == 2
	}
	h := w.add()
	if s := h.gauges(); s.Rooms != 0 {
		t.Fatalf("%d rooms of a state that came in part", s.Rooms)
	}
	w.cut = nil
	w.pass(2 * beatEvery)
	if s := h.gauges(); s.Rooms != rooms {
		t.Errorf("%d rooms, want %d", s.Rooms, rooms)
	}
}

// A camera that comes back at another server is there once, after its old server
// has noticed.
func TestGhostAtAnotherServer(t *testing.T) {
	w := newWire(t, 2)
	join := cameraJoin("x")
	probed := &probedConn{}
	p := newPeer(join, probed, func(string) {})
	w.hubs[0].handle(event{what: eventJoin, peer: p, reply: make(chan *Error, 1)}, w.now)
	w.settle()
	w.join(w.hubs[1], cameraJoin("other"))
	if probed.n != 0 {
		t.Errorf("probed for a camera of another name")
	}
	w.join(w.hubs[1], cameraJoin("x"))
	if probed.n != 1 {
		t.Errorf("probed %d times", probed.n)
	}
}

type probedConn struct {
	fakeConn
	n int
}

func (c *probedConn) probe() { c.n++ }

func TestRoomIsFullAcrossServers(t *testing.T) {
	w := newWire(t, 2)
	for i := range maxCameras {
		if _, _, err := w.join(w.hubs[i%2], cameraJoin("x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.join(w.hubs[0], cameraJoin("x")); err == nil || err.Code != CodeRoomFull {
		t.Errorf("camera %d: %v", maxCameras+1, err)
	}
}

func FuzzClusterMessage(f *testing.F) {
	from := strings.Repeat("a", serverIDLen)
	camera := "c" + from + strings.Repeat("b", peerIDLen)
	session := strings.Repeat("A", 22)
	token := sha(testToken)
	for _, m := range []clusterMessage{
		{Kind: kindBeat, From: from, Version: 3},
		{Kind: kindAsk, From: from},
		{Kind: kindGone, From: from},
		{Kind: kindRoom, From: from, Version: 1, Rooms: []roomState{{Name: "kitchen", Claim: &claimState{Token: token}, Cameras: []Camera{{ID: camera, Name: "x"}}}}},
		{Kind: kindState, From: from, Version: 2, Part: 1, More: true},
		{Kind: kindState, From: from, Version: 2, Rooms: []roomState{{Name: "kitchen", Claim: &claimState{Token: token, Since: 1, Deserted: 5, Keyed: true}}}},
		{Kind: kindPeer, From: from, Room: "kitchen", To: "v1", Message: &Message{Type: TypeAnswer, From: camera, Session: session, SDP: "v=0"}},
		{Kind: kindPeer, From: from, Room: "kitchen", To: "v1", Message: &Message{Type: TypeError, Code: CodeNoSuchPeer, Fatal: true}},
		{Kind: kindPeer, From: from, Room: "kitchen", To: "v1"},
		{Kind: kindRoom, From: from, Rooms: []roomState{{Name: "../x"}}},
	} {
		f.Add(m.encode())
	}
	f.Add([]byte(`{"kind":"room","from":"aaaaaaaa","rooms":[{"name":"kitchen","claim":{"token":"AA=="}}]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeCluster(data)
		if err != nil {
			return
		}
		w := newWire(t, 1)
		h := w.hubs[0]
		viewer, _, _ := w.join(h, viewerJoin())
		w.join(h, cameraJoin("mine"))
		viewer.told()
		h.handle(event{what: eventHeard, heard: m}, w.now)
		w.moved = nil
		w.pass(leaseFor + beatEvery)
		if n := len(h.rooms["kitchen"].own()); n > 1 {
			t.Fatalf("%d cameras here", n)
		}
		if len(h.fleet.others) != 0 {
			t.Fatal("a server that said one thing is kept")
		}
		if viewer.ended == "" && len(h.rooms["kitchen"].cameras) > 1 {
			t.Fatal("cameras of a server that is gone are kept")
		}
	})
}

func sha(token string) []byte {
	p := newPeer(Message{Token: token}, nil, nil)
	return p.token[:]
}
