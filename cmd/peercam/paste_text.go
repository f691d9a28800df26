package main

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pion/webrtc/v4"
)

// A description is pasted as any of
//
//	peercam:BASE64URL            deflate (RFC 1951) of 'o' or 'a', and the SDP
//	{"type":"offer","sdp":"…"}   as JSON.stringify(pc.localDescription) has it
//	v=0…                         bare SDP
//
// with line ends and spaces wherever a terminal or a mail put them.
const (
	pastePrefix = "peercam:"
	// maxPaste is the most characters that are read, and bytes of SDP; a browser's
	// offer with many addresses has about ten thousand.
	maxPaste = 64 << 10
)

var (
	// errPasteMore says that what was pasted so far is the beginning of a description.
	errPasteMore = errors.New("the text is cut off: copy the whole of it")
	// errPasteNone says that it is no description at all.
	errPasteNone = errors.New("this is no offer and no answer")
	errPasteLong = fmt.Errorf("the text has more than %d characters, which no description has", maxPaste)
)

// pasteForm is how a description is written.
type pasteForm string

const (
	formShort pasteForm = "short"
	formJSON  pasteForm = "json"
	formSDP   pasteForm = "sdp"
)

// parsePaste reads a description. Bare SDP has no end of its own: whole is false
// then, as long as there may be more. The type of bare SDP is offer or answer
// by its a=setup.
func parsePaste(text string) (d webrtc.SessionDescription, form pasteForm, whole bool, err error) {
	if len(text) > maxPaste {
		return d, "", false, errPasteLong
	}
	text = strings.TrimSpace(text)
	if i := strings.Index(text, pastePrefix); i >= 0 {
		d, err = parseShort(text[i+len(pastePrefix):])
		return d, formShort, err == nil, err
	}
	var quoted string
	if strings.HasPrefix(text, `"`) && json.Unmarshal([]byte(text), &quoted) == nil {
		text = strings.TrimSpace(quoted) // a string, as a console shows it
	}
	text = strings.Trim(text, "'`")
	switch {
	case strings.HasPrefix(text, "{"):
		d, err = parseDescription(text)
		return d, formJSON, err == nil, err
	case strings.HasPrefix(text, "v=0"):
		if !strings.Contains(text, "\n") {
			text = strings.NewReplacer(`\r`, "", `\n`, "\n").Replace(text)
		}
		d, err = bareSDP(text)
		return d, formSDP, false, err
	case len(text) < len(pastePrefix) && text != "" && strings.HasPrefix(pastePrefix, text):
		return d, "", false, errPasteMore
	}
	return d, "", false, errPasteNone
}

// looksPasted tells whether a line begins a description, rather than being said.
func looksPasted(line string) bool {
	_, _, _, err := parsePaste(line)
	return !errors.Is(err, errPasteNone)
}

func parseShort(text string) (d webrtc.SessionDescription, err error) {
	text = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n>", r) { // line ends, and quotation marks of a mail
			return -1
		}
		return r
	}, text)
	if end := strings.IndexFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}); end >= 0 {
		text = text[:end]
	}
	raw, err := base64.RawURLEncoding.DecodeString(text[:len(text)&^3])
	if err != nil {
		return d, fmt.Errorf("the text after %q is damaged: %w", pastePrefix, err)
	}
	if rest, err := base64.RawURLEncoding.DecodeString(text[len(text)&^3:]); err == nil {
		raw = append(raw, rest...)
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(raw)), maxPaste+1))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return d, errPasteMore
	case err != nil:
		return d, fmt.Errorf("the text after %q is damaged: %w", pastePrefix, err)
	case len(plain) > maxPaste:
		return d, errPasteLong
	case len(plain) < 2:
		return d, errPasteMore
	}
	switch plain[0] {
	case 'o':
		d.Type = webrtc.SDPTypeOffer
	case 'a':
		d.Type = webrtc.SDPTypeAnswer
	default:
		return d, fmt.Errorf("the text after %q is damaged, or of a later version of peercam", pastePrefix)
	}
	d.SDP = lines(string(plain[1:]))
	return d, checkSDP(d.SDP)
}

func parseDescription(text string) (d webrtc.SessionDescription, err error) {
	var in struct {
		Type string `json:"type"`
		SDP  string `json:"sdp"`
	}
	err = json.NewDecoder(strings.NewReader(text)).Decode(&in)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return d, errPasteMore
	case err != nil:
		return d, fmt.Errorf("the JSON is damaged (%w): paste what JSON.stringify(pc.localDescription) gives", err)
	}
	if d.Type = webrtc.NewSDPType(in.Type); d.Type != webrtc.SDPTypeOffer && d.Type != webrtc.SDPTypeAnswer {
		return d, fmt.Errorf(`the JSON has the type %.20q: it must be "offer" or "answer", with the SDP as "sdp"`, in.Type)
	}
	d.SDP = lines(in.SDP)
	return d, checkSDP(d.SDP)
}

func bareSDP(text string) (d webrtc.SessionDescription, err error) {
	d.SDP, d.Type = lines(text), webrtc.SDPTypeAnswer
	if strings.Contains(d.SDP, "\r\na=setup:actpass\r\n") {
		d.Type = webrtc.SDPTypeOffer
	}
	if checkSDP(d.SDP) != nil {
		err = errPasteMore
	}
	return d, err
}

// lines gives every line the end that SDP wants, without what surrounds it.
func lines(sdp string) string {
	var b strings.Builder
	for line := range strings.FieldsFuncSeq(sdp, func(r rune) bool { return r == '\r' || r == '\n' }) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\r\n")
		}
	}
	return b.String()
}

// checkSDP looks for what no description is without.
func checkSDP(sdp string) error {
	for _, part := range []string{"v=0\r\n", "\r\nm=", "\r\na=ice-ufrag:", "\r\na=ice-pwd:", "\r\na=fingerprint:", "\r\na=setup:"} {
		if !strings.Contains(sdp, part) {
			return fmt.Errorf("the SDP is not whole: it has no %q: copy all of it", strings.TrimSpace(part))
		}
	}
	return nil
}

// formatPaste writes a description.
func formatPaste(d webrtc.SessionDescription, form pasteForm) (string, error) {
	switch form {
	case formJSON:
		b, err := json.Marshal(map[string]string{"type": d.Type.String(), "sdp": d.SDP})
		return string(b), err
	case formSDP:
		return d.SDP, nil
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return "", err
	}
	_, err = io.WriteString(w, d.Type.String()[:1]+shortSDP(d.SDP))
	if err := errors.Join(err, w.Close()); err != nil {
		return "", err
	}
	return pastePrefix + base64.RawURLEncoding.EncodeToString(b.Bytes()), nil
}

// shortSDP leaves out what the other side does without: candidates of RTCP,
// which shares its port, and what older browsers than those that speak it read.
func shortSDP(sdp string) string {
	var kept []string
	for line := range strings.FieldsFuncSeq(sdp, func(r rune) bool { return r == '\r' || r == '\n' }) {
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "a=candidate:") && len(fields) > 1 && fields[1] == "2",
			strings.HasPrefix(line, "a=ssrc:") && !strings.Contains(line, " cname:"),
			strings.HasPrefix(line, "a=extmap-allow-mixed"), strings.HasPrefix(line, "a=msid-semantic"):
			continue
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "\n")
}
