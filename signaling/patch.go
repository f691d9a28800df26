package signaling

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// fragmentType is what is PATCHed: RFC 8840.
const fragmentType = "application/trickle-ice-sdpfrag"

// playerICE is the ICE session that a player has with its camera: an ETag names
// it (RFC 9725, section 4.3.1).
type playerICE struct {
	answered bool
	offer    string
	ufrag    string
	pwd      string
	mids     []string
	tag      string
	trickled int
	used     []string // ufrags of the sessions before
}

func newPlayerICE(offer string) playerICE {
	i := playerICE{offer: offer, tag: `"` + NewSession() + `"`}
	i.ufrag, i.pwd, i.mids = iceOf(offer)
	return i
}

// restart is the ICE session after a restart.
func (i playerICE) restart(f fragment) playerICE {
	next := newPlayerICE(restarted(i.offer, f))
	next.answered, next.used = true, append(slices.Clone(i.used), i.ufrag)
	return next
}

// maxRestarts is how many ICE sessions a player may have one after the other.
const maxRestarts = 1000

// patch takes a fragment: candidates, or an ICE restart.
func (s *Server) patch(w http.ResponseWriter, r *http.Request, room, session string) {
	p := s.players.get(session)
	if p == nil || p.room != room {
		problem(http.StatusNotFound, "no such session").write(w, room)
		return
	}
	body, refusal := readBody(w, r, fragmentType, "Accept-Patch", maxFragment)
	if refusal != nil {
		refusal.write(w, room)
		return
	}
	match := r.Header.Get("If-Match")
	if match == "" {
		problem(http.StatusPreconditionRequired, `If-Match is missing: it must be the session's ETag, or * to restart ICE`).write(w, room)
		return
	}
	f, err := parseFragment(body)
	if err != nil {
		problem(http.StatusBadRequest, "the fragment is malformed: %v", err).write(w, room)
		return
	}
	if !p.patching.TryLock() {
		e := problem(http.StatusConflict, "another PATCH is still being answered")
		e.retry = true
		e.write(w, room)
		return
	}
	defer p.patching.Unlock()
	p.mu.Lock()
	ice := p.ice
	p.mu.Unlock()
	if refusal := ice.check(f, match); refusal != nil {
		refusal.write(w, room)
		return
	}
	if f.ufrag == ice.ufrag {
		p.trickle(f)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer, refusal := p.restart(r.Context(), ice.restart(f), s.cfg.WHEPTimeout)
	if refusal != nil {
		refusal.write(w, room)
		return
	}
	p.mu.Lock()
	tag := p.ice.tag
	p.mu.Unlock()
	w.Header().Set("Content-Type", fragmentType)
	w.Header().Set("ETag", tag)
	_, _ = io.WriteString(w, fragmentOf(answer)) // who has left needs no answer
}

// check tells what is wrong with a fragment for this ICE session, or the next.
func (i *playerICE) check(f fragment, match string) *whepError {
	if tags := strings.FieldsFunc(match, func(r rune) bool { return r == ',' || r == ' ' }); !slices.Contains(tags, "*") && !slices.Contains(tags, i.tag) {
		return problem(http.StatusPreconditionFailed, "If-Match is not the ETag of the present ICE session: ICE was restarted since")
	}
	for _, c := range f.candidates {
		if !slices.Contains(i.mids, c.mid) {
			return problem(http.StatusUnprocessableEntity, "there is no media section %.20q in the offer", c.mid)
		}
	}
	switch {
	case f.ufrag == i.ufrag && f.pwd != i.pwd:
		return problem(http.StatusUnprocessableEntity, "a=ice-pwd is not that of the present ICE session")
	case f.ufrag == i.ufrag && i.trickled+len(f.candidates) > fragmentCandidates:
		return problem(http.StatusUnprocessableEntity, "more than %d candidates in one ICE session", fragmentCandidates)
	case slices.Contains(i.used, f.ufrag):
		return problem(http.StatusUnprocessableEntity, "a=ice-ufrag is that of an ICE session before: a restart needs a new one")
	case len(i.used) == maxRestarts:
		return problem(http.StatusTooManyRequests, "ICE was restarted %d times: begin another session", maxRestarts)
	}
	return nil
}

// trickle hands candidates to the camera.
func (p *player) trickle(f fragment) {
	p.mu.Lock()
	p.ice.trickled += len(f.candidates)
	camera, mids := p.camera, p.ice.mids
	p.mu.Unlock()
	say := func(candidate any) {
		raw, _ := json.Marshal(candidate) // of strings and a number
		_ = p.conn.Send(Message{Type: TypeCandidate, To: camera, Session: p.session, Candidate: raw})
	}
	for _, c := range f.candidates {
		say(struct {
			Candidate        string `json:"candidate"`
			SDPMid           string `json:"sdpMid"`
			SDPMLineIndex    int    `json:"sdpMLineIndex"`
			UsernameFragment string `json:"usernameFragment"`
		}{c.candidate, c.mid, slices.Index(mids, c.mid), f.ufrag})
	}
	if f.end {
		say(nil)
	}
}

// restart offers anew, and returns the answer. Without one the player may try again,
// with other credentials.
func (p *player) restart(ctx context.Context, next playerICE, timeout time.Duration) (answer string, refusal *whepError) {
	select {
	case <-p.again: // too late for the restart before
	default:
	}
	p.say(next.offer)
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case r := <-p.again:
		if r.err != nil {
			return "", r.err
		}
		p.mu.Lock()
		p.ice = next
		p.mu.Unlock()
		return r.answer, nil
	case <-p.ended:
		return "", problem(http.StatusNotFound, "the session has just ended")
	case <-ctx.Done():
	case <-late.C:
	}
	e := problem(http.StatusGatewayTimeout, "the camera did not answer in time")
	e.retry = true
	return "", e
}
