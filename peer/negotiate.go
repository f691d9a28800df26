package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pion/webrtc/v4"
	"golang.org/x/time/rate"

	"github.com/peercam/peercam/encode"
)

// newSession makes the peer connection of a session, with what its callbacks post.
func (p *Publisher) newSession(id string, asked offered, signal Signal) (*Session, error) {
	api, err := newAPI(p.c.Network, asked.passive, p.c.Settings)
	if err != nil {
		return nil, err
	}
	var servers []webrtc.ICEServer
	if p.c.ICEServers != nil {
		servers = p.c.ICEServers()
	}
	servers = slices.Concat(servers, signal.ICEServers)
	pc, err := api.NewPeerConnection(webrtc.Configuration{
		ICEServers: servers, Certificates: []webrtc.Certificate{p.cert}, BundlePolicy: webrtc.BundlePolicyMaxBundle,
	})
	if err != nil {
		return nil, fmt.Errorf("making a peer connection: %w", err)
	}
	s := &Session{
		id: id, p: p, api: api, pc: pc, signal: signal, log: p.c.Log.With("session", id[:min(6, len(id))]),
		frames: make(chan *encode.Frame, videoQueue), sound: make(chan *encode.AudioFrame, audioQueue),
		feedback: make(chan feedback, feedbackQueue), events: make(chan func(), 16),
		quit: make(chan struct{}), done: make(chan struct{}),
		started: time.Now(), pictureID: randomPictureID(), transport: newTransport(), remote: newRemoteSeat(),
		repair: repairBudget{firstRepair}, looks: rate.NewLimiter(looksRate, looksBurst),
	}
	s.startAt(p.startRate(signal.Rate))
	s.demand.Store(int64(linkDemand(p.c.MaxBitrate, audioBitrate, 0)))
	s.rung.Store(-1)
	s.sending = -1
	s.video = newTrack(webrtc.RTPCodecTypeVideo, p.cname)
	tracks := []*track{s.video}
	if asked.audio && p.c.Audio != nil {
		s.audio = newTrack(webrtc.RTPCodecTypeAudio, p.cname)
		tracks = append(tracks, s.audio)
	}
	for _, t := range tracks {
		sender, err := addTrack(pc, t, signal.To != "")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("adding the %s track: %w", t.kind, err), pc.Close())
		}
		if t == s.video {
			s.sender = sender
		}
		s.readers.Add(1)
		go s.readRTCP(sender, t, func(feedback) bool { return true })
	}
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			s.post(func() { s.onConnected(time.Now()) })
		case webrtc.PeerConnectionStateFailed:
			s.end("failed", "the connection was lost")
		case webrtc.PeerConnectionStateClosed:
			s.end("left", "the viewer closed the connection")
		}
	})
	pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if signal.Candidate == nil {
			return
		}
		if c == nil {
			signal.Candidate(nil)
			return
		}
		init := c.ToJSON()
		signal.Candidate(&init)
	})
	pc.OnDataChannel(s.openControl)
	return s, nil
}

// startAt begins the estimate at so many bit/s; nothing was sent yet.
func (s *Session) startAt(rate int) {
	s.estimator = NewEstimator(rate, leastBitrate, 2*s.p.c.MaxBitrate+audioBitrate)
	s.estimate.Store(int64(rate))
	s.pacer.set(rate, false)
}

// addTrack adds a track that answers an offer, or is offered itself.
func addTrack(pc *webrtc.PeerConnection, t *track, offered bool) (*webrtc.RTPSender, error) {
	if !offered {
		return pc.AddTrack(t)
	}
	transceiver, err := pc.AddTransceiverFromTrack(t, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return nil, err
	}
	return transceiver.Sender(), nil
}

// answer negotiates.
func (s *Session) answer(ctx context.Context, offer string, trickle bool) (string, error) {
	s.trickled.Store(0)
	var held []webrtc.ICECandidateInit
	if s.connected.Load() { // it is a restart
		s.restartAt.Store(time.Now().UnixNano())
		offer, held = holdCandidates(offer)
	}
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", fmt.Errorf("%w: %w", ErrBadOffer, err)
	}
	for _, c := range held {
		if err := s.addCandidate(c); err != nil {
			s.log.Debug("candidate not used", "err", err)
		}
	}
	// For sound that is asked for and not there pion would still promise some.
	for _, t := range s.pc.GetTransceivers() {
		if t.Sender() == nil || t.Sender().Track() == nil {
			if err := t.Stop(); err != nil {
				return "", err
			}
		}
	}
	answer, err := s.pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrBadOffer, err)
	}
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(answer); err != nil {
		return "", fmt.Errorf("%w: %w", ErrBadOffer, err)
	}
	switch {
	case s.video.bound.Load():
	case s.p.c.Chat != nil && onlyChat(offer):
		s.p.look(s, wish{hidden: true})
	default:
		return "", fmt.Errorf("%w: no VP8 stream could be agreed on", ErrBadOffer)
	}
	if trickle {
		return answer.SDP, nil
	}
	return s.described(ctx, gathered)
}

// described is our description with all candidates, or with those there are when
// ctx is done.
func (s *Session) described(ctx context.Context, gathered <-chan struct{}) (string, error) {
	select {
	case <-gathered:
		return s.pc.LocalDescription().SDP, nil
	case <-s.quit:
		return "", ErrClosed
	case <-ctx.Done():
		// A STUN server that does not answer must not cost the addresses that are
		// known.
		return s.pc.LocalDescription().SDP, nil
	}
}
