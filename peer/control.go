package peer

import (
	"encoding/json"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/peercam/peercam/encode"
)

// controlLabel names the data channel that the viewer opens: statistics out,
// requests in, one JSON object a message.
const controlLabel = "control"

// maxRequest is the most bytes of a request that are looked at.
const maxRequest = 4096

// rungSize is what a viewer may choose.
type rungSize struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

// request is what a viewer says: hello, view, clock, controls, set, step or bye.
type request struct {
	Type string `json:"type"`

	// view: the picture that it asks for.
	Width     int    `json:"width"`
	Height    int    `json:"height"`
	Choice    string `json:"choice"` // auto, fixed, saver
	MaxHeight int    `json:"maxHeight"`
	Sound     bool   `json:"sound"` // somebody listens

	SentAt *float64 `json:"sentAt"` // clock

	// set and step: of which control; see Remote.
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
	By    int             `json:"by"`
}

// statsMessage is said once a second, and when what the viewer gets changes.
type statsMessage struct {
	Type     string     `json:"type"` // stats
	Viewers  int        `json:"viewers"`
	Rungs    []rungSize `json:"rungs"`
	Rung     int        `json:"rung"`
	Layer    int        `json:"layer"`
	Layers   int        `json:"layers"`
	Width    int        `json:"width"` // of the picture sent
	Height   int        `json:"height"`
	Paused   bool       `json:"paused"`
	Why      string     `json:"why"`
	Estimate int        `json:"estimate"` // bit/s
	Target   int        `json:"target"`   // bit/s of the rung
	Sent     int64      `json:"sent"`     // packets
	Resent   int64      `json:"resent"`
	Dropped  int64      `json:"dropped"` // frames not sent

	RoundTripMS float64 `json:"roundTripMs"`
	Loss        float64 `json:"loss"` // 0 to 1
	// RTPTimestamp is of a frame sent lately and Captured when it was taken, Unix
	// ms: with the stream's 90 kHz that dates every frame.
	RTPTimestamp uint32  `json:"rtpTimestamp,omitempty"`
	Captured     float64 `json:"captured,omitempty"`
}

// clockMessage answers clock: SentAt comes back as it was, with Camera, this
// machine's time in Unix ms. From the round trip a viewer learns how the two
// clocks differ, and from that and a frame's capture time how old the picture is.
type clockMessage struct {
	Type   string   `json:"type"` // clock
	SentAt *float64 `json:"sentAt,omitempty"`
	Camera float64  `json:"camera"`
}

type byeMessage struct {
	Type    string `json:"type"` // bye
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Each change of a wish may cost others a key frame: more than looksRate a second, and
// looksBurst at once, wait for the next second; the last one counts.
const (
	looksRate  = 5
	looksBurst = 10
)

// openControl attaches the viewer's channel.
func (s *Session) openControl(d *webrtc.DataChannel) {
	if d.Label() != controlLabel && s.p.c.Chat != nil {
		s.openChat(d)
		return
	}
	if d.Label() != controlLabel {
		_ = d.Close() // nothing else is spoken here
		return
	}
	d.OnOpen(func() { s.post(func() { s.control = d; s.sendStats() }) })
	d.OnMessage(func(m webrtc.DataChannelMessage) {
		var c request
		if !m.IsString || len(m.Data) > maxRequest || json.Unmarshal(m.Data, &c) != nil {
			return // a viewer that talks nonsense is still a viewer
		}
		switch c.Type {
		case "bye":
			s.end("left", "the viewer went away")
		case "view":
			w := wishOf(&c)
			if s.later.Store(&w); s.looks.Allow() {
				s.later.Store(nil)
				s.p.look(s, w)
			}
			s.post(func() { s.listening = c.Sound; s.hold(s.held) })
		case "clock":
			now := s.p.clock.unixMilli(time.Now())
			s.post(func() { s.say(clockMessage{Type: "clock", SentAt: c.SentAt, Camera: now}) })
		case "controls", "set", "step":
			s.p.remotes.ask(time.Now(), s, c)
		}
	})
}

// mend lets the repair of losses follow what the link loses.
func (s *Session) mend(now time.Time) {
	loss, round := s.estimator.Loss(), s.estimator.round()
	worth := s.video.hasFEC && s.protection.worth(s.estimator.Burst(), round)
	narrow := s.video.hasTransport && s.estimate.Load() < s.demand.Load()
	s.held = s.playout.next(now, way{loss: loss, round: round, protected: worth, narrow: narrow})
	s.hold(s.held)
	s.protection.on, s.protection.loss = worth && s.playout.delay > 0, loss
	s.protection.roomy = s.video.hasTransport && hasRoom(int(s.estimate.Load()), int(s.demand.Load()), int(s.parityShare.Load()))
	if share := s.protection.share(); s.parityShare.Swap(int64(share)) != int64(share) {
		s.p.adapt(now, false)
	}
}

// hold tells the viewer how long to hold pictures: while somebody listens they
// may wait for the sound.
func (s *Session) hold(delay time.Duration) {
	// A bearer that knows no RTX gets its packets again as they were: under the
	// same number, which is the nonce, no byte may change.
	if s.video.bound.Load() && s.video.setPlayout(playoutDelay(delay, s.listening)) && !s.video.hasRTX {
		s.history.clear()
	}
}

// wishOf reads a view message: no size at all means that nobody sees the
// picture. Sizes beyond reason are none.
func wishOf(c *request) wish {
	w := wish{hidden: c.Width <= 0 || c.Height <= 0, saver: c.Choice == "saver"}
	if c.Width > 0 && c.Width <= maxViewSide && c.Height > 0 && c.Height <= maxViewSide {
		w.width, w.height = c.Width, c.Height
	}
	if c.Choice == "fixed" {
		w.maxHeight = max(c.MaxHeight, 1)
	}
	return w
}

// maxViewSide is the largest side in pixels that a viewer is believed.
const maxViewSide = 1 << 15

// look notes what a viewer asks of its picture.
func (p *Publisher) look(s *Session, w wish) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.seat.wish != w {
		s.seat.wish = w
		p.allocate(time.Now())
	}
}

func (s *Session) sendStats() {
	if s.control == nil {
		return
	}
	m := statsMessage{
		Type: "stats", Viewers: s.p.Viewers(), Estimate: s.estimator.Target(),
		Width: s.size.Width, Height: s.size.Height,
		Sent: s.counters.Packets.Load(), Resent: s.counters.Resent.Load(), Dropped: s.counters.FramesDropped.Load(),
		RoundTripMS: float64(s.rtt) / float64(time.Millisecond), Loss: s.estimator.Loss(),
	}
	for _, r := range s.p.c.Video.Rungs() {
		m.Rungs = append(m.Rungs, rungSize(r))
	}
	if sel := s.selection.Load(); sel != nil {
		m.Rung, m.Layer, m.Layers, m.Paused, m.Why = sel.rung, sel.layer, len(encode.LayerShare), sel.paused, sel.why
		m.Target = s.p.rate(sel.rung)
	}
	if s.video.packets > 0 {
		m.RTPTimestamp, m.Captured = s.video.last.timestamp, s.p.clock.unixMilli(s.video.last.time)
	}
	s.say(m)
}

// say sends a message unless the channel is backed up.
func (s *Session) say(m any) {
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
	s.say(byeMessage{Type: "bye", Code: s.endCode, Message: s.endReason})
	flushed(s.control)
}

// flushed waits until what was sent has arrived, for byeTime at most.
func flushed(d *webrtc.DataChannel) {
	heard := make(chan struct{}, 1)
	d.SetBufferedAmountLowThreshold(0)
	d.OnBufferedAmountLow(func() {
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	late := time.NewTimer(byeTime)
	defer late.Stop()
	for d.BufferedAmount() > 0 {
		select {
		case <-heard:
		case <-late.C:
			return
		}
	}
}
