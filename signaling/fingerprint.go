package signaling

import (
	"errors"
	"fmt"
	"strings"
)

// ErrFingerprint is what every error of Fingerprint is.
var ErrFingerprint = errors.New("no usable DTLS fingerprint in the SDP")

// Fingerprint returns the DTLS fingerprint of an SDP (RFC 8122): SHA-256 in
// upper case hex with colons. All a=fingerprint lines must say the same.
//
// A proof is worth only as much as the certainty that the WebRTC stack finds
// the same fingerprint in the SDP as we do. So nothing is read leniently: the
// word may stand nowhere but at the head of a well-formed attribute.
func Fingerprint(sdp string) (string, error) {
	found := ""
	for line := range strings.FieldsFuncSeq(sdp, func(r rune) bool { return r == '\r' || r == '\n' }) {
		value, ok := strings.CutPrefix(line, "a=fingerprint:")
		if !ok {
			if strings.Contains(strings.ToLower(line), "fingerprint") {
				return "", fmt.Errorf("%w: the word stands where it should not", ErrFingerprint)
			}
			continue
		}
		hash, hex, _ := strings.Cut(value, " ")
		if !strings.EqualFold(hash, "sha-256") {
			return "", fmt.Errorf("%w: hash %.20q, but only sha-256 is taken", ErrFingerprint, hash)
		}
		hex = strings.ToUpper(hex)
		if !isFingerprint(hex) {
			return "", fmt.Errorf("%w: it is not 32 pairs of hex digits with colons between", ErrFingerprint)
		}
		if found != "" && found != hex {
			return "", fmt.Errorf("%w: two that differ", ErrFingerprint)
		}
		found = hex
	}
	if found == "" {
		return "", fmt.Errorf("%w: no a=fingerprint line", ErrFingerprint)
	}
	return found, nil
}

func isFingerprint(s string) bool {
	if len(s) != 32*3-1 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case i%3 == 2:
			if c != ':' {
				return false
			}
		case '0' <= c && c <= '9', 'A' <= c && c <= 'F':
		default:
			return false
		}
	}
	return true
}
