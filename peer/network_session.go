package peer

import (
	"net/netip"
	"time"

	"github.com/pion/webrtc/v4"
)

const (
	// doubtTime is how long after a change of the network a session is watched,
	// and doubtSilence how long it may then hear nothing: a viewer that receives
	// reports several times a second.
	doubtTime    = 10 * time.Second
	doubtSilence = time.Second
	// restartTime is how long an ICE restart may take before another is asked for.
	restartTime = 2 * time.Second
)

// Moved tells every session that the machine's addresses have changed. Those that
// cannot go on as they are ask their viewers for an ICE restart.
func (p *Publisher) Moved(m Move) {
	for _, s := range *p.list.Load() {
		s.post(func() { s.moved(time.Now(), m) })
	}
}

// moved asks for an ICE restart if the session's own address is gone. Otherwise
// the way may have changed below it, as with a VPN: that is seen by the silence.
func (s *Session) moved(now time.Time, m Move) {
	s.doubted = now
	if own := s.localAddr(); !own.IsValid() || m.Lost(own) {
		s.askRestart(now, "its address is gone")
	}
}

// doubt is called once a second.
func (s *Session) doubt(now time.Time) {
	if !s.doubted.IsZero() && now.Sub(s.doubted) < doubtTime && now.Sub(s.lastHeard) > doubtSilence && now.Sub(s.restarted) > restartTime {
		s.askRestart(now, "nothing was heard since the network changed")
	}
}

func (s *Session) askRestart(now time.Time, why string) {
	if s.signal.Restart == nil {
		return
	}
	s.restarted = now
	s.log.Info("asking the viewer for an ICE restart", "why", why)
	s.signal.Restart()
}

// localAddr is the address of this machine that the session sends from; zero
// while it is not known.
func (s *Session) localAddr() netip.Addr {
	pair := s.pair()
	if pair == nil {
		return netip.Addr{}
	}
	text := pair.Local.Address
	if pair.Local.Typ != webrtc.ICECandidateTypeHost {
		text = pair.Local.RelatedAddress // of the socket
	}
	a, _ := netip.ParseAddr(text)
	return a.Unmap()
}

// pair is the chosen pair of candidates, nil while there is none.
func (s *Session) pair() *webrtc.ICECandidatePair {
	transport := s.sender.Transport()
	if transport == nil {
		return nil
	}
	pair, err := transport.ICETransport().GetSelectedCandidatePair()
	if err != nil {
		return nil
	}
	return pair
}
