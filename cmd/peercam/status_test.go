package main

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// On a terminal there are a code to scan, and one line that tells how it goes.
func TestATerminalShowsCodeAndStatus(t *testing.T) {
	screen := &transcript{}
	p := start(t, environment{stderr: &statusWriter{w: screen}}, "share", "--camera", "test", "--mic", "test", "--size", "640x360",
		"--open", "--room", "kitchen", "--listen", "127.0.0.1:0", "--linger", "100ms")
	shows := func(pattern string) {
		t.Helper()
		want := regexp.MustCompile(pattern)
		eventually(t, "the terminal shows "+pattern, func() bool { return want.MatchString(screen.String()) })
	}
	shows(`○ 0 viewers · camera closed`)
	player := play(t, p.at("/whep/kitchen"))
	player.watch()
	shows(`● 1 viewer · 640x360 · \d+\.\d fps · [1-9]\d* kbit/s · rung 360p`)
	request(t, "DELETE", p.at(player.where), "")
	eventually(t, "the line says that nobody watches", func() bool {
		_, line := lastCut(screen.String(), eraseLine)
		return line == "○ 0 viewers · camera closed"
	})
	p.stop()
	if text := screen.String(); !strings.HasSuffix(text, eraseLine) && !strings.HasSuffix(text, "\n") {
		t.Errorf("the status line is left behind: %q", text[max(0, len(text)-80):])
	}

	width := 0
	for line := range strings.Lines(screen.String()) {
		if !strings.Contains(line, "█") {
			continue
		}
		n := utf8.RuneCountInString(line)
		if width != 0 && n != width {
			t.Errorf("the code has lines of %d and %d characters", width, n)
		}
		width = n
	}
	if width < 25 {
		t.Errorf("the code is %d characters wide", width)
	}
}

func lastCut(s, sep string) (before, after string) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):]
	}
	return "", s
}
