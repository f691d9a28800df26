package signaling

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// maxOffer is the size of a player's SDP in bytes.
const maxOffer = 64 << 10

// offerTime is how long a player's SDP may take to arrive.
const offerTime = 10 * time.Second

// WHEP lets players watch (draft-ietf-wish-whep) below /whep/: the server is
// then the viewer in the room, on the player's behalf.
//
// A room with a key asks for its token as the bearer. The offers carry no proof,
// which a player could not make; a camera in the server's own process is told by
// Message.Bearer that the token was right, a camera elsewhere refuses unless its
// room is open.
//
// An answer takes up to WHEPPatience and WHEPTimeout: an http.Server's
// WriteTimeout must be longer.
func (s *Server) WHEP() http.Handler { return http.HandlerFunc(s.serveWHEP) }

func (s *Server) serveWHEP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Location, Link, ETag, Retry-After, WWW-Authenticate")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	room, session, resource := strings.Cut(strings.TrimPrefix(r.URL.Path, "/whep/"), "/")
	if err := CheckRoom(room); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	method, do := http.MethodPost, func() { s.play(w, r, room) }
	if resource {
		method, do = http.MethodDelete, func() { s.hangUp(w, room, session) }
	}
	switch r.Method {
	case method:
		do()
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", method+", OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
		h.Set("Access-Control-Max-Age", "86400")
		h.Set("Accept-Post", "application/sdp")
		w.WriteHeader(http.StatusNoContent)
	default:
		h.Set("Allow", method+", OPTIONS")
		http.Error(w, "only "+method+" is understood here", http.StatusMethodNotAllowed)
	}
}

func (s *Server) hangUp(w http.ResponseWriter, room, session string) {
	p := s.players.get(session)
	if p == nil || p.room != room {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	p.hangUp()
	w.WriteHeader(http.StatusOK)
}

func (s *Server) play(w http.ResponseWriter, r *http.Request, room string) {
	bearer, hasBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	foreign := !s.originAllowed(r)
	if !hasBearer && foreign {
		// Else any page could watch an open room in the browser of somebody who
		// reaches this server.
		s.refuse(CodeForbidden)
		(&whepError{status: http.StatusForbidden, text: "pages from elsewhere may watch with the room token only, or when the server allows their origin (--origin)"}).write(w, room)
		return
	}
	addr := s.addrOf(r)
	if s.addrs.over(s.addrs.take(addr), 1) {
		s.addrs.release(addr)
		s.refuse(CodeTooMany)
		(&whepError{status: http.StatusTooManyRequests, text: "too many players from this address", retry: true}).write(w, room)
		return
	}
	// A body that dribbles in would hold a goroutine for ever.
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(offerTime)) // not every writer has one
	offer, refusal := readOffer(w, r)
	_ = deadline.SetReadDeadline(time.Time{})
	if refusal != nil {
		s.addrs.release(addr)
		refusal.write(w, room)
		return
	}
	p, err := s.newPlayer(room, strings.TrimSpace(bearer), offer, foreign, func() { s.addrs.release(addr) })
	if err != nil {
		(&whepError{status: http.StatusServiceUnavailable, text: "the server is stopping", retry: true}).write(w, room)
		return
	}
	result := p.wait(r.Context(), s.cfg.WHEPPatience, s.cfg.WHEPTimeout)
	if result.err != nil {
		result.err.write(w, room)
		return
	}
	h := w.Header()
	for _, ice := range result.ice {
		for _, url := range ice.URLs {
			h.Add("Link", linkOf(url, ice))
		}
	}
	h.Set("Content-Type", "application/sdp")
	h.Set("Location", "/whep/"+room+"/"+p.session)
	h.Set("ETag", `"`+p.session+`"`)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, result.answer)
}

// linkOf is an ICE server as RFC 9725, section 4.6, writes it.
func linkOf(url string, ice ICEServer) string {
	link := "<" + url + `>; rel="ice-server"`
	if ice.Username != "" {
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace
		link += fmt.Sprintf(`; username="%s"; credential="%s"; credential-type="password"`, quote(ice.Username), quote(ice.Credential))
	}
	return link
}

func readOffer(w http.ResponseWriter, r *http.Request) (string, *whepError) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/sdp" {
		w.Header().Set("Accept-Post", "application/sdp")
		return "", &whepError{status: http.StatusUnsupportedMediaType, text: "the body must be an SDP offer, with Content-Type: application/sdp"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOffer))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return "", &whepError{status: http.StatusRequestEntityTooLarge, text: fmt.Sprintf("the offer has more than %d bytes", maxOffer)}
	case err != nil:
		return "", &whepError{status: http.StatusBadRequest, text: "the offer did not arrive whole"}
	case !strings.HasPrefix(string(body), "v=0") || !utf8.Valid(body):
		return "", &whepError{status: http.StatusBadRequest, text: "the body is not SDP: it must begin with v=0"}
	}
	return string(body), nil
}

// whepError is an answer other than 201.
type whepError struct {
	status int
	text   string
	auth   string // of WWW-Authenticate, beside the realm
	retry  bool   // later may go better
}

func (e *whepError) write(w http.ResponseWriter, room string) {
	if e.status == http.StatusUnauthorized || e.status == http.StatusForbidden {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+room+`"`+e.auth)
	}
	if e.retry {
		w.Header().Set("Retry-After", "2")
	}
	http.Error(w, e.text, e.status)
}

// whepErrorOf says in HTTP what server or camera said.
func whepErrorOf(code, text string, hadBearer bool) *whepError {
	e := &whepError{status: http.StatusServiceUnavailable, text: text, retry: true}
	switch code {
	case CodeForbidden:
		e = &whepError{status: http.StatusUnauthorized, text: "this room needs its token: Authorization: Bearer TOKEN"}
		if hadBearer {
			e.text, e.auth = "the bearer is not this room's token", `, error="invalid_token"`
		}
	case CodeProof:
		e = &whepError{status: http.StatusForbidden, text: "the camera wants the proof that a browser makes with the link's key; a player can watch only a camera that is its own server, or an open room",
			auth: `, error="insufficient_scope"`}
	case CodeBadOffer:
		e = &whepError{status: http.StatusUnprocessableEntity, text: text}
	}
	if e.text == "" {
		e.text = code
	}
	return e
}
