package signaling

import (
	"encoding/json"
	"net/http"
	"regexp"
	"testing"
	"time"
)

// told is what stands in the page of a room.
func told(t *testing.T, s *Server, room string) (o opening) {
	t.Helper()
	w := getPage(s.Pages(), http.MethodGet, "/"+room, nil)
	m := regexp.MustCompile(`<script type="application/json" id="opening">([^<]*)</script>`).FindStringSubmatch(w.Body.String())
	if m == nil {
		t.Fatalf("%d: the page has no opening", w.Code)
	}
	if err := json.Unmarshal([]byte(m[1]), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// Who holds no key learns from a page next to nothing that joining does not tell him.
func TestPagesTellHowToOffer(t *testing.T) {
	s := startServer(t, ServerConfig{ICEServers: FixedICE(ICEServer{URLs: []string{"stun:example.org"}})})
	open := cameraJoin("</script><b>")
	open.Room, open.Token, open.Nonce = "hall", "", ""
	c := s.socket()
	c.send(open)
	id := c.want(TypeWelcome).ID
	keyed := cameraJoin("the nursery")
	_, w := s.join(keyed)

	if o := told(t, s.Server, "hall"); len(o.Cameras) != 1 || o.Cameras[0].ID != id || o.Cameras[0].Name != open.Name || len(o.ICEServers) != 1 {
		t.Errorf("an open room: %+v", o)
	}
	if o := told(t, s.Server, "kitchen"); len(o.Cameras) != 1 || o.Cameras[0] != (Camera{ID: w.ID, Nonce: keyed.Nonce}) || len(o.ICEServers) != 1 {
		t.Errorf("a room with a key: %+v", o)
	}
	s.join(cameraJoin("the stairs"))
	for _, room := range []string{"kitchen", "nobody"} {
		if o := told(t, s.Server, room); o.Cameras != nil || len(o.ICEServers) != 1 {
			t.Errorf("%s: %+v", room, o)
		}
	}
	s.stop()
	if o := told(t, s.Server, "hall"); o.Cameras != nil {
		t.Errorf("a server that stopped: %+v", o)
	}

	relays := startServer(t, ServerConfig{ICEServers: TURNSecret("s").ICE(time.Hour, "turn:example.org")})
	c = relays.socket()
	c.send(open)
	c.want(TypeWelcome)
	if o := told(t, relays.Server, "hall"); len(o.Cameras) != 1 || o.ICEServers != nil || !o.Later {
		t.Errorf("credentials are not for everybody: %+v", o)
	}
}

// A thin link's modem holds about as much as it sends in a fifth of a second:
// a first flight that is longer loses its end.
func TestTheFirstFlightFitsAThinLink(t *testing.T) {
	s := startServer(t, ServerConfig{})
	s.join(cameraJoin("Door"))
	for room, most := range map[string]int{"hall": 4800, "kitchen": 8700} { // the key's part comes while the offer is made
		w := getPage(s.Pages(), http.MethodGet, "/"+room, http.Header{"Accept-Encoding": {"gzip"}})
		size := w.Body.Len()
		for name, values := range w.Header() {
			size += len(name) + len(values[0]) + 4
		}
		t.Logf("%s: %d bytes", room, size)
		if size > most {
			t.Errorf("the page of %s is %d bytes before it can offer: let main.js or later.js have what can wait", room, size)
		}
	}
}
