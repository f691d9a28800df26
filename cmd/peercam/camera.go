package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
	"golang.org/x/time/rate"

	"github.com/peercam/peercam/peer"
	"github.com/peercam/peercam/signaling"
)

const (
	// negotiationQueue is how many messages of a session may wait; more is
	// no browser's, and dropped.
	negotiationQueue = 64
	// gatherTime is how long an answer without trickle waits for all candidates:
	// enough for a STUN server that is there, and little where there is no
	// internet.
	gatherTime = 500 * time.Millisecond
	// seenSessions is how many session ids of a nonce are remembered.
	seenSessions = 4096
	// refusalRate is how many viewers a second are told why they were refused.
	refusalRate = 50
)

// camera answers viewers: it checks their proofs and hands their offers to
// the publisher, their candidates to the sessions.
type camera struct {
	room string
	name string
	key  *signaling.Key // nil: an open room
	pub  *peer.Publisher
	send func(signaling.Message) error
	log  *slog.Logger
	// relays of the server in this process may reach our candidates; nil: none.
	relays *relays

	mu       sync.Mutex
	nonce    string
	seen     map[string]bool
	order    []string // of seen, oldest first
	sessions map[string]*negotiation
	running  sync.WaitGroup
	closing  bool
	refusals *rate.Limiter
}

// negotiation is the signaling of one session. Its goroutine takes the
// messages one after the other, so that a candidate never overtakes its offer.
type negotiation struct {
	c        *camera
	id       string
	messages chan signaling.Message
	created  bool // a session was made; there is one a negotiation
	ended    chan struct{}
	endOnce  sync.Once

	mu       sync.Mutex
	to       string
	answered bool
	held     []signaling.Message // candidates that the answer must precede
	gathered bool                // the last of them was found
	unasked  bool                // for an ICE restart, since signaling was away
}

func newCamera(room, name string, key *signaling.Key, pub *peer.Publisher, log *slog.Logger) *camera {
	return &camera{room: room, name: name, key: key, pub: pub, log: log, seen: map[string]bool{}, sessions: map[string]*negotiation{},
		refusals: rate.NewLimiter(refusalRate, 4*refusalRate)}
}

// join is the camera's first message on a connection; every one has a nonce
// of its own.
func (c *camera) join() signaling.Message {
	m := signaling.Message{Type: signaling.TypeJoin, Version: signaling.Version, Role: signaling.RoleCamera, Room: c.room, Name: c.name}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen, c.order = map[string]bool{}, nil
	if c.key != nil {
		c.nonce = signaling.NewNonce()
		m.Token, m.Nonce = c.key.Token(), c.nonce
	}
	return m
}

// handle takes a message from the server.
func (c *camera) handle(m signaling.Message) {
	switch m.Type {
	case signaling.TypeOffer, signaling.TypeCandidate, signaling.TypeBye:
	case signaling.TypeWelcome:
		c.speakAgain()
		return
	default:
		return
	}
	if m.Session == "" {
		return
	}
	c.mu.Lock()
	n := c.sessions[m.Session]
	if n == nil && m.Type == signaling.TypeOffer && !c.closing {
		n = &negotiation{c: c, id: m.Session, messages: make(chan signaling.Message, negotiationQueue), ended: make(chan struct{})}
		c.sessions[m.Session] = n
		c.running.Add(1)
		go n.run()
	}
	c.mu.Unlock()
	if n == nil {
		return // of a session that has ended
	}
	select {
	case n.messages <- m:
	default:
		c.log.Warn("a viewer sends more than a browser would; dropped", "type", m.Type, "session", short(m.Session))
	}
}

// speakAgain says on a new connection what was lost with the one before: which
// sessions are this camera's, or a server takes their camera for gone, and that an
// ICE restart is wanted.
func (c *camera) speakAgain() {
	c.mu.Lock()
	all := slices.Collect(maps.Values(c.sessions))
	c.mu.Unlock()
	for _, n := range all {
		n.mu.Lock()
		unasked := n.unasked
		if !unasked && n.answered && n.gathered {
			n.say(signaling.Message{Type: signaling.TypeCandidate, To: n.to, Session: n.id, Candidate: noMoreCandidates})
		}
		n.mu.Unlock()
		if unasked {
			n.restart()
		}
	}
}

// wait takes no more offers and returns when every negotiation has ended.
func (c *camera) wait() {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.running.Wait()
}

func (n *negotiation) run() {
	defer n.c.running.Done()
	defer func() {
		n.c.mu.Lock()
		delete(n.c.sessions, n.id)
		n.c.mu.Unlock()
	}()
	for {
		select {
		case m := <-n.messages:
			switch m.Type {
			case signaling.TypeOffer:
				if err := n.offer(m); err != nil {
					n.refuse(m.From, err)
					if !n.c.pub.Has(n.id) {
						return
					}
				}
			case signaling.TypeCandidate:
				n.candidate(m.Candidate)
			case signaling.TypeBye:
				n.c.pub.Bye(n.id)
			}
		case <-n.ended:
			return
		}
	}
}

var (
	errProof    = errors.New("the link's key is not this camera's")
	errReplayed = errors.New("this offer was played again")
	errOver     = errors.New("this session has ended: offer again under another id")
)

// offer answers one. Nothing is revealed and nothing opened before the proof
// is checked.
func (n *negotiation) offer(m signaling.Message) error {
	c := n.c
	h := signaling.Handshake{Room: c.room, Session: n.id}
	if c.key != nil && !m.Bearer {
		var err error
		if h.Viewer, err = signaling.Fingerprint(m.SDP); err != nil {
			return fmt.Errorf("%w: %w", peer.ErrBadOffer, err)
		}
		c.mu.Lock()
		h.Nonce = c.nonce
		c.mu.Unlock()
		if !c.key.VerifyOffer(h, m.Proof) {
			return errProof
		}
		if !c.fresh(n.id) && !c.pub.Has(n.id) {
			return errReplayed
		}
	}
	if n.created && !c.pub.Has(n.id) {
		return errOver
	}
	n.mu.Lock()
	n.to, n.answered, n.unasked = m.From, false, false
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), gatherTime)
	defer cancel()
	trickle := m.Trickle == nil || *m.Trickle
	answer, err := c.pub.Answer(ctx, n.id, m.SDP, trickle, peer.Signal{Candidate: n.localCandidate, Rate: m.Rate, Proved: c.key == nil || !m.Bearer, Restart: n.restart, Ended: n.end})
	if err != nil {
		n.mu.Lock()
		n.answered = n.created // a running session goes on as it was
		n.mu.Unlock()
		return err
	}
	n.created = true
	reply := signaling.Message{Type: signaling.TypeAnswer, To: m.From, Session: n.id, SDP: answer}
	if c.key != nil && !m.Bearer {
		if h.Camera, err = signaling.Fingerprint(answer); err != nil {
			return err
		}
		reply.Proof = c.key.AnswerProof(h)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.say(reply)
	for _, held := range n.held {
		n.say(held)
	}
	n.answered, n.held = true, nil
	return nil
}

// fresh notes a session id and tells whether it is new under this nonce.
func (c *camera) fresh(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[id] {
		return false
	}
	if len(c.order) == seenSessions {
		delete(c.seen, c.order[0])
		c.order = c.order[1:]
	}
	c.seen[id] = true
	c.order = append(c.order, id)
	return true
}

// refuse tells a viewer why not.
func (n *negotiation) refuse(to string, err error) {
	code := signaling.CodeFailed
	switch {
	case errors.Is(err, errProof), errors.Is(err, errReplayed):
		code = signaling.CodeProof
	case errors.Is(err, peer.ErrBadOffer):
		code = signaling.CodeBadOffer
	case errors.Is(err, peer.ErrBusy):
		code = signaling.CodeBusy
	case errors.Is(err, peer.ErrClosed):
		code = signaling.CodeEnded
	}
	// Saying no must not cost the camera its place on the server.
	if !n.c.refusals.Allow() {
		n.c.log.Debug("viewer refused, unsaid: there are too many", "code", code)
		return
	}
	n.c.log.Warn("viewer refused", "session", short(n.id), "code", code, "err", err)
	_ = n.c.send(signaling.Message{Type: signaling.TypeBye, To: to, Session: n.id, Code: code, Message: err.Error()})
}

func (n *negotiation) candidate(raw json.RawMessage) {
	var init webrtc.ICECandidateInit
	if string(raw) != "null" {
		if err := json.Unmarshal(raw, &init); err != nil {
			n.c.log.Debug("candidate", "err", err)
			return
		}
	}
	if err := n.c.pub.Candidate(n.id, init); err != nil && !errors.Is(err, peer.ErrNoSession) {
		n.c.log.Debug("candidate not used", "session", short(n.id), "err", err)
	}
}

// noMoreCandidates is what stands in the message after the last.
var noMoreCandidates = json.RawMessage("null")

func (n *negotiation) localCandidate(init *webrtc.ICECandidateInit) {
	raw := noMoreCandidates
	if init != nil {
		n.c.relays.admit(n.id, init.Candidate)
		b, err := json.Marshal(init)
		if err != nil {
			return
		}
		raw = b
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gathered = init == nil
	m := signaling.Message{Type: signaling.TypeCandidate, To: n.to, Session: n.id, Candidate: raw}
	if !n.answered {
		n.held = append(n.held, m)
		return
	}
	n.say(m)
}

// restart asks the viewer for an offer with an ICE restart.
func (n *negotiation) restart() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unasked = n.c.send(signaling.Message{Type: signaling.TypeRestart, To: n.to, Session: n.id}) != nil
}

func (n *negotiation) end(code, reason string) {
	n.c.relays.dismiss(n.id)
	n.mu.Lock()
	n.say(signaling.Message{Type: signaling.TypeBye, To: n.to, Session: n.id, Code: code, Message: reason})
	n.mu.Unlock()
	n.endOnce.Do(func() { close(n.ended) })
}

// say sends a message; while signaling is away it is lost, and the session
// goes on without.
func (n *negotiation) say(m signaling.Message) {
	if err := n.c.send(m); err != nil {
		n.c.log.Debug("not said", "type", m.Type, "session", short(n.id), "err", err)
	}
}

func short(id string) string { return id[:min(6, len(id))] }
