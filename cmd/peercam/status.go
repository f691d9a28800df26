package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"rsc.io/qr"
)

// showLink prints the link's QR code where a person sees it.
func showLink(w io.Writer, link string) {
	if status, ok := w.(*statusWriter); ok {
		if code, err := qr.Encode(link, qr.L); err == nil {
			_, _ = io.WriteString(status, qrText(code)) // only decoration
		}
	}
}

// qrText draws a code with two modules a character, light on dark with the
// quiet zone that scanners need.
func qrText(c *qr.Code) string {
	const quiet = 2
	dark := func(x, y int) bool { return x >= 0 && y >= 0 && x < c.Size && y < c.Size && c.Black(x, y) }
	var b strings.Builder
	for y := -quiet; y < c.Size+quiet; y += 2 {
		b.WriteString("  ")
		for x := -quiet; x < c.Size+quiet; x++ {
			switch top, bottom := dark(x, y), dark(x, y+1) || y+1 >= c.Size+quiet; {
			case top && bottom:
				b.WriteString(" ")
			case top:
				b.WriteString("▄")
			case bottom:
				b.WriteString("▀")
			default:
				b.WriteString("█")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// showStatus keeps the status line current until ctx is done, where stderr is
// a terminal.
func showStatus(ctx context.Context, w io.Writer, m *monitor) error {
	status, ok := w.(*statusWriter)
	if !ok {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, at := m.bytes(), time.Now()
	status.show(m.line(0))
	for {
		select {
		case <-ctx.Done():
			status.show("")
			return nil
		case now := <-tick.C:
			bytes := m.bytes()
			status.show(m.line(float64(bytes-last) * 8 / 1000 / now.Sub(at).Seconds()))
			last, at = bytes, now
		}
	}
}

// line is the status in one line; kbps is what the encoders put out.
func (m *monitor) line(kbps float64) string {
	l := m.ladder.Stats()
	viewers := m.pub.Viewers()
	if !l.Open {
		return fmt.Sprintf("○ %s · camera closed", plural(viewers, "viewer"))
	}
	line := fmt.Sprintf("● %s · %dx%d · %.1f fps · %.0f kbit/s", plural(viewers, "viewer"), l.Width, l.Height, l.FPS, kbps)
	for i, size := range m.ladder.Rungs() {
		if l.Rungs[i].Wanted {
			line += fmt.Sprintf(" · rung %dp", size.Height)
		}
	}
	if relief := l.Relief.String(); relief != "" {
		line += " · too slow for all: " + relief
	}
	return line
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
