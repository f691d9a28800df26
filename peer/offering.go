package peer

import (
	"context"
	"fmt"

	"github.com/pion/webrtc/v4"
)

// Offer makes a session that we offer, for a viewer that answers by hand: with a
// picture, sound where there is some, a data channel for text, and all candidates
// that are known when ctx is done. Accept takes the answer.
func (p *Publisher) Offer(ctx context.Context, id string, signal Signal) (string, error) {
	s, _, err := p.session(id, offered{audio: true}, signal)
	if err != nil {
		return "", err
	}
	offer, err := s.offer(ctx)
	if err != nil {
		s.end("failed", err.Error())
	}
	return offer, err
}

func (s *Session) offer(ctx context.Context) (string, error) {
	d, err := s.pc.CreateDataChannel(chatLabel, nil)
	if err != nil {
		return "", fmt.Errorf("opening a data channel: %w", err)
	}
	if s.p.c.Chat != nil {
		s.openChat(d)
	}
	offer, err := s.pc.CreateOffer(nil)
	if err != nil {
		return "", fmt.Errorf("making an offer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(offer); err != nil {
		return "", fmt.Errorf("making an offer: %w", err)
	}
	return s.described(ctx, gathered)
}

// Accept takes the answer to Offer. Errors wrap ErrBadOffer, ErrNoSession, or are
// pion's; the session waits for a better answer.
func (p *Publisher) Accept(id, answer string) error {
	p.mu.Lock()
	s := p.sessions[id]
	p.mu.Unlock()
	if s == nil {
		return ErrNoSession
	}
	if len(answer) > maxOffer {
		return fmt.Errorf("%w: the answer has %d bytes, at most %d are read", ErrBadOffer, len(answer), maxOffer)
	}
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return fmt.Errorf("%w: %w", ErrBadOffer, err)
	}
	if !s.video.bound.Load() {
		s.p.look(s, wish{hidden: true}) // it takes the text only
	}
	return nil
}
