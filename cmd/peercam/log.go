package main

import (
	"io"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/term"
)

// newLog makes the logger. Its writer knows of the status line below the logs.
func newLog(w io.Writer, level, format string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // the command line has checked it
	o := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// isTerminal tells whether a person reads w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// statusWriter keeps one line at the bottom of a terminal, below what is
// written through it.
type statusWriter struct {
	mu   sync.Mutex
	w    io.Writer
	line string
}

const eraseLine = "\r\x1b[K"

// Write puts b above the status line.
func (s *statusWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != "" {
		if _, err := io.WriteString(s.w, eraseLine); err != nil {
			return 0, err
		}
	}
	n, err := s.w.Write(b)
	if err == nil && s.line != "" {
		_, err = io.WriteString(s.w, s.line)
	}
	return n, err
}

// show replaces the status line; "" takes it away.
func (s *statusWriter) show(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if line == s.line {
		return
	}
	s.line = line
	_, _ = io.WriteString(s.w, eraseLine+line) // a terminal that is gone is no reason to stop
}
