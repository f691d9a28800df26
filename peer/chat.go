package peer

import (
	"slices"
	"unicode/utf8"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

const (
	// chatLabel names the data channel of text that we open; a viewer's may be
	// called whatever it likes, but controlLabel.
	chatLabel = "chat"
	// maxChat is the most bytes of a message.
	maxChat = 4096
)

// openChat attaches a channel of plain text: a message is a line. The last one
// that was opened is the one that is written to.
func (s *Session) openChat(d *webrtc.DataChannel) {
	d.OnOpen(func() { s.chat.Store(d) })
	d.OnMessage(func(m webrtc.DataChannelMessage) { s.hearChat(m.Data) })
}

// hearChat hands a message on. What is no text is dropped.
func (s *Session) hearChat(text []byte) {
	if len(text) > 0 && len(text) <= maxChat && utf8.Valid(text) {
		s.p.c.Chat(s.id, string(text))
	}
}

// Say sends a line of text to every viewer that has a channel for it, and
// returns to how many.
func (p *Publisher) Say(text string) int {
	n := 0
	for _, s := range *p.list.Load() {
		d := s.chat.Load()
		if d == nil || d.ReadyState() != webrtc.DataChannelStateOpen || d.BufferedAmount() > 64<<10 {
			continue
		}
		if d.SendText(text) == nil {
			n++
		}
	}
	return n
}

// onlyChat tells whether an offer asks for neither picture nor sound, but for
// data channels.
func onlyChat(text string) bool {
	var s sdp.SessionDescription
	if len(text) > maxOffer || s.UnmarshalString(text) != nil {
		return false
	}
	return len(s.MediaDescriptions) > 0 && !slices.ContainsFunc(s.MediaDescriptions, func(m *sdp.MediaDescription) bool {
		return m.MediaName.Media != "application"
	})
}
