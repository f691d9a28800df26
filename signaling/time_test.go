package signaling

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// pipeListener accepts the server's ends of net.Pipes, so that WebSockets live
// in a bubble of synctest, where hours pass at once.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// bubble runs a server and gives a function that connects to it.
func bubble(t *testing.T, f func(s *Server, dial func() *websocket.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := runServer(t)
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		h := &http.Server{Handler: s}
		served := make(chan error)
		go func() { served <- h.Serve(l) }()
		d := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			l.conns <- b
			return a, nil
		}}
		f(s, func() *websocket.Conn {
			ws, _, err := d.Dial("ws://server/ws", nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ws.Close() })
			return ws
		})
		stop()
		h.Close()
		<-served
	})
}

func TestSocketWithoutJoinIsEnded(t *testing.T) {
	bubble(t, func(_ *Server, dial func() *websocket.Conn) {
		began := time.Now()
		ws := dial()
		var m Message
		if err := ws.ReadJSON(&m); err != nil || m.Code != CodeBadMessage || !m.Fatal {
			t.Errorf("%v, %s", err, show(m))
		}
		if waited := time.Since(began); waited != joinWithin {
			t.Errorf("after %v", waited)
		}
		ws.Close()
	})
}

func TestIdleSocketIsKept(t *testing.T) {
	bubble(t, func(s *Server, dial func() *websocket.Conn) {
		ws := dial()
		pings := 0
		ws.SetPingHandler(func(data string) error {
			pings++
			return ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Second))
		})
		_ = ws.WriteJSON(viewerJoin())
		got := make(chan Message)
		go func() {
			defer close(got)
			var m Message
			for ws.ReadJSON(&m) == nil {
				got <- m
			}
		}()
		<-got
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		if s.Stats().Viewers != 1 || pings != 30 {
			t.Errorf("%d viewers after ten minutes, %d pings", s.Stats().Viewers, pings)
		}
		ws.Close()
		<-got
	})
}

func TestSilentSocketIsDropped(t *testing.T) {
	bubble(t, func(s *Server, dial func() *websocket.Conn) {
		ws := dial()
		ws.SetPingHandler(func(string) error { return nil }) // reads, and says nothing
		_ = ws.WriteJSON(viewerJoin())
		ended := make(chan struct{})
		go func() {
			for {
				if _, _, err := ws.ReadMessage(); err != nil {
					close(ended)
					return
				}
			}
		}()
		time.Sleep(silence - time.Second)
		synctest.Wait()
		if s.Stats().Viewers != 1 {
			t.Error("dropped early")
		}
		time.Sleep(2 * time.Second)
		<-ended
		synctest.Wait()
		if s.Stats().Sockets != 0 {
			t.Error("kept")
		}
	})
}

// A camera whose network changed is back before its old socket is known to be
// dead: the ghost goes soon, and one that lives and has the same name stays.
func TestGhostOfACameraGoesSoon(t *testing.T) {
	bubble(t, func(s *Server, dial func() *websocket.Conn) {
		join := func(alive bool) *websocket.Conn {
			ws := dial()
			if !alive {
				ws.SetPingHandler(func(string) error { return nil })
			}
			_ = ws.WriteJSON(cameraJoin("FaceTime HD Camera"))
			go func() {
				for {
					if _, _, err := ws.ReadMessage(); err != nil {
						return
					}
				}
			}()
			synctest.Wait()
			return ws
		}
		join(true)
		join(false)
		if n := s.Stats().Cameras; n != 2 {
			t.Errorf("%d cameras", n)
		}
		join(true)
		time.Sleep(probeFor + time.Second)
		synctest.Wait()
		if n := s.Stats().Cameras; n != 2 {
			t.Errorf("%d cameras live, of three of which one is a ghost", n)
		}
		time.Sleep(time.Hour)
		if n := s.Stats().Cameras; n != 2 {
			t.Errorf("%d cameras live an hour later", n)
		}
	})
}

// A player's session ends some time after its camera has left without a word, unless
// that comes back and speaks of it.
func TestAPlayerWithoutItsCamera(t *testing.T) {
	for _, back := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, stop := runServer(t)
			defer stop()
			camera := func() Conn {
				c, err := s.Connect(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				_ = c.Send(cameraJoin("x"))
				if _, err := c.Receive(); err != nil {
					t.Fatal(err)
				}
				return c
			}
			first := camera()
			p, err := s.newPlayer("kitchen", testToken, playerOffer, false, func() {})
			if err != nil {
				t.Fatal(err)
			}
			offer, _ := first.Receive()
			_ = first.Send(Message{Type: TypeAnswer, To: offer.From, Session: offer.Session, SDP: cameraAnswer})
			<-p.result
			first.Close("", "")
			drain(first)
			again := camera()
			time.Sleep(cameraAwayFor - time.Second)
			synctest.Wait()
			if s.players.get(p.session) == nil {
				t.Error("ended early")
			}
			if back {
				_ = again.Send(Message{Type: TypeCandidate, To: offer.From, Session: offer.Session, Candidate: []byte("null")})
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if kept := s.players.get(p.session) != nil; kept != back {
				t.Errorf("kept: %v, although the camera came back: %v", kept, back)
			}
			p.hangUp()
			again.Close("", "")
			drain(again)
		})
	}
}

// A laptop that sleeps and wakes in another network: nothing says that the
// connection is gone, and the client finds out by itself.
func TestClientNoticesADeadServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		go func() { // a server that answers the handshake and then is gone
			u := websocket.Upgrader{}
			l := &pipeListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
			l.conns <- b
			h := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = u.Upgrade(w, r, nil)
				l.Close()
			})}
			_ = h.Serve(l)
			_, _ = io.Copy(io.Discard, b)
		}()
		d := websocket.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) { return a, nil }}
		ws, _, err := d.Dial("ws://server/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		c := newWSConn(ws, false, cameraQueue)
		began := time.Now()
		if _, err := c.Receive(); !errors.Is(err, ErrClosed) || time.Since(began) != silence {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
