package signaling

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// opening is what stands in the page of a room, so that the page need not ask
// before it makes an offer: next to nothing that a stranger who joins would not be told.
type opening struct {
	// ICEServers are the same as in the welcome. Later: they have credentials, and wait
	// for it.
	ICEServers []ICEServer `json:"iceServers,omitempty"`
	Later      bool        `json:"later,omitempty"`
	// Cameras are those of an open room, to be offered to at once; of a room with a key
	// the only one, without its name. That there is one a stranger learns by joining,
	// too: he is refused.
	Cameras []Camera `json:"cameras,omitempty"`
}

// keyed tells whether whoever offers needs a proof.
func (o opening) keyed() bool { return len(o.Cameras) > 0 && o.Cameras[0].Nonce != "" }

// look asks the hub for the opening of a room.
type look struct {
	room  string
	reply chan opening
}

// Pages serves the browser's side: / the list of rooms, /ROOM the page of a
// room, /viewer/ what they are made of.
func (s *Server) Pages() http.Handler { return newPages(viewerFS(), s.opening) }

// opening waits for the hub as long as ctx allows; without it a page asks later.
func (s *Server) opening(ctx context.Context, room string) opening {
	l := &look{room: room, reply: make(chan opening, 1)}
	select {
	case s.events <- event{what: eventLook, look: l}:
	case <-s.done:
		return opening{}
	case <-ctx.Done():
		return opening{}
	}
	var o opening
	select {
	case o = <-l.reply:
	case <-s.done:
	case <-ctx.Done():
	}
	if s.cfg.ICEServers != nil {
		o.ICEServers, _ = s.cfg.ICEServers("page", time.Now())
	}
	for _, server := range o.ICEServers {
		if server.Credential != "" {
			o.ICEServers, o.Later = nil, true
			break
		}
	}
	return o
}

func (h *hub) look(name string) opening {
	r := h.rooms[name]
	if r == nil || !r.claimed {
		return opening{}
	}
	var o opening
	for _, c := range r.cameras {
		o.Cameras = append(o.Cameras, c.camera())
	}
	if r.claim.keyed && len(o.Cameras) != 1 {
		return opening{} // who shows several joins first
	}
	if r.claim.keyed {
		o.Cameras[0].Name = ""
	}
	return o
}

// json is safe between <script> and its end: encoding/json escapes <, > and &.
func (o opening) json() []byte {
	data, err := json.Marshal(o)
	if err != nil {
		panic(err) // strings alone
	}
	return data
}
