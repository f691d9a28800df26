package signaling

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"unicode/utf8"
)

// subprotocol is what a client names that sends its first messages with the
// handshake: PROTOCOL.md, "Early words".
const subprotocol = "peercam"

// maxEarly bounds them as they come, bytes: proxies take no longer header.
const maxEarly = 8 << 10

// earlyWords reads Sec-WebSocket-Protocol. If the client names the protocol, known
// is true; frames are what it would have sent else, each yet to be decoded.
func earlyWords(header string) (frames [][]byte, known bool, bad *Error) {
	name, words, _ := strings.Cut(header, ",")
	words = strings.TrimSpace(words)
	switch {
	case strings.TrimSpace(name) != subprotocol:
		return nil, false, nil
	case words == "":
		return nil, true, nil
	case len(words) > maxEarly:
		return nil, true, errorf(CodeTooLarge, "early words of more than %d bytes: send them as frames", maxEarly)
	}
	packed, err := base64.RawURLEncoding.DecodeString(words)
	if err != nil {
		return nil, true, errorf(CodeBadMessage, "early words are not base64url without padding: %v", err)
	}
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxMessage+1))
	switch {
	case err != nil:
		return nil, true, errorf(CodeBadMessage, "early words are not packed by deflate, without a header: %v", err)
	case len(text) > maxMessage:
		return nil, true, errorf(CodeTooLarge, "early words that hold more than %d bytes: send them as frames", maxMessage)
	case !utf8.Valid(text):
		return nil, true, errorf(CodeBadMessage, "early words are not UTF-8")
	}
	var all []json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, true, errorf(CodeBadMessage, "early words are not a JSON array of messages: %v", err)
	}
	for _, one := range all {
		frames = append(frames, one)
	}
	return frames, true, nil
}
