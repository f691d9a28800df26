package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// present tells whether so many cameras and viewers are at a server.
func (s *site) present(cameras, viewers float64) func() bool {
	return func() bool {
		return s.metric("peercam_signaling_cameras") == cameras && s.metric("peercam_signaling_viewers") == viewers
	}
}

func TestThePictureOutlivesTheServer(t *testing.T) {
	server := serve(t, "127.0.0.1:0")
	addr := server.addr()
	camera := shareOn(t, "ws://"+addr)
	if want := "http://" + addr + "/kitchen#k="; !strings.HasPrefix(camera.first, want) {
		t.Errorf("the link is %q, and should begin with %q", camera.first, want)
	}
	v := open(t, camera.first)
	v.live()

	server.stop()
	camera.logged("no connection to the signaling server")
	v.since(time.Now().Add(time.Second))

	server = serve(t, addr)
	eventually(t, "camera and page are back in the room", server.present(1, 1))
	open(t, camera.first).live()
	v.live()
	if got := js[string](v, "probe.states.slice(probe.states.indexOf('live')).join()"); got != "live" {
		t.Errorf("while the server was away the page said: %s", got)
	}
}

func TestThePageComesBackWithTheCamera(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	p := share(t, "--key-file", key)
	v := open(t, p.first)
	v.live()
	p.stop()
	v.state("ended")
	again := share(t, "--key-file", key, "--listen", p.addr())
	if again.first != p.first {
		t.Errorf("the link was %q before the restart, and is %q now", p.first, again.first)
	}
	started := time.Now()
	v.state("live")
	v.since(started)
	v.live()
}

func TestSeveralCamerasShareARoom(t *testing.T) {
	server := serve(t, "127.0.0.1:0")
	key := filepath.Join(t.TempDir(), "key")
	one := shareOn(t, server.ws(), "--key-file", key)
	shareOn(t, server.ws(), "--key-file", key)
	eventually(t, "both cameras are in the room", server.present(2, 0))
	v := open(t, one.first)
	v.until(`document.querySelectorAll('video[data-state="live"]').length === 2`)
	for n := range 2 {
		first := v.picture(n)
		if second := v.picture(n); second.Time <= first.Time {
			t.Errorf("picture %d stands still", n)
		}
	}
	if n := js[int](v, "new Set([...document.querySelectorAll('video')].map((v) => v.srcObject.id)).size"); n != 2 {
		t.Errorf("the page shows %d streams, want 2", n)
	}
}

func TestAServerThatIsNotThereYetIsWaitedFor(t *testing.T) {
	// At first something else has the port, which shows that the camera tries
	// again and again.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	camera := shareOn(t, "ws://"+l.Addr().String())
	for range 3 {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	l.Close()
	serve(t, l.Addr().String())
	open(t, camera.first).live()
	if n := strings.Count(camera.stderr.String(), "no connection to the signaling server"); n != 1 {
		t.Errorf("the outage was told %d times, want once", n)
	}
	camera.logged("connected to the signaling server again")
}
