package peer

import (
	"sync/atomic"
	"time"
)

// Counters count what happened in a session since it began.
type Counters struct {
	Packets, Bytes, Resent, Frames     atomic.Int64
	FramesDropped, AudioDropped        atomic.Int64
	FeedbackDropped, KeyFramesAsked    atomic.Int64
	Probes, Parity                     atomic.Int64
	Estimate, RoundTripMicros, LossPPM atomic.Int64
}

// SessionStats is what /metrics and the status line tell of a viewer.
type SessionStats struct {
	ID                      string
	To                      string // the WHIP server; "": a viewer
	Connected               bool
	Since                   time.Time
	Packets, Bytes, Resent  int64
	Frames, FramesDropped   int64
	AudioDropped, KeyFrames int64
	Probes, Parity          int64
	Estimate                int64 // bit/s
	Target                  int   // bit/s of its rung
	Rung, Layer             int
	Paused                  bool
	Why                     string // what keeps it from more; "": nothing
	RoundTrip               time.Duration
	Loss                    float64
}

// Stats tells about every session, oldest first.
func (p *Publisher) Stats() []SessionStats {
	var all []SessionStats
	for _, s := range *p.list.Load() {
		c := &s.counters
		sel := s.selection.Load()
		if sel == nil {
			sel = &selection{}
		}
		all = append(all, SessionStats{
			Rung: sel.rung, Layer: sel.layer, Paused: sel.paused, Why: sel.why, Target: p.rate(sel.rung), Probes: c.Probes.Load(), Parity: c.Parity.Load(),
			ID: s.id, To: s.signal.To, Connected: s.connected.Load(), Since: s.started,
			Packets: c.Packets.Load(), Bytes: c.Bytes.Load(), Resent: c.Resent.Load(),
			Frames: c.Frames.Load(), FramesDropped: c.FramesDropped.Load(), AudioDropped: c.AudioDropped.Load(), KeyFrames: c.KeyFramesAsked.Load(),
			Estimate: c.Estimate.Load(), RoundTrip: time.Duration(c.RoundTripMicros.Load()) * time.Microsecond, Loss: float64(c.LossPPM.Load()) / 1e6,
		})
	}
	return all
}
