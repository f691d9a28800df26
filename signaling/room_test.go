package signaling

import (
	"fmt"
	"testing"
	"time"
)

// fakeConn keeps what a peer was told.
type fakeConn struct {
	sent  []Message
	ended string
}

func (c *fakeConn) Send(m Message) error      { c.sent = append(c.sent, m); return nil }
func (c *fakeConn) Receive() (Message, error) { return Message{}, ErrClosed }
func (c *fakeConn) Close(code, _ string)      { c.ended = code }

func fakePeer(id string, join Message) *peer {
	p := newPeer(join, &fakeConn{}, func(string) {})
	p.id = id
	return p
}

func TestClaimOutlivesTheCamera(t *testing.T) {
	now := time.Unix(0, 0)
	owner, other := cameraJoin("x"), cameraJoin("y")
	other.Token = otherKey.Token()
	r := newRoom("kitchen")
	camera := fakePeer("c1", owner)
	if err := r.join(camera, nil, now); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour) // while it films, for ever
	if err := r.join(fakePeer("c2", other), nil, now); err == nil || err.Code != CodeRoomTaken {
		t.Fatalf("while it films: %v", err)
	}
	r.leave(camera, now)
	for _, c := range []struct {
		after time.Duration
		taken bool
	}{{0, true}, {claimFor - 1, true}, {claimFor, false}} {
		at := now.Add(c.after)
		if over := r.expire(at); over == c.taken {
			t.Errorf("%v after it left: the room is over: %v", c.after, over)
		}
	}
	if err := r.join(fakePeer("c2", other), nil, now.Add(claimFor)); err != nil {
		t.Errorf("after its time: %v", err)
	}
	if err := r.join(camera, nil, now.Add(claimFor)); err == nil || err.Code != CodeRoomTaken {
		t.Errorf("the first owner, when another has come: %v", err)
	}
}

func TestClaimIsRenewedByTheOwner(t *testing.T) {
	now := time.Unix(0, 0)
	r := newRoom("kitchen")
	for range 5 {
		camera := fakePeer("c1", cameraJoin("x"))
		if err := r.join(camera, nil, now); err != nil {
			t.Fatal(err)
		}
		r.leave(camera, now)
		now = now.Add(claimFor - time.Second)
		if r.expire(now) {
			t.Fatal("the claim is lost early")
		}
	}
}

func TestRoomIsFull(t *testing.T) {
	now := time.Unix(0, 0)
	r := newRoom("kitchen")
	for i := range maxCameras {
		if err := r.join(fakePeer(fmt.Sprint("c", i), cameraJoin("x")), nil, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.join(fakePeer("c", cameraJoin("x")), nil, now); err == nil || err.Code != CodeRoomFull {
		t.Errorf("camera %d: %v", maxCameras+1, err)
	}
	for i := range maxViewers {
		if err := r.join(fakePeer(fmt.Sprint("v", i), viewerJoin()), nil, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.join(fakePeer("v", viewerJoin()), nil, now); err == nil || err.Code != CodeRoomFull {
		t.Errorf("viewer %d: %v", maxViewers+1, err)
	}
}

// A viewer that waited with another token hears nothing more once it is sent
// away, even before its socket has noticed.
func TestWhoIsSentAwayIsOut(t *testing.T) {
	now := time.Unix(0, 0)
	r := newRoom("kitchen")
	join := viewerJoin()
	join.Token = otherKey.Token()
	v, camera := fakePeer("v1", join), fakePeer("c1", cameraJoin("x"))
	_ = r.join(v, nil, now)
	_ = r.join(camera, nil, now)
	if c := v.conn.(*fakeConn); c.ended != CodeForbidden || len(c.sent) != 1 {
		t.Fatalf("%+v", c)
	}
	if err := r.route(v, Message{Type: TypeOffer, To: "c1", Session: NewSession(), SDP: "x"}); err != nil {
		t.Error(err)
	}
	if n := len(camera.conn.(*fakeConn).sent); n != 1 {
		t.Errorf("its offer came through")
	}
	r.leave(v, now)
	if len(r.peers) != 1 {
		t.Error("the camera left with it")
	}
}
