package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/peercam/peercam/peer"
)

// viewFigures are what a person wants to know of a second.
type viewFigures struct {
	Connected   bool     `json:"connected"`
	Width       int      `json:"width"`
	Height      int      `json:"height"`
	FPS         float64  `json:"fps"`
	Kbps        float64  `json:"kbps"` // of the picture
	AudioKbps   float64  `json:"audioKbps"`
	AgeMs       *float64 `json:"ageMs,omitempty"` // of the last picture when it was whole
	Loss        float64  `json:"loss"`            // of the packets, 0 to 1; most are sent again
	Gaps        int64    `json:"gaps"`            // in all: pictures were given up
	Frames      int64    `json:"frames"`          // in all
	RoundTripMs *float64 `json:"roundTripMs,omitempty"`
	Rung        int      `json:"rung"` // of rungs, 0 the largest
	Rungs       int      `json:"rungs"`
	Paused      bool     `json:"paused"`
	Why         string   `json:"why,omitempty"` // what keeps it from more
	Dropped     int64    `json:"dropped"`       // in all: what is written to did not keep up
}

// figuresOf compares two looks, so long apart.
func figuresOf(before, now peer.ViewerStats, d time.Duration) viewFigures {
	per := func(a, b int64) float64 { return max(0, float64(b-a)/d.Seconds()) }
	f := viewFigures{
		Connected: now.Connected, Width: now.Width, Height: now.Height, Frames: now.Frames, Gaps: now.Gaps,
		FPS:  per(before.Frames, now.Frames),
		Kbps: per(before.Bytes, now.Bytes) * 8 / 1000, AudioKbps: per(before.AudioBytes, now.AudioBytes) * 8 / 1000,
		Rung: now.Camera.Rung, Rungs: len(now.Camera.Rungs), Paused: now.Camera.Paused, Why: knownWhy(now.Camera.Why),
	}
	if packets := now.Packets - before.Packets; packets > 0 {
		f.Loss = min(max(0, float64(now.Lost-before.Lost)/float64(packets)), 1)
	}
	if now.Age != 0 {
		ms := float64(now.Age.Microseconds()) / 1000
		f.AgeMs = &ms
	}
	if now.RoundTrip != 0 {
		ms := float64(now.RoundTrip.Microseconds()) / 1000
		f.RoundTripMs = &ms
	}
	return f
}

// knownWhy drops what is none of the protocol's reasons: the text is a stranger's,
// and goes to the terminal.
func knownWhy(why string) string {
	switch why {
	case "bandwidth", "choice", "window", "machine":
		return why
	}
	return ""
}

// line is the status in one line.
func (f viewFigures) line() string {
	if !f.Connected {
		return "○ connecting"
	}
	line := fmt.Sprintf("● %dx%d · %.1f fps · %.0f kbit/s", f.Width, f.Height, f.FPS, f.Kbps)
	if f.Paused {
		line = "◌ paused"
	}
	if f.AgeMs != nil {
		line += fmt.Sprintf(" · age %.0f ms", *f.AgeMs)
	}
	line += fmt.Sprintf(" · loss %.1f %%", 100*f.Loss)
	if f.Rungs > 1 {
		line += fmt.Sprintf(" · rung %d of %d", f.Rung+1, f.Rungs)
	}
	if f.Why != "" {
		line += " (" + f.Why + ")"
	}
	if f.RoundTripMs != nil {
		line += fmt.Sprintf(" · rtt %.0f ms", *f.RoundTripMs)
	}
	if f.Dropped > 0 {
		line += fmt.Sprintf(" · %d not written", f.Dropped)
	}
	return line
}

// showStatus keeps the status line current, where stderr is a terminal, and
// prints figures with --json, until ctx is done.
func (c *viewCommand) showStatus(ctx context.Context, env environment, w *watcher) error {
	status, _ := env.stderr.(*statusWriter)
	var out io.Writer
	if c.JSON {
		out = env.stdout
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before, at := w.stats(), time.Now()
	for {
		select {
		case <-ctx.Done():
			if status != nil {
				status.show("")
			}
			s := w.stats()
			w.log.Info("watched", "frames", s.Frames, "lost_packets", s.Lost, "gaps", s.Gaps, "not_written", w.sink.dropped.Load())
			return nil
		case now := <-tick.C:
			s := w.stats()
			f := figuresOf(before, s, now.Sub(at))
			f.Dropped = w.sink.dropped.Load()
			before, at = s, now
			if status != nil {
				status.show(f.line())
			}
			if out == nil {
				continue
			}
			if err := json.NewEncoder(out).Encode(f); err != nil {
				return fmt.Errorf("printing statistics: %w", err)
			}
		}
	}
}
