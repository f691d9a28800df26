package peer

import (
	"strings"

	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
)

// maxLinks is how many ICE servers are taken from one answer.
const maxLinks = 16

// iceLinks reads ICE servers from Link headers (RFC 9725, section 4.6; RFC 8288).
// What is no ICE server, or malformed, is left out. nil: there is none.
func iceLinks(headers []string) (all []webrtc.ICEServer) {
	for _, h := range headers {
		for len(h) > 0 && len(all) < maxLinks {
			var link map[string]string
			if link, h = nextLink(h); link["rel"] != "ice-server" {
				continue
			}
			uri, err := stun.ParseURI(link["<>"])
			needs := err == nil && (uri.Scheme == stun.SchemeTypeTURN || uri.Scheme == stun.SchemeTypeTURNS)
			if err != nil || needs && (link["username"] == "" || link["credential"] == "") {
				continue
			}
			s := webrtc.ICEServer{URLs: []string{link["<>"]}}
			if needs {
				s.Username, s.Credential = link["username"], link["credential"]
			}
			all = append(all, s)
		}
	}
	return all
}

// nextLink takes the first link of a header, its target as "<>", and returns what
// follows the comma after it.
func nextLink(h string) (link map[string]string, rest string) {
	_, h, _ = strings.Cut(h, "<")
	target, h, closed := strings.Cut(h, ">")
	if !closed {
		return nil, ""
	}
	link = map[string]string{"<>": target}
	for {
		h = strings.TrimLeft(h, " \t;")
		if h == "" || h[0] == ',' {
			return link, strings.TrimPrefix(h, ",")
		}
		end := strings.IndexAny(h, "=;,")
		if end < 0 {
			return link, ""
		}
		name := strings.ToLower(strings.TrimSpace(h[:end]))
		value := ""
		if h[end] == '=' {
			value, h = linkValue(strings.TrimLeft(h[end+1:], " \t"))
		} else {
			h = h[end:]
		}
		if _, twice := link[name]; !twice {
			link[name] = value
		}
	}
}

// linkValue takes a token or a quoted string.
func linkValue(h string) (value, rest string) {
	if !strings.HasPrefix(h, `"`) {
		if end := strings.IndexAny(h, ";,"); end >= 0 {
			return strings.TrimSpace(h[:end]), h[end:]
		}
		return strings.TrimSpace(h), ""
	}
	var b strings.Builder
	for i := 1; i < len(h); i++ {
		switch h[i] {
		case '"':
			return b.String(), h[i+1:]
		case '\\':
			if i++; i == len(h) {
				return b.String(), ""
			}
		}
		b.WriteByte(h[i])
	}
	return b.String(), ""
}
