package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/peercam/peercam/peer"
	"github.com/peercam/peercam/signaling"
)

var errNoKey = errors.New("the camera has a key, and the link none: give the whole link, in quotes, with the part after #")

// receive takes a message of the server. An error ends the command.
func (w *watcher) receive(m signaling.Message) error {
	switch m.Type {
	case signaling.TypeWelcome:
		w.cameras, w.ice = m.Cameras, viewerICE(m.ICEServers)
		w.sayRoom()
	case signaling.TypeICEServers:
		w.ice = viewerICE(m.ICEServers)
	case signaling.TypeCameraJoined:
		if m.Camera != nil {
			w.cameras = append(w.cameras, *m.Camera)
			w.sayRoom()
		}
	case signaling.TypeCameraLeft:
		if m.Camera != nil {
			w.cameras = slices.DeleteFunc(w.cameras, func(c signaling.Camera) bool { return c.ID == m.Camera.ID })
		}
	case signaling.TypeError:
		if m.Fatal {
			return w.refused(m)
		}
		if w.session != nil && m.Session == w.session.handshake.Session && !w.session.answered {
			w.last = &peer.Ended{Code: signaling.CodeFailed, Reason: m.Message}
			return w.over(signaling.CodeFailed, m.Message)
		}
	case signaling.TypeAnswer, signaling.TypeCandidate, signaling.TypeRestart, signaling.TypeBye:
		if w.session != nil && m.Session == w.session.handshake.Session {
			w.follow(m.From)
			return w.hear(m)
		}
	}
	return nil
}

// follow notes that the session's camera has another id: its socket was replaced.
func (w *watcher) follow(id string) {
	s := w.session
	i := slices.IndexFunc(w.cameras, func(c signaling.Camera) bool { return c.ID == id })
	if i < 0 || id == s.camera.ID || (w.cameras[i].Nonce == "") != (s.camera.Nonce == "") {
		return
	}
	s.camera, s.handshake.Nonce = w.cameras[i], w.cameras[i].Nonce
}

// hear takes what the camera says about the session.
func (w *watcher) hear(m signaling.Message) error {
	s := w.session
	switch m.Type {
	case signaling.TypeAnswer:
		return w.answer(m)
	case signaling.TypeCandidate:
		var c webrtc.ICECandidateInit
		if json.Unmarshal(m.Candidate, &c) != nil || c.Candidate == "" {
			return nil
		}
		if s.answered {
			w.candidate(c)
		} else if len(s.held) < heldCandidates {
			s.held = append(s.held, c)
		}
	case signaling.TypeRestart:
		s.answered = false
		if err := s.viewer.SetICEServers(w.ice); err != nil {
			w.log.Warn("the server's ICE servers cannot be used; those from before are", "err", err)
		}
		return w.offer(true)
	case signaling.TypeBye:
		w.last = &peer.Ended{Code: m.Code, Reason: m.Message}
		return w.over(m.Code, m.Message)
	}
	return nil
}

// answer uses the camera's answer once its proof is right.
func (w *watcher) answer(m signaling.Message) error {
	s := w.session
	if s.answered {
		return nil
	}
	if w.link.key != nil {
		h, err := s.handshake, error(nil)
		if h.Camera, err = signaling.Fingerprint(m.SDP); err != nil {
			return fmt.Errorf("the camera's answer: %w", err)
		}
		if !w.link.key.VerifyAnswer(h, m.Proof) {
			return errors.New("the answer is not proved: the link's key does not fit this camera, or the server is not honest; nothing was shown. Ask for the present link")
		}
	}
	if err := s.viewer.Answer(m.SDP); err != nil {
		return err
	}
	s.answered = true
	for _, c := range s.held {
		w.candidate(c)
	}
	s.held = nil
	return nil
}

func (w *watcher) candidate(c webrtc.ICECandidateInit) {
	if err := w.session.viewer.Candidate(c); err != nil {
		w.log.Debug("candidate not used", "err", err) // one way fewer, no more
	}
}

// over ends the session with a code of PROTOCOL.md's bye; the error is what ends
// the command.
func (w *watcher) over(code, reason string) error {
	w.drop()
	w.attempts++
	wait := watchBackoff(w.attempts - 1)
	switch code {
	case signaling.CodeEnded:
		if w.hasSeen() && !w.stay {
			w.log.Info("the camera was stopped", "reason", reason)
			return errViewed
		}
		// It leaves the room in a moment, and comes back under another id.
		wait = max(wait, time.Second)
	case signaling.CodeProof:
		return fmt.Errorf("the camera refuses the link's key: ask for the present link (%.200q)", reason)
	case signaling.CodeBadOffer:
		return fmt.Errorf("the camera cannot answer: %.200q", reason)
	case signaling.CodeBusy:
		w.log.Warn("the camera has as many viewers as it allows; trying again", "reason", reason)
		wait = max(wait, 5*time.Second)
	default:
		w.log.Warn("the connection is over; connecting again", "code", code, "reason", reason)
	}
	w.retryAt = time.Now().Add(wait)
	return nil
}

// refused explains what a server's fatal error means for good; the others pass.
func (w *watcher) refused(m signaling.Message) error {
	switch m.Code {
	case signaling.CodeForbidden:
		if w.link.key == nil {
			return fmt.Errorf("room %s has a key, and the link none: give the whole link, in quotes, with the part after #", w.link.room)
		}
		return fmt.Errorf("the link's key is not the one of room %s: ask for the present link (%.200q)", w.link.room, m.Message)
	case signaling.CodeVersion, signaling.CodeBadRoom:
		return fmt.Errorf("the server refuses us: %.200q", m.Message)
	}
	return nil
}

// nothing explains why there has been no picture.
func (w *watcher) nothing() error {
	within := fmt.Sprintf("no picture within %v", w.patience)
	switch {
	case !w.joined():
		return fmt.Errorf("%s: the server at %s does not answer; see that it runs and that the link is right", within, w.link.server)
	case len(w.cameras) == 0:
		return fmt.Errorf("%s: no camera is on in room %s", within, w.link.room)
	}
	if _, here := w.choose(); !here {
		return fmt.Errorf("%s: no camera of room %s is called %q; there is %s", within, w.link.room, w.want, w.names())
	}
	switch {
	case w.last == nil:
	case w.last.Code == signaling.CodeBusy:
		return fmt.Errorf("%s: the camera has as many viewers as it allows (%.200q); try again later, or let it allow more", within, w.last.Reason)
	case w.last.Code == signaling.CodeEnded:
		return fmt.Errorf("%s: the camera was stopped (%.200q)", within, w.last.Reason)
	default:
		return fmt.Errorf("%s: the last connection ended with %.40q: %.200q; the camera's log may tell more", within, w.last.Code, w.last.Reason)
	}
	return fmt.Errorf("%s: no way to the camera was found; a network between may block UDP, then a TURN server helps (--turn)", within)
}

// sayRoom says once what a person waits for.
func (w *watcher) sayRoom() {
	_, here := w.choose()
	say := ""
	switch {
	case here:
	case len(w.cameras) == 0:
		say = "no camera is on in the room; waiting for one"
	default:
		say = "the camera is not in the room; waiting for it"
	}
	if say != "" && say != w.told {
		w.log.Info(say, "room", w.link.room, "cameras", w.names())
	}
	w.told = say
}

func (w *watcher) names() string {
	var names []string
	for _, c := range w.cameras {
		names = append(names, fmt.Sprintf("%q", c.Name))
	}
	return strings.Join(names, ", ")
}

func viewerICE(servers []signaling.ICEServer) []webrtc.ICEServer {
	var all []webrtc.ICEServer
	for _, s := range servers {
		all = append(all, webrtc.ICEServer{URLs: s.URLs, Username: s.Username, Credential: s.Credential})
	}
	return all
}
