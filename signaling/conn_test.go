package signaling

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// connKinds make two ends of each kind of Conn.
var connKinds = map[string]func(t testing.TB) (client, server Conn){
	"pipe": func(testing.TB) (Conn, Conn) { a, b := pipe(); return a, b },
	"WebSocket": func(t testing.TB) (Conn, Conn) {
		accepted := make(chan Conn, 1)
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			up := websocket.Upgrader{}
			ws, err := up.Upgrade(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			accepted <- newWSConn(ws, true, viewerQueue)
		}))
		t.Cleanup(h.Close)
		dial, err := DialURL(h.URL)
		if err != nil {
			t.Fatal(err)
		}
		c, err := dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return c, <-accepted
	},
}

func TestConnContract(t *testing.T) {
	for kind, make := range connKinds {
		t.Run(kind, func(t *testing.T) {
			t.Run("messages arrive both ways, in order", func(t *testing.T) {
				a, b := make(t)
				defer finish(a, b)
				for _, way := range []struct{ from, to Conn }{{a, b}, {b, a}} {
					for i := range 100 {
						if err := way.from.Send(Message{Type: TypePing, Version: i}); err != nil {
							t.Fatal(err)
						}
					}
					for i := range 100 {
						if m, err := way.to.Receive(); err != nil || m.Version != i {
							t.Fatalf("%d: %s, %v", i, show(m), err)
						}
					}
				}
			})
			t.Run("last words come after what was queued", func(t *testing.T) {
				a, b := make(t)
				defer finish(a, b)
				for range 100 {
					_ = b.Send(Message{Type: TypePing})
				}
				b.Close(CodeClosing, "bye")
				b.Close(CodeSlow, "only the first counts")
				if err := b.Send(Message{Type: TypePing}); !errors.Is(err, ErrClosed) {
					t.Errorf("Send after Close: %v", err)
				}
				for range 100 {
					if m, err := a.Receive(); err != nil || m.Type != TypePing {
						t.Fatalf("%s, %v", show(m), err)
					}
				}
				if m, err := a.Receive(); err != nil || m.Code != CodeClosing || !m.Fatal || m.Message != "bye" {
					t.Errorf("%s, %v", show(m), err)
				}
				if m, err := a.Receive(); !errors.Is(err, ErrClosed) {
					t.Errorf("%s, %v", show(m), err)
				}
				if err := a.Send(Message{Type: TypePing}); !errors.Is(err, ErrClosed) {
					t.Errorf("Send after the end: %v", err)
				}
			})
			t.Run("Close frees a Receive at both ends", func(t *testing.T) {
				a, b := make(t)
				got := [2]chan error{}
				for i, c := range []Conn{a, b} {
					got[i] = receiveLater(c)
				}
				a.Close("", "")
				for i := range got {
					if err := <-got[i]; !errors.Is(err, ErrClosed) {
						t.Errorf("end %d: %v", i, err)
					}
				}
			})
			t.Run("who does not read is slow", func(t *testing.T) {
				a, b := make(t)
				defer finish(a, b)
				m := Message{Type: TypeOffer, SDP: strings.Repeat("x", 1000)}
				n := 0
				for ; n < 1e6; n++ {
					if err := b.Send(m); err != nil {
						if !errors.Is(err, ErrSlow) {
							t.Fatal(err)
						}
						break
					}
				}
				if n < viewerQueue.messages || n == 1e6 {
					t.Errorf("slow after %d messages", n)
				}
			})
			t.Run("nonsense does not end it, and size counts", func(t *testing.T) {
				a, b := make(t)
				defer finish(a, b)
				ws, ok := a.(*wsConn)
				if !ok {
					return // a pipe carries nothing but messages
				}
				_ = ws.ws.WriteMessage(websocket.BinaryMessage, []byte{1})
				_ = ws.ws.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", 2*maxMessage)))
				_ = ws.ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`))
				for _, code := range []string{CodeBadMessage, CodeTooLarge} {
					if _, err := b.Receive(); err == nil || !strings.HasPrefix(err.Error(), code) {
						t.Errorf("%v, want %s", err, code)
					}
				}
				if m, err := b.Receive(); err != nil || m.Type != TypePing {
					t.Errorf("%s, %v", show(m), err)
				}
			})
		})
	}
}

func receiveLater(c Conn) chan error {
	got := make(chan error, 1)
	go func() {
		_, err := c.Receive()
		got <- err
	}()
	return got
}

// finish ends a connection at both ends.
func finish(a, b Conn) {
	a.Close("", "")
	b.Close("", "")
	done := make(chan struct{})
	go func() { drain(b); close(done) }()
	drain(a)
	<-done
}

func TestQueueIsBoundedInBytes(t *testing.T) {
	m := Message{SDP: strings.Repeat("x", 400)}
	q := newQueue(limits{messages: 100, bytes: 2*m.size() + m.size()/2})
	if q.push(m) != nil || q.push(m) != nil || q.push(m) != ErrSlow {
		t.Fatal("two fit, three do not")
	}
	q.pop()
	if err := q.push(m); err != nil {
		t.Fatalf("after one was taken: %v", err)
	}
	q.finish(&Message{Type: TypeError})
	for range 3 {
		if _, ok, _ := q.pop(); !ok {
			t.Fatal("the last message must fit always")
		}
	}
	if _, ok, open := q.pop(); ok || open {
		t.Fatal("more than was sent")
	}
}

func FuzzMessage(f *testing.F) {
	for _, s := range []string{
		`{"type":"join","version":1,"role":"viewer","room":"kitchen","token":""}`,
		`{"type":"offer","to":"c1","session":"EBESExQVFhcYGRobHB0eHw","sdp":"v=0","proof":"x","trickle":false}`,
		`{"type":"candidate","to":"c1","session":"EBESExQVFhcYGRobHB0eHw","candidate":null}`,
		`{"type":"bye","to":"v1","session":"EBESExQVFhcYGRobHB0eHw","code":"ended"}`,
		`[]`, `null`, `{"type":1}`, "\xff", `{"candidate":{"a":[[[]]]},"type":"candidate"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decode(data)
		if err != nil {
			if _, more := goOn(err); !more {
				t.Fatalf("nonsense ends the connection: %v", err)
			}
			return
		}
		if m.Bearer {
			t.Fatal("Bearer came over a wire")
		}
		if m.checkJoin() == nil && (m.Version != Version || CheckRoom(m.Room) != nil) {
			t.Fatalf("joined with %s", data)
		}
		for _, role := range []string{RoleCamera, RoleViewer} {
			if m.check(role) != nil || m.Type == TypePing {
				continue
			}
			out := m.routed("c1")
			if !validID(out.Session) || out.From != "c1" || out.To != "" || out.Token != "" {
				t.Fatalf("routed as %s", show(out))
			}
			a, b := out, Message{}
			if b, err = decode([]byte(show(a))); err != nil || b.check(role) == nil {
				t.Fatalf("%v: what is routed cannot be read, or could be sent on: %s", err, show(b))
			}
		}
	})
}
