package peer

import (
	"encoding/json"
	"time"

	"github.com/pion/webrtc/v4"
)

// ViewerStats is how a connection does.
type ViewerStats struct {
	Connected bool
	// Heard is when something last came from the camera, media or a word.
	Heard             time.Time
	Frames            int64 // handed over
	Bytes, AudioBytes int64 // payload
	// Packets of video there were by their numbers, and of those how many did not
	// come at first; Gaps is how often it was given up on some.
	Packets, Lost, Gaps int64
	Width, Height       int // of the picture
	// Age is how old the last picture was when it was whole; 0: not known.
	Age       time.Duration
	RoundTrip time.Duration // 0: not known
	Camera    CameraReport
}

// CameraReport is the camera's stats message, see PROTOCOL.md. The zero value:
// none has come.
type CameraReport struct {
	Viewers int        `json:"viewers"`
	Rungs   []rungSize `json:"rungs"`
	Rung    int        `json:"rung"`
	Layer   int        `json:"layer"`
	Layers  int        `json:"layers"`
	Paused  bool       `json:"paused"`
	Why     string     `json:"why"`
}

// View is what a viewer asks of its picture, as in PROTOCOL.md: the zero value
// is whatever the link carries.
type View struct {
	Saver     bool // the smallest rung, with fewer frames
	MaxHeight int  // pixels; 0: any
}

// Stats tells how the connection does.
func (v *Viewer) Stats() ViewerStats {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.stats
}

func (v *Viewer) update(f func(*ViewerStats)) {
	v.mu.Lock()
	f(&v.stats)
	v.mu.Unlock()
}

func (v *Viewer) greet() {
	v.say(map[string]any{"type": "hello", "version": 1})
	if v.c.View != (View{}) {
		// Nobody knows how large a recording will be watched, so the size is any.
		m := map[string]any{"type": "view", "width": maxViewSide, "height": maxViewSide, "choice": "auto"}
		switch {
		case v.c.View.Saver:
			m["choice"] = "saver"
		case v.c.View.MaxHeight > 0:
			m["choice"], m["maxHeight"] = "fixed", v.c.View.MaxHeight
		}
		v.say(m)
	}
	v.askClock(time.Now())
}

func (v *Viewer) askClock(now time.Time) {
	v.asked = now
	sent := unixMilli(now)
	v.say(clockMessage{Type: "clock", SentAt: &sent})
}

func unixMilli(t time.Time) float64 { return float64(t.UnixNano()) / 1e6 }

func milliTime(ms float64) time.Time { return time.UnixMicro(int64(ms * 1000)) }

// hear takes a message of the camera.
func (v *Viewer) hear(now time.Time, data []byte) {
	var head struct{ Type, Code, Message string }
	if json.Unmarshal(data, &head) != nil {
		return // from a later version, perhaps
	}
	v.update(func(s *ViewerStats) { s.Heard = now })
	switch head.Type {
	case "bye":
		v.stop(head.Code, head.Message)
	case "stats":
		var r CameraReport
		if json.Unmarshal(data, &r) == nil {
			v.update(func(s *ViewerStats) { s.Camera = r })
		}
	case "clock":
		var c clockMessage
		if json.Unmarshal(data, &c) != nil || c.SentAt == nil {
			return
		}
		asked := milliTime(*c.SentAt)
		if trip := now.Round(0).Sub(asked); trip < 0 || trip > 10*time.Second {
			return // not what we asked, or our clock was set
		}
		v.clock.note(asked, now.Round(0), milliTime(c.Camera))
		v.update(func(s *ViewerStats) { s.RoundTrip = v.clock.last })
	}
}

// say sends a message unless the channel is not open.
func (v *Viewer) say(m any) {
	if v.control.ReadyState() != webrtc.DataChannelStateOpen {
		return
	}
	b, err := json.Marshal(m)
	if err != nil {
		return
	}
	_ = v.control.SendText(string(b)) // the connection is over, then
}

// sayBye lets the camera close at once, rather than when it notices silence.
func (v *Viewer) sayBye() {
	if v.control.ReadyState() != webrtc.DataChannelStateOpen {
		return
	}
	v.say(map[string]string{"type": "bye"})
	flushed(v.control)
}
