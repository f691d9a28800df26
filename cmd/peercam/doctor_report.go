package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// verdict tells how a check came out.
type verdict string

const (
	fine    verdict = "ok"
	warning verdict = "warning" // sharing works, something does not
	problem verdict = "problem" // sharing does not work
)

// finding is what a check has found.
type finding struct {
	Name    string  `json:"name"`
	Verdict verdict `json:"verdict"`
	// Summary is what was found, in one line.
	Summary string `json:"summary"`
	// Details are further lines.
	Details []string `json:"details,omitempty"`
	// Remedy is what to do, in one line; "" when all is well.
	Remedy string `json:"remedy,omitempty"`
	// Took is how long the check took.
	Took time.Duration `json:"-"`
}

// MarshalJSON adds the time in milliseconds.
func (f finding) MarshalJSON() ([]byte, error) {
	type fields finding
	return json.Marshal(struct {
		fields
		Milliseconds int64 `json:"ms"`
	}{fields(f), f.Took.Milliseconds()})
}

// diagnosis is all that `peercam doctor` has found.
type diagnosis struct {
	Version string    `json:"version"`
	System  string    `json:"system"`
	OK      bool      `json:"ok"` // nothing is in the way of sharing
	Checks  []finding `json:"checks"`
}

func (r diagnosis) count() (problems, warnings int) {
	for _, f := range r.Checks {
		switch f.Verdict {
		case problem:
			problems++
		case warning:
			warnings++
		}
	}
	return problems, warnings
}

func (r diagnosis) json(w io.Writer) error {
	problems, _ := r.count()
	r.OK = problems == 0
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// marks stand before a check's name, with the colour they have on a terminal.
var marks = map[verdict]struct{ sign, colour string }{
	fine: {"✓", "32"}, warning: {"!", "33"}, problem: {"✗", "31"},
}

// text prints it for a person.
func (r diagnosis) text(w io.Writer, colours bool) error {
	paint := func(code, s string) string {
		if !colours {
			return s
		}
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	width := 0
	for _, f := range r.Checks {
		width = max(width, utf8.RuneCountInString(f.Name))
	}
	indent := strings.Repeat(" ", width+6)
	var b strings.Builder
	fmt.Fprintf(&b, "peercam %s on %s\n\n", r.Version, r.System)
	for _, f := range r.Checks {
		m := marks[f.Verdict]
		fmt.Fprintf(&b, "  %s %s  %s\n", paint(m.colour, m.sign), paint("1", fmt.Sprintf("%-*s", width, f.Name)), oneLine(f.Summary))
		for _, d := range f.Details {
			fmt.Fprintf(&b, "%s%s\n", indent, paint("2", oneLine(d)))
		}
		if f.Remedy != "" {
			fmt.Fprintf(&b, "%s%s %s\n", indent, paint(m.colour, "→"), oneLine(f.Remedy))
		}
	}
	b.WriteString("\n")
	switch problems, warnings := r.count(); {
	case problems > 0:
		fmt.Fprintf(&b, "%s, %s.\n", paint("31", plural(problems, "problem")), plural(warnings, "warning"))
	case warnings > 0:
		fmt.Fprintf(&b, "Ready, with %s: run peercam\n", paint("33", plural(warnings, "warning")))
	default:
		fmt.Fprintf(&b, "%s: run peercam\n", paint("32", "Ready"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// oneLine keeps what joined errors and drivers say from breaking the table,
// and from reaching the terminal as control codes.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ReplaceAll(s, "\n", "; "))
}
