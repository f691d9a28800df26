package peer

import (
	"fmt"
	"strings"

	"github.com/pion/sdp/v3"
)

// maxOffer is the most bytes of SDP that are looked at; a browser's offer has
// about six thousand.
const maxOffer = 64 << 10

// offered is what matters of an offer before anything is built for it.
type offered struct {
	audio   bool // it asks for sound
	passive bool // it wants the DTLS handshake begun by us (RFC 8842, a=setup:passive)
}

// checkOffer tells whether a session description asks for what a camera can
// give, before anything is built for it. Errors wrap ErrBadOffer and say what is missing.
func checkOffer(text string) (o offered, err error) {
	bad := func(format string, a ...any) (offered, error) {
		return offered{}, fmt.Errorf("%w: %s", ErrBadOffer, fmt.Sprintf(format, a...))
	}
	if len(text) > maxOffer {
		return bad("its SDP has %d bytes, at most %d are read", len(text), maxOffer)
	}
	var s sdp.SessionDescription
	if err := s.UnmarshalString(text); err != nil {
		return bad("its SDP does not parse: %v", err)
	}
	if err := checkCandidates(text); err != nil {
		return bad("%v", err)
	}
	var video, vp8, ice, fingerprint bool
	_, iceSession := s.Attribute("ice-ufrag")
	_, fingerprintSession := s.Attribute("fingerprint")
	setup, _ := s.Attribute("setup")
	o.passive = setup == "passive"
	for _, m := range s.MediaDescriptions {
		if !receives(m) {
			continue
		}
		_, ufrag := m.Attribute("ice-ufrag")
		_, fp := m.Attribute("fingerprint")
		setup, _ := m.Attribute("setup")
		o.passive = o.passive || setup == "passive"
		switch m.MediaName.Media {
		case "video":
			video = true
			ice = ice || ufrag || iceSession
			fingerprint = fingerprint || fp || fingerprintSession
			vp8 = vp8 || hasCodec(m, "VP8/90000")
		case "audio":
			o.audio = o.audio || hasCodec(m, "opus/48000/2")
		}
	}
	switch {
	case !video:
		return bad("it has no video section that receives (a=recvonly)")
	case !vp8:
		return bad("its video section does not offer VP8, the only video codec spoken here")
	case !ice:
		return bad("it has no ICE credentials (a=ice-ufrag)")
	case !fingerprint:
		return bad("it has no DTLS fingerprint (a=fingerprint)")
	}
	return o, nil
}

// maxCandidates is how many candidates a session description may have, and how
// many may follow it: to each of them packets are sent, wherever it may point.
const maxCandidates = 64

func checkCandidates(text string) error {
	if n := strings.Count(text, "a=candidate:"); n > maxCandidates {
		return fmt.Errorf("it has %d candidates, at most %d are tried", n, maxCandidates)
	}
	return nil
}

func receives(m *sdp.MediaDescription) bool {
	for _, a := range m.Attributes {
		if a.Key == "sendonly" || a.Key == "inactive" {
			return false
		}
	}
	return true
}

func hasCodec(m *sdp.MediaDescription, codec string) bool {
	for _, a := range m.Attributes {
		if a.Key != "rtpmap" {
			continue
		}
		if _, name, ok := strings.Cut(a.Value, " "); ok && strings.EqualFold(strings.TrimSpace(name), codec) {
			return true
		}
	}
	return false
}
