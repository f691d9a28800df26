package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/peercam/peercam/peer"
	"github.com/peercam/peercam/signaling"
)

// watcher keeps a session with one camera of a room, as the page does: it
// connects again when the picture is lost. One goroutine, run's, owns its state.
type watcher struct {
	link     viewLink
	want     string // name of the camera, or a part of it; "": the first
	stay     bool
	patience time.Duration // until the first picture; 0: for ever
	view     peer.View
	sink     *sink
	send     func(signaling.Message) error
	joined   func() bool
	first    func() // the first picture is there
	log      *slog.Logger

	messages   chan signaling.Message
	candidates chan ownCandidate

	cameras  []signaling.Camera
	ice      []webrtc.ICEServer
	chosen   *string // the name of the camera that is watched
	serverAt time.Time
	askedAt  time.Time
	retryAt  time.Time
	attempts int
	told     string      // what was last said about the room
	last     *peer.Ended // what the last session ended with, if somebody said so
	session  *watched

	mu      sync.Mutex
	current *peer.Viewer // session's, for statistics
	seen    bool         // there was a picture
	totals  peer.ViewerStats
}

// watched is one session.
type watched struct {
	camera    signaling.Camera
	viewer    *peer.Viewer
	handshake signaling.Handshake
	started   time.Time
	answered  bool
	held      []webrtc.ICECandidateInit // came before the answer
	leave     context.CancelFunc
	ended     chan error
}

type ownCandidate struct {
	session string
	init    *webrtc.ICECandidateInit
}

const heldCandidates = 256

func newWatcher(link viewLink, log *slog.Logger) *watcher {
	return &watcher{link: link, log: log, messages: make(chan signaling.Message, 256), candidates: make(chan ownCandidate, 64)}
}

func (w *watcher) join() signaling.Message {
	return signaling.Message{Type: signaling.TypeJoin, Version: signaling.Version, Role: signaling.RoleViewer, Room: w.link.room, Token: token(w.link.key)}
}

// handle takes a message from the server. More than the queue holds is no
// server's, and dropped.
func (w *watcher) handle(m signaling.Message) {
	select {
	case w.messages <- m:
	default:
		w.log.Warn("the server sends more than can be taken; dropped", "type", m.Type)
	}
}

// run watches until ctx is done, or what it returns keeps it from watching.
func (w *watcher) run(ctx context.Context) error {
	defer w.drop()
	began := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var err error
		var ended chan error
		if w.session != nil {
			ended = w.session.ended
		}
		select {
		case <-ctx.Done():
			return nil
		case m := <-w.messages:
			w.serverAt = time.Now()
			err = w.receive(m)
		case c := <-w.candidates:
			w.tellCandidate(c)
		case end := <-ended:
			w.session.ended <- end // drop waits for it
			var e *peer.Ended
			if errors.As(end, &e) {
				if w.session.viewer.Stats().Connected {
					w.last = e
				}
				err = w.over(e.Code, e.Reason)
			}
		case now := <-tick.C:
			if !w.hasSeen() && w.patience > 0 && now.Sub(began) > w.patience {
				return w.nothing()
			}
			err = w.look(now)
		}
		if err != nil {
			return err
		}
	}
}

// look does what time alone asks for.
func (w *watcher) look(now time.Time) error {
	s := watchState{joined: w.joined(), retryAt: w.retryAt, serverAt: w.serverAt}
	camera, here := w.choose()
	s.here = here
	if w.session != nil {
		st := w.session.viewer.Stats()
		if st.Frames > 0 {
			w.attempts = 0
		}
		s.session, s.started, s.heard = true, w.session.started, st.Heard
		s.same = camera.ID == w.session.camera.ID
	}
	switch s.decide(now) {
	case watchConnect:
		return w.connect(camera)
	case watchDrop:
		w.log.Warn("the picture is lost: connecting again", "camera", w.session.camera.Name)
		w.last = nil
		w.tell(signaling.Message{Type: signaling.TypeBye, Code: signaling.CodeFailed})
		w.drop()
		w.attempts++
		w.retryAt = now.Add(watchBackoff(w.attempts - 1))
	case watchAsk:
		if now.Sub(w.askedAt) > time.Second {
			w.askedAt = now
			_ = w.send(signaling.Message{Type: signaling.TypePing}) // silence is an answer too
		}
	}
	return nil
}

// choose is the camera to watch, as long as it is here.
func (w *watcher) choose() (signaling.Camera, bool) {
	fits := func(c signaling.Camera) bool {
		switch {
		case w.chosen != nil:
			return c.Name == *w.chosen
		case w.want == "":
			return true
		}
		return strings.EqualFold(c.Name, w.want)
	}
	i := slices.IndexFunc(w.cameras, fits)
	if i < 0 && w.chosen == nil && w.want != "" {
		i = slices.IndexFunc(w.cameras, func(c signaling.Camera) bool {
			return strings.Contains(strings.ToLower(c.Name), strings.ToLower(w.want))
		})
	}
	if i < 0 {
		return signaling.Camera{}, false
	}
	return w.cameras[i], true
}

// connect begins a session: it offers, with the proof that we hold the key.
func (w *watcher) connect(camera signaling.Camera) error {
	switch {
	case w.link.key != nil && camera.Nonce == "":
		return fmt.Errorf("camera %q holds no key, although the link has one: whoever answers there is not the camera that the link is for", camera.Name)
	case w.link.key == nil && camera.Nonce != "":
		return errNoKey
	}
	w.chosen = &camera.Name
	s := &watched{camera: camera, started: time.Now(), ended: make(chan error, 1)}
	s.handshake = signaling.Handshake{Room: w.link.room, Session: signaling.NewSession(), Nonce: camera.Nonce}
	id := s.handshake.Session
	ctx, leave := context.WithCancel(context.Background())
	s.leave = leave
	config := peer.ViewerConfig{ICEServers: w.ice, View: w.view, Log: w.log, Candidate: func(c *webrtc.ICECandidateInit) {
		select {
		case w.candidates <- ownCandidate{id, c}:
		case <-ctx.Done():
		}
	}}
	config.Video = func(m peer.Media) {
		w.picture()
		if !w.sink.take(m, true) {
			s.viewer.NeedKey()
		}
	}
	config.Audio = func(m peer.Media) { w.sink.take(m, false) }
	var err error
	if s.viewer, err = peer.NewViewer(config); err != nil {
		leave()
		return err
	}
	w.session = s
	w.mu.Lock()
	w.current = s.viewer
	w.mu.Unlock()
	go func() { s.ended <- s.viewer.Run(ctx) }()
	w.log.Info("connecting", "camera", camera.Name, "session", short(id))
	return w.offer(false)
}

func (w *watcher) offer(restart bool) error {
	s := w.session
	sdp, err := s.viewer.Offer(restart)
	if err != nil {
		return err
	}
	m := signaling.Message{Type: signaling.TypeOffer, SDP: sdp}
	if w.link.key != nil {
		if s.handshake.Viewer, err = signaling.Fingerprint(sdp); err != nil {
			return err
		}
		m.Proof = w.link.key.OfferProof(s.handshake)
	}
	w.tell(m)
	return nil
}

// tell says something about the session to its camera; while signaling is away
// it is lost, and the session is given up in time.
func (w *watcher) tell(m signaling.Message) {
	m.To, m.Session = w.session.camera.ID, w.session.handshake.Session
	if err := w.send(m); err != nil {
		w.log.Debug("not said", "type", m.Type, "err", err)
	}
}

func (w *watcher) tellCandidate(c ownCandidate) {
	if w.session == nil || c.session != w.session.handshake.Session {
		return
	}
	raw := json.RawMessage("null")
	if c.init != nil {
		b, err := json.Marshal(c.init)
		if err != nil {
			return
		}
		raw = b
	}
	w.tell(signaling.Message{Type: signaling.TypeCandidate, Candidate: raw})
}

// drop ends the session and waits for it.
func (w *watcher) drop() {
	if w.session == nil {
		return
	}
	w.session.leave()
	<-w.session.ended
	w.mu.Lock()
	w.totals = sum(w.totals, w.current.Stats())
	w.current = nil
	w.mu.Unlock()
	w.session = nil
}

// picture notes that there is one.
func (w *watcher) picture() {
	w.mu.Lock()
	before := w.seen
	w.seen = true
	w.mu.Unlock()
	if !before && w.first != nil {
		w.first()
	}
}

func (w *watcher) hasSeen() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

// largest is the size of the camera's largest picture; zero: not known yet.
func (w *watcher) largest() size { return largestOf(w.stats().Camera) }

// largestOf is the largest size that a camera tells of, if it can be one: the
// text is a stranger's.
func largestOf(c peer.CameraReport) size {
	for _, r := range c.Rungs {
		if min(r.Width, r.Height) >= 2 && max(r.Width, r.Height) <= 8192 {
			return size{r.Width, r.Height}
		}
	}
	return size{}
}

// stats are those of the session, with what the ones before counted.
func (w *watcher) stats() peer.ViewerStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current == nil {
		return w.totals
	}
	return sum(w.totals, w.current.Stats())
}

// sum adds the counters of a to b.
func sum(a, b peer.ViewerStats) peer.ViewerStats {
	b.Frames += a.Frames
	b.Bytes += a.Bytes
	b.AudioBytes += a.AudioBytes
	b.Packets += a.Packets
	b.Lost += a.Lost
	b.Gaps += a.Gaps
	return b
}
