package peer

import (
	"errors"
	"io"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

const (
	absCaptureTimeURI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
	playoutDelayURI   = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
)

const (
	// iceDisconnected is how long the way may be silent before the viewer is
	// told so; iceFailed how much longer until the session is given up. An
	// outage of some seconds must not cost a new session.
	iceDisconnected = 5 * time.Second
	iceFailed       = 25 * time.Second
	iceKeepalive    = 2 * time.Second
	// handshakeRetry is when the DTLS handshake says again what was not answered; each
	// further time takes twice as long. ICE has found the way by then, and few round
	// trips are longer.
	handshakeRetry = 250 * time.Millisecond
)

// newAPI describes what a session can speak. pion's interceptors are left
// out: numbering, retransmission, reports and congestion control are the
// session's own, without a copy or a lock a packet.
//
// The viewer begins the DTLS handshake, unless it is passive: the camera, which has
// media to send, is so ready half a round trip sooner. Without a cookie, since ICE has
// shown that the viewer is where it says.
func newAPI(network *Network, passive bool, adjust func(*webrtc.SettingEngine)) (*webrtc.API, error) {
	m, err := newMediaEngine(true)
	if err != nil {
		return nil, err
	}
	s := newSettings(func(s *webrtc.SettingEngine) {
		err = network.settings(s)
		if !passive {
			err = errors.Join(err, s.SetAnsweringDTLSRole(webrtc.DTLSRoleServer))
		}
		s.SetDTLSInsecureSkipHelloVerify(true)
		if adjust != nil {
			adjust(s)
		}
	})
	if err != nil {
		return nil, err
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(s), webrtc.WithInterceptorRegistry(&interceptor.Registry{})), nil
}

// newMediaEngine knows VP8 with RTX, Opus, and the header extensions of both; and
// FlexFEC, which only the sending side does.
func newMediaEngine(sends bool) (*webrtc.MediaEngine, error) {
	m := &webrtc.MediaEngine{}
	feedback := []webrtc.RTCPFeedback{
		{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"},
		{Type: webrtc.TypeRTCPFBTransportCC},
	}
	// The payload types stand for what the offer says.
	for _, c := range []struct {
		kind  webrtc.RTPCodecType
		codec webrtc.RTPCodecParameters
	}{
		{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecParameters{PayloadType: 96, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback}}},
		{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecParameters{PayloadType: 97, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: "apt=96"}}},
		{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1;stereo=1",
			RTCPFeedback: []webrtc.RTCPFeedback{{Type: webrtc.TypeRTCPFBTransportCC}}}}},
	} {
		if err := m.RegisterCodec(c.codec, c.kind); err != nil {
			return nil, err
		}
	}
	if sends {
		if err := m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: 118, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeFlexFEC03, ClockRate: 90000, SDPFmtpLine: "repair-window=10000000"}}, webrtc.RTPCodecTypeVideo); err != nil {
			return nil, err
		}
	}
	for _, uri := range []string{sdp.TransportCCURI, absCaptureTimeURI, playoutDelayURI} {
		for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
			if uri == playoutDelayURI && kind == webrtc.RTPCodecTypeAudio {
				continue
			}
			if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

func newSettings(adjust func(*webrtc.SettingEngine)) webrtc.SettingEngine {
	s := webrtc.SettingEngine{LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard}}
	s.SetDTLSRetransmissionInterval(handshakeRetry)
	s.SetICETimeouts(iceDisconnected, iceFailed, iceKeepalive)
	// A browser that hides its addresses behind .local names reaches us at
	// ours; resolving them would cost a multicast socket a viewer.
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.DisableActiveTCP(true)
	s.SetIncludeLoopbackCandidate(onlyLoopback())
	s.SetSCTPMaxReceiveBufferSize(64 << 10)
	if adjust != nil {
		adjust(&s)
	}
	return s
}
