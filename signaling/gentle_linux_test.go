package signaling

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"golang.org/x/sys/unix"
)

// What comes gently comes whole, over TLS as well.
func TestPartsComeWhole(t *testing.T) {
	want := getPage(testPages(), http.MethodGet, "/viewer/later.js", nil).Body.Bytes()
	for name, start := range map[string]func(*httptest.Server){"plain": (*httptest.Server).Start, "TLS": (*httptest.Server).StartTLS} {
		gentle := false
		pages := testPages()
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, gentle = gently(w, r).(gentleWriter)
			pages.ServeHTTP(w, r)
		}))
		s.Config.ConnContext = ConnContext
		start(s)
		res, err := s.Client().Get(s.URL + "/viewer/later.js")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d of %d bytes came: %v", name, len(got), len(want), err)
		}
		if !gentle {
			t.Errorf("%s: it did not come gently", name)
		}
		_ = res.Body.Close()
		s.Close()
	}
}

// A connection whose other end does not answer has what was sent on its way.
func TestWhatIsOnTheWayIsKnown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if _, n := onTheWay(raw); n != 0 {
		t.Errorf("%d segments on the way before anything was sent", n)
	}
	// Nobody reads: what the other end's buffer does not hold waits here.
	if err := c.(*net.TCPConn).SetWriteBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	if err := raw.Write(func(fd uintptr) bool {
		for {
			if _, err := unix.Write(int(fd), make([]byte, 64<<10)); err != nil {
				return true
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, n := onTheWay(raw); n < gentleMost {
		t.Errorf("%d segments on the way of a connection that is full", n)
	}
}
