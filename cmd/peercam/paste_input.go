package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pion/webrtc/v4"
)

// pasteQuiet is how long nothing may follow until bare SDP, which has no end of
// its own, counts as whole.
const pasteQuiet = 700 * time.Millisecond

// typed is what came from the keyboard or a pipe.
type typed struct {
	text    string // a line without its end, or all that was pasted at once
	paste   bool   // ... which has an end
	partial bool   // a line that is still being typed, to be shown
	err     error  // the end of all: io.EOF, or why
}

// readTyped reads until the end. The channel is closed then; a read of a pipe
// cannot be interrupted, and ends with the process. Keys tells that it comes as
// it is typed, with what corrects it.
func readTyped(r io.Reader, keys bool, done <-chan struct{}) <-chan typed {
	out := make(chan typed)
	go func() {
		defer close(out)
		give := func(t typed) bool {
			select {
			case out <- t:
				return true
			case <-done:
				return false
			}
		}
		split := lineSplitter{keys: keys}
		b := make([]byte, 4096)
		for {
			n, err := r.Read(b)
			for _, t := range split.add(b[:n]) {
				if !give(t) {
					return
				}
			}
			if keys && !split.pasting && !give(typed{text: string(split.held), partial: true}) {
				return
			}
			if split.ended {
				err = io.EOF
			}
			if err != nil {
				if rest := split.rest(); rest != "" && !give(typed{text: rest}) {
					return
				}
				give(typed{err: err})
				return
			}
		}
	}()
	return out
}

// lineSplitter takes bytes apart into lines and, where a terminal marks them,
// pastes. A line longer than any description is cut.
type lineSplitter struct {
	held    []byte
	pasting bool
	keys    bool // heed the keys that correct a line
	ended   bool // ... and the one that ends all
}

// How a terminal in bracketed paste mode marks what is pasted.
const (
	pasteBegin = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

func (s *lineSplitter) add(b []byte) (all []typed) {
	if s.keys && !s.pasting && !bytes.Contains(b, []byte(pasteBegin)) {
		s.edit(b)
	} else {
		s.held = append(s.held, b...)
	}
	for {
		if s.pasting {
			i := bytes.Index(s.held, []byte(pasteEnd))
			if i < 0 && len(s.held) <= maxPaste+len(pasteEnd) {
				return all
			}
			if i < 0 { // endless: what is too much is enough to say so
				all = append(all, typed{text: string(s.held[:maxPaste+1]), paste: true})
				s.held = append(s.held[:0], s.held[len(s.held)-len(pasteEnd):]...)
				return all
			}
			all = append(all, typed{text: string(s.held[:i]), paste: true})
			s.held, s.pasting = s.held[i+len(pasteEnd):], false
			continue
		}
		end := bytes.IndexByte(s.held, '\n')
		if begin := bytes.Index(s.held, []byte(pasteBegin)); begin >= 0 && (end < 0 || begin < end) {
			s.held, s.pasting = append(s.held[:begin:begin], s.held[begin+len(pasteBegin):]...), true
			if begin > 0 { // what was typed before
				all = append(all, typed{text: string(s.held[:begin])})
				s.held = s.held[begin:]
			}
			continue
		}
		switch {
		case end >= 0:
			all = append(all, typed{text: strings.TrimSuffix(string(s.held[:end]), "\r")})
			s.held = s.held[end+1:]
		case len(s.held) > maxPaste:
			all = append(all, typed{text: string(s.held)})
			s.held = s.held[:0]
		default:
			return all
		}
	}
}

// edit takes keys: backspace and ^U correct, ^D ends; what else does not print
// is no text.
func (s *lineSplitter) edit(b []byte) {
	if len(b) == 0 || b[0] == 0x1b {
		return // an arrow, or another key that has no letter
	}
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == 0x7f || r == '\b':
			_, last := utf8.DecodeLastRune(s.held)
			s.held = s.held[:len(s.held)-last]
		case r == 0x15:
			s.held = s.held[:0]
		case r == 0x04:
			s.ended = s.ended || len(s.held) == 0
		case r == '\n' || r >= ' ':
			s.held = append(s.held, b[:n]...)
		}
		b = b[n:]
	}
}

func (s *lineSplitter) rest() string { return strings.TrimSpace(string(s.held)) }

// pasteBuffer gathers the lines of a description; pure.
type pasteBuffer struct {
	text  string
	tried int  // how long it was when it was last read
	skip  bool // of what is too long, until it is quiet
}

// pasted is what a line made of the buffer.
type pasted struct {
	description *webrtc.SessionDescription
	form        pasteForm
	say         string // the line is none of a description
	err         error
}

// add takes a line, or a whole paste.
func (b *pasteBuffer) add(t typed) pasted {
	blank := strings.TrimSpace(t.text) == ""
	switch {
	case b.skip:
		return pasted{}
	case b.text == "" && blank:
		return pasted{}
	case b.text == "" && !looksPasted(t.text):
		return pasted{say: t.text}
	case b.text == "":
		b.tried = 0
	}
	b.text += t.text + "\n"
	// Thousands of short lines must not each cost a look at all before them: what
	// ends in a short one is read when it is quiet.
	if end := t.paste || blank; end || len(b.text) > b.tried+b.tried/8 {
		b.tried = len(b.text)
		return b.look(end)
	}
	return pasted{}
}

// quiet says that nothing follows for now; end, that nothing will.
func (b *pasteBuffer) quiet(end bool) pasted {
	b.skip = false
	if b.text == "" {
		return pasted{}
	}
	if _, _, _, err := parsePaste(b.text); errors.Is(err, errPasteMore) && !end {
		return pasted{}
	}
	return b.look(true)
}

// look tries to read what is there; with end nothing will follow.
func (b *pasteBuffer) look(end bool) pasted {
	d, form, whole, err := parsePaste(b.text)
	switch {
	case err == nil && (whole || end):
		b.text = ""
		return pasted{description: &d, form: form}
	case errors.Is(err, errPasteLong):
		b.text, b.skip = "", true
		return pasted{err: err}
	case err == nil, errors.Is(err, errPasteMore) && !end:
		return pasted{}
	}
	b.text = ""
	return pasted{err: err}
}
