package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"rsc.io/qr"

	"github.com/peercam/peercam/capture"
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
	last, at, kbps := m.bytes(), time.Now(), 0.0
	for {
		status.show(m.line(kbps) + m.whips.line())
		select {
		case <-ctx.Done():
			status.show("")
			return nil
		case <-m.refresh:
		case now := <-tick.C:
			bytes := m.bytes()
			kbps = float64(bytes-last) * 8 / 1000 / now.Sub(at).Seconds()
			last, at = bytes, now
		}
	}
}

// line is the status in one line; kbps is what the encoders put out.
func (m *monitor) line(kbps float64) string {
	l := m.ladder.Stats()
	line := "● " + plural(m.pub.Viewers(), "viewer")
	switch trouble := capture.TroubleOf(m.src.video); {
	case m.src.privacy.On():
		return "○" + strings.TrimPrefix(line, "●") + " · privacy: camera and microphone are closed"
	case !l.Open:
		return "○" + strings.TrimPrefix(line, "●") + " · camera closed" + m.soundLine()
	case trouble != "":
		return line + " · no picture: " + firstLine(trouble) + m.soundLine()
	}
	line += fmt.Sprintf(" · %dx%d · %.1f fps · %.0f kbit/s", l.Width, l.Height, l.FPS, kbps)
	for i, size := range m.ladder.Rungs() {
		if l.Rungs[i].Wanted {
			line += fmt.Sprintf(" · rung %dp", size.Height)
		}
	}
	if relief := l.Relief.String(); relief != "" {
		line += " · too slow for all: " + relief
	}
	return line + m.soundLine()
}

// soundLine says what is to be known of the microphone: nothing while all is
// well.
func (m *monitor) soundLine() string {
	switch {
	case m.src.audio == nil:
		return ""
	case m.src.audio.Muted():
		return " · microphone muted"
	case m.src.audio.Err() != nil:
		return " · no sound: " + firstLine(m.src.audio.Err().Error())
	}
	return ""
}

// firstLine is as much of a text as a line has room for.
func firstLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if runes := []rune(text); len(runes) > 80 {
		text = string(runes[:79]) + "…"
	}
	return text
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
