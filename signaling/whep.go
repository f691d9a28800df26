package signaling

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxOffer is the size of a player's SDP in bytes.
const maxOffer = 64 << 10

// offerTime is how long a player's SDP may take to arrive.
const offerTime = 10 * time.Second

// WHEP lets players watch (draft-ietf-wish-whep, and RFC 9725 for what it has in
// common with WHIP) below /whep/: the server is then the viewer in the room, on the
// player's behalf. A session takes candidates and ICE restarts by PATCH, and ends by
// DELETE. Errors are problem details (RFC 9457).
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
	h.Set("Access-Control-Expose-Headers", "Location, Link, ETag, Retry-After, WWW-Authenticate, Accept-Post, Accept-Patch")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	room, session, resource := strings.Cut(strings.TrimPrefix(r.URL.Path, "/whep/"), "/")
	if err := CheckRoom(room); err != nil {
		problem(http.StatusNotFound, "%v", err).write(w, room)
		return
	}
	methods, accept, kind := "POST, OPTIONS", "Accept-Post", "application/sdp"
	if resource {
		methods, accept, kind = "PATCH, DELETE, OPTIONS", "Accept-Patch", fragmentType
	}
	switch {
	case r.Method == http.MethodPost && !resource:
		s.play(w, r, room)
	case r.Method == http.MethodPatch && resource:
		s.patch(w, r, room, session)
	case r.Method == http.MethodDelete && resource:
		s.hangUp(w, room, session)
	case r.Method == http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
		h.Set("Access-Control-Max-Age", "86400")
		h.Set(accept, kind)
		w.WriteHeader(http.StatusNoContent)
	default:
		h.Set("Allow", methods)
		problem(http.StatusMethodNotAllowed, "only %s are understood here", methods).write(w, room)
	}
}

func (s *Server) hangUp(w http.ResponseWriter, room, session string) {
	p := s.players.get(session)
	if p == nil || p.room != room {
		problem(http.StatusNotFound, "no such session").write(w, room)
		return
	}
	s.players.remove(p)
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
	offer, refusal := readOffer(w, r)
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
	p.mu.Lock()
	h.Set("ETag", p.ice.tag)
	p.mu.Unlock()
	h.Set("Accept-Patch", fragmentType)
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
	if accept := strings.Join(r.Header.Values("Accept"), ","); accept != "" && !accepts(accept, "application/sdp") {
		return "", problem(http.StatusNotAcceptable, "the answer is application/sdp, which Accept: %.60q leaves out", accept)
	}
	body, refusal := readBody(w, r, "application/sdp", "Accept-Post", maxOffer)
	switch {
	case refusal != nil:
		return "", refusal
	case !strings.HasPrefix(body, "v=0") || !utf8.ValidString(body):
		return "", problem(http.StatusBadRequest, "the body is not SDP: it must begin with v=0")
	}
	// A restart puts a section's candidates behind its name: it must stand once, or
	// a small fragment makes an offer of any size.
	_, _, mids := iceOf(body)
	slices.Sort(mids)
	if len(slices.Compact(mids)) != len(mids) {
		return "", problem(http.StatusBadRequest, "two media sections of the offer have the same a=mid")
	}
	return body, nil
}

// accepts tells whether an Accept header has room for a type.
func accepts(header, kind string) bool {
	group, _, _ := strings.Cut(kind, "/")
	for _, one := range strings.Split(header, ",") {
		name, params, err := mime.ParseMediaType(one)
		q, weighed := params["q"]
		never := weighed && strings.Trim(q, "0.") == ""
		if err == nil && !never && (name == kind || name == group+"/*" || name == "*/*") {
			return true
		}
	}
	return false
}

// readBody reads a request's body of a type, of so many bytes at most. What it
// refuses names the type in the header accept.
func readBody(w http.ResponseWriter, r *http.Request, kind, accept string, most int64) (string, *whepError) {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if coding := r.Header.Get("Content-Encoding"); err != nil || got != kind || coding != "" && coding != "identity" {
		w.Header().Set(accept, kind)
		return "", problem(http.StatusUnsupportedMediaType, "the body must be plain %s, with that as its Content-Type", kind)
	}
	// A body that dribbles in would hold a goroutine for ever.
	deadline := http.NewResponseController(w)
	_ = deadline.SetReadDeadline(time.Now().Add(offerTime)) // not every writer has one
	defer func() { _ = deadline.SetReadDeadline(time.Time{}) }()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return "", problem(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", most)
	case err != nil:
		return "", problem(http.StatusBadRequest, "the body did not arrive whole")
	}
	return string(body), nil
}

// whepError is an answer that is none.
type whepError struct {
	status int
	text   string
	auth   string // of WWW-Authenticate, beside the realm
	retry  bool   // later may go better
}

func problem(status int, format string, args ...any) *whepError {
	return &whepError{status: status, text: fmt.Sprintf(format, args...)}
}

func (e *whepError) write(w http.ResponseWriter, room string) {
	if e.status == http.StatusUnauthorized || e.status == http.StatusForbidden {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+room+`"`+e.auth)
	}
	if e.retry {
		w.Header().Set("Retry-After", "2")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(e.status)
	_ = json.NewEncoder(w).Encode(struct { // who has left needs no reason
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(e.status), e.status, e.text})
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
