package peer

import (
	"encoding/json"
	"time"

	"github.com/pion/webrtc/v4"
)

// controlLabel names the data channel that the viewer opens: statistics out,
// requests in, one JSON object a message.
const controlLabel = "control"

// maxRequest is the most bytes of a request that are looked at.
const maxRequest = 4096

// controlMessage is what travels on the channel. Stats are sent once a second.
type controlMessage struct {
	Type string `json:"type"` // hello, clock, bye in; stats, clock, bye out

	// clock: SentAt comes back as it was, with Camera, this machine's time in Unix
	// ms. From the round trip a viewer learns how the two clocks differ, and from
	// that and a frame's capture time how old the picture is.
	SentAt *float64 `json:"sentAt,omitempty"`
	Camera float64  `json:"camera,omitempty"`

	// stats
	Viewers     int     `json:"viewers,omitempty"`
	Rung        int     `json:"rung"`
	Estimate    int     `json:"estimate,omitempty"` // bit/s
	Target      int     `json:"target,omitempty"`   // bit/s of the video encoder
	Sent        int64   `json:"sent,omitempty"`     // packets
	Resent      int64   `json:"resent,omitempty"`
	Dropped     int64   `json:"dropped,omitempty"` // frames not sent
	RoundTripMS float64 `json:"roundTripMs,omitempty"`
	Loss        float64 `json:"loss,omitempty"` // 0 to 1
	// RTPTimestamp is of a frame sent lately and Captured when it was taken, Unix
	// ms: with the stream's 90 kHz that dates every frame.
	RTPTimestamp uint32  `json:"rtpTimestamp,omitempty"`
	Captured     float64 `json:"captured,omitempty"`

	// bye
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

// openControl attaches the viewer's channel.
func (s *Session) openControl(d *webrtc.DataChannel) {
	if d.Label() != controlLabel {
		_ = d.Close() // nothing else is spoken here
		return
	}
	d.OnOpen(func() { s.post(func() { s.control = d; s.sendStats() }) })
	d.OnMessage(func(m webrtc.DataChannelMessage) {
		var c controlMessage
		if !m.IsString || len(m.Data) > maxRequest || json.Unmarshal(m.Data, &c) != nil {
			return // a viewer that talks nonsense is still a viewer
		}
		switch c.Type {
		case "bye":
			s.end("left", "the viewer went away")
		case "clock":
			now := s.p.clock.unixMilli(time.Now())
			s.post(func() { s.say(controlMessage{Type: "clock", SentAt: c.SentAt, Camera: now}) })
		}
	})
}

func (s *Session) sendStats() {
	if s.control == nil {
		return
	}
	m := controlMessage{
		Type: "stats", Viewers: s.p.Viewers(), Estimate: s.estimator.Target(), Target: s.p.VideoRate(),
		Sent: s.counters.Packets.Load(), Resent: s.counters.Resent.Load(), Dropped: s.counters.FramesDropped.Load(),
		RoundTripMS: float64(s.rtt) / float64(time.Millisecond), Loss: s.estimator.Loss(),
	}
	if s.video.packets > 0 {
		m.RTPTimestamp, m.Captured = s.video.last.timestamp, s.p.clock.unixMilli(s.video.last.time)
	}
	s.say(m)
}

// say sends a message unless the channel is backed up.
func (s *Session) say(m controlMessage) {
	if s.control == nil || s.control.ReadyState() != webrtc.DataChannelStateOpen || s.control.BufferedAmount() > 64<<10 {
		return
	}
	b, err := json.Marshal(m)
	if err != nil {
		return
	}
	_ = s.control.SendText(string(b)) // statistics: the next ones replace them
}

// byeTime is how long a goodbye may take to arrive.
const byeTime = 300 * time.Millisecond

// sayBye tells the viewer why the session ends, and waits until it has the
// message: closing the connection would drop what is still on its way.
func (s *Session) sayBye() {
	if s.control == nil || s.endCode == "left" || s.endCode == "failed" {
		return // nobody is there to hear it
	}
	heard := make(chan struct{}, 1)
	s.control.SetBufferedAmountLowThreshold(0)
	s.control.OnBufferedAmountLow(func() {
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	s.say(controlMessage{Type: "bye", Code: s.endCode, Message: s.endReason})
	late := time.NewTimer(byeTime)
	defer late.Stop()
	for s.control.BufferedAmount() > 0 {
		select {
		case <-heard:
		case <-late.C:
			return
		}
	}
}
