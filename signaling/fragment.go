package signaling

import (
	"fmt"
	"strings"
)

const (
	// maxFragment is the size of a fragment in bytes, fragmentCandidates how many
	// candidates it may hold.
	maxFragment        = 16 << 10
	fragmentCandidates = 64
)

// fragment is what a player trickles: application/trickle-ice-sdpfrag (RFC 8840,
// section 9), in which all media share one ICE session, as they do where they are
// bundled.
type fragment struct {
	ufrag, pwd string
	candidates []midCandidate
	end        bool // there are no more
}

// midCandidate is a candidate of a media section.
type midCandidate struct{ mid, candidate string }

// parseFragment reads a fragment. Attributes that are not about ICE are left out.
func parseFragment(text string) (f fragment, err error) {
	mid, inMedia := "", false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		kind, value, ok := strings.Cut(line, "=")
		switch {
		case line == "":
		case !ok || len(kind) != 1 || !printable(line):
			return f, fmt.Errorf("%.60q is no line of SDP", line)
		case kind == "m":
			mid, inMedia = "", true
		case kind == "a":
			name, value, _ := strings.Cut(value, ":")
			if name == "mid" {
				mid = value
			}
			if err := f.attribute(name, value, mid, inMedia); err != nil {
				return f, err
			}
		}
	}
	if f.ufrag == "" || f.pwd == "" {
		return f, fmt.Errorf("it names no ICE session: a=ice-ufrag and a=ice-pwd are missing")
	}
	return f, nil
}

func (f *fragment) attribute(name, value, mid string, inMedia bool) error {
	switch name {
	case "ice-ufrag":
		return once(&f.ufrag, value, name, 4)
	case "ice-pwd":
		return once(&f.pwd, value, name, 22)
	case "end-of-candidates":
		f.end = true
	case "candidate":
		switch {
		case !inMedia || mid == "":
			return fmt.Errorf("a candidate stands before any m= line with its a=mid")
		case len(strings.Fields(value)) < 8:
			return fmt.Errorf("%.60q is no candidate", value)
		case len(f.candidates) == fragmentCandidates:
			return fmt.Errorf("it holds more than %d candidates", fragmentCandidates)
		}
		f.candidates = append(f.candidates, midCandidate{mid, "candidate:" + value})
	}
	return nil
}

// once sets a credential, which must be the same wherever it stands.
func once(to *string, value, name string, least int) error {
	if len(value) < least || len(value) > 256 || strings.Trim(value, iceChars) != "" {
		return fmt.Errorf("a=%s is not %d to 256 letters, digits, + and /", name, least)
	}
	if *to != "" && *to != value {
		return fmt.Errorf("a=%s stands for two ICE sessions: media must be bundled", name)
	}
	*to = value
	return nil
}

const iceChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// fragmentOf is the ICE of an answer as a fragment.
func fragmentOf(sdp string) string {
	var b strings.Builder
	sections, seen := 0, map[string]bool{}
	for line := range strings.Lines(sdp) {
		line = strings.TrimRight(line, "\r\n")
		name, _, _ := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(line, "m="):
			sections++
		case name == "a=ice-lite", name == "a=group":
		case name == "a=ice-ufrag", name == "a=ice-pwd":
			if seen[name] {
				continue
			}
			seen[name] = true
		case name == "a=mid", name == "a=candidate", name == "a=end-of-candidates":
		default:
			continue
		}
		if sections <= 1 { // the others are bundled with the first
			b.WriteString(line + "\r\n")
		}
	}
	return b.String()
}

// iceOf finds the ICE credentials of an SDP, and its media sections.
func iceOf(sdp string) (ufrag, pwd string, mids []string) {
	for line := range strings.Lines(sdp) {
		line = strings.TrimRight(line, "\r\n")
		if v, ok := strings.CutPrefix(line, "a=ice-ufrag:"); ok && ufrag == "" {
			ufrag = v
		} else if v, ok := strings.CutPrefix(line, "a=ice-pwd:"); ok && pwd == "" {
			pwd = v
		} else if v, ok := strings.CutPrefix(line, "a=mid:"); ok {
			mids = append(mids, v)
		}
	}
	return ufrag, pwd, mids
}

// restarted is an offer with the ICE of a fragment instead of its own.
func restarted(offer string, f fragment) string {
	var b strings.Builder
	for line := range strings.Lines(offer) {
		line = strings.TrimRight(line, "\r\n")
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "a=ice-ufrag":
			line = name + ":" + f.ufrag
		case "a=ice-pwd":
			line = name + ":" + f.pwd
		case "a=candidate", "a=end-of-candidates":
			continue
		}
		b.WriteString(line + "\r\n")
		if name != "a=mid" {
			continue
		}
		for _, c := range f.candidates {
			if c.mid == value {
				b.WriteString("a=" + c.candidate + "\r\n")
			}
		}
		if f.end {
			b.WriteString("a=end-of-candidates\r\n")
		}
	}
	return b.String()
}
