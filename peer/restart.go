package peer

import (
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
)

// headStart is how long after an ICE restart the viewer's candidates wait. A browser
// that is asked at a new address before it was told of it, by a check that overtook
// the answer, thinks less of that way than of the one that is gone, and takes it
// seconds later only. Answering it in time is enough: the browser begins.
const headStart = 300 * time.Millisecond

// addCandidate gives pion a candidate of the viewer's, now or when the browser has
// had its head start.
func (s *Session) addCandidate(c webrtc.ICECandidateInit) error {
	wait := headStart - time.Duration(time.Now().UnixNano()-s.restartAt.Load())
	if wait <= 0 {
		return s.pc.AddICECandidate(c)
	}
	time.AfterFunc(wait, func() {
		if err := s.pc.AddICECandidate(c); err != nil {
			s.log.Debug("candidate not used", "err", err)
		}
	})
	return nil
}

// holdCandidates takes the candidates out of an offer, for addCandidate.
func holdCandidates(offer string) (without string, held []webrtc.ICECandidateInit) {
	var b strings.Builder
	mid, section := "", -1
	for line := range strings.Lines(offer) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		switch {
		case strings.HasPrefix(line, "m="):
			section++
			mid = ""
		case name == "a=mid":
			mid = value
		case name == "a=candidate":
			index, of := uint16(max(section, 0)), mid //nolint:gosec // an offer is short
			held = append(held, webrtc.ICECandidateInit{Candidate: "candidate:" + value, SDPMid: &of, SDPMLineIndex: &index})
			continue
		case name == "a=end-of-candidates":
			continue
		}
		b.WriteString(line)
	}
	return b.String(), held
}
