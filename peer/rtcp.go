package peer

import (
	"encoding/binary"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// feedback is what a viewer's RTCP says, already taken apart by the reading
// goroutine, for the session's goroutine.
type feedback struct {
	video     bool
	transport []byte // body of a transport-wide feedback packet
	nacks     []rtcp.NackPair
	keyFrame  bool
	report    *rtcp.ReceptionReport
}

const (
	rtcpTransportFeedback = 205
	formatTransportWide   = 15
)

// parseRTCP walks a compound packet from a viewer and hands each thing it says
// to post. Malformed packets end the walk: what came before them counts.
func parseRTCP(b []byte, ssrc uint32, post func(feedback)) {
	for len(b) >= 8 {
		size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if b[0]>>6 != 2 || size > len(b) || size < 8 {
			return
		}
		one := b[:size]
		b = b[size:]
		// pion's parser makes an object a packet; these come ten times a second
		// and name hundreds, so they are read in place.
		if one[1] == rtcpTransportFeedback && one[0]&0x1f == formatTransportWide {
			if len(one) > 12 {
				post(feedback{transport: append([]byte(nil), one[12:]...)})
			}
			continue
		}
		packets, err := rtcp.Unmarshal(one)
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p := p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				post(feedback{keyFrame: true})
			case *rtcp.TransportLayerNack:
				if p.MediaSSRC == ssrc {
					post(feedback{nacks: p.Nacks})
				}
			case *rtcp.ReceiverReport:
				postReports(p.Reports, ssrc, post)
			case *rtcp.SenderReport:
				postReports(p.Reports, ssrc, post)
			}
		}
	}
}

func postReports(reports []rtcp.ReceptionReport, ssrc uint32, post func(feedback)) {
	for i := range reports {
		if reports[i].SSRC == ssrc {
			post(feedback{report: &reports[i]})
		}
	}
}

// rtcpReader is a webrtc.RTPSender or RTPReceiver.
type rtcpReader interface {
	Read([]byte) (int, interceptor.Attributes, error)
}

// readRTCP reads what is wanted of what the viewer says about one track until
// that ends.
func (s *Session) readRTCP(from rtcpReader, t *track, wanted func(feedback) bool) {
	defer s.readers.Done()
	video := t.kind == webrtc.RTPCodecTypeVideo
	b := make([]byte, 1500)
	for {
		n, _, err := from.Read(b)
		if err != nil {
			return
		}
		parseRTCP(b[:n], t.header.SSRC, func(f feedback) {
			if !wanted(f) {
				return
			}
			f.video = video
			select {
			case s.feedback <- f:
			default:
				s.counters.FeedbackDropped.Add(1)
			}
		})
	}
}

// sendReports tells the viewer how RTP timestamps and the wall clock relate
// (RFC 3550, section 6.4.1): sound and picture are aligned by that.
func (s *Session) sendReports(now time.Time) {
	ntp := s.p.clock.ntp(now)
	var packets []rtcp.Packet
	for _, t := range []*track{s.video, s.audio} {
		if t == nil || t.packets == 0 {
			continue
		}
		rate := int64(90000)
		if t.kind == webrtc.RTPCodecTypeAudio {
			rate = 48000
		}
		since := now.Sub(t.last.time)
		packets = append(packets, &rtcp.SenderReport{
			SSRC: t.header.SSRC, NTPTime: ntp, PacketCount: t.packets, OctetCount: t.octets,
			RTPTime: t.last.timestamp + uint32(int64(since)*rate/int64(time.Second)), //nolint:gosec // wraps
		}, &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
			Source: t.header.SSRC, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: s.p.cname}},
		}}})
	}
	if len(packets) > 0 {
		_ = s.pc.WriteRTCP(packets) // the next one tells the same
	}
	s.lastReport = now
}
