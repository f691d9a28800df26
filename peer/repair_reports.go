package peer

import "github.com/pion/webrtc/v4"

// readRepairRTCP reads what the viewer says about the RTX and FlexFEC streams, until
// the connection closes. A browser names the stream that it heard last in its transport-wide feedback, and
// pion sorts RTCP by that: what it says after a packet sent again, parity or a probe,
// when it matters most, would be lost.
//
// pion reads RTCP of a sender's first SSRC only. To it, whoever wants that of
// another is a receiver of that stream, of which no packet will ever come.
func (s *Session) readRepairRTCP() error {
	for _, stream := range []struct {
		there bool
		ssrc  uint32
	}{{s.video.hasRTX, s.video.rtx.SSRC}, {s.video.hasFEC, s.video.parity.SSRC}} {
		if !stream.there {
			continue
		}
		receiver, err := s.api.NewRTPReceiver(webrtc.RTPCodecTypeVideo, s.sender.Transport())
		if err != nil {
			return err
		}
		err = receiver.Receive(webrtc.RTPReceiveParameters{Encodings: []webrtc.RTPDecodingParameters{
			{RTPCodingParameters: webrtc.RTPCodingParameters{SSRC: webrtc.SSRC(stream.ssrc)}},
		}})
		if err != nil {
			return err
		}
		s.repairs = append(s.repairs, receiver)
		s.readers.Add(1)
		go s.readRTCP(receiver, s.video, func(f feedback) bool { return f.transport != nil })
	}
	return nil
}
