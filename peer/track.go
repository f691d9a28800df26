package peer

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// track is one outgoing stream of a session. pion binds it, once, before the
// session is connected; from then on only the session's goroutine touches it.
type track struct {
	kind   webrtc.RTPCodecType
	stream string
	mime   string
	bound  atomic.Bool

	writer   webrtc.TrackLocalWriter
	header   rtp.Header
	offset   uint32 // of the RTP timestamps
	rtx      rtp.Header
	hasRTX   bool
	parity   rtp.Header // of FlexFEC
	hasFEC   bool
	overhead int // bytes of an RTP packet that are neither payload nor descriptor

	// Extensions that are written in place: the headers point here.
	hasTransport bool
	transportSeq [2]byte
	captureTime  [8]byte
	playout      [3]byte
	plain, timed []rtp.Extension // without and with the capture time

	packets, octets uint32
	last            struct { // for sender reports
		timestamp uint32
		time      time.Time
	}
}

func newTrack(kind webrtc.RTPCodecType, stream string) *track {
	t := &track{kind: kind, stream: stream, mime: webrtc.MimeTypeVP8}
	if kind == webrtc.RTPCodecTypeAudio {
		t.mime = webrtc.MimeTypeOpus
	}
	return t
}

// ID, RID, StreamID and Kind satisfy webrtc.TrackLocal.
func (t *track) ID() string                { return t.kind.String() }
func (t *track) RID() string               { return "" }
func (t *track) StreamID() string          { return t.stream }
func (t *track) Kind() webrtc.RTPCodecType { return t.kind }

var errNoCodec = errors.New("the viewer does not offer the codec")

// setPlayout says of the packets to come how long their pictures are to wait.
func (t *track) setPlayout(delay [3]byte) (changed bool) {
	changed = t.playout != delay
	t.playout = delay
	return changed
}

// Bind takes payload type, SSRCs and extension ids from what was negotiated.
func (t *track) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	i := slices.IndexFunc(c.CodecParameters(), func(p webrtc.RTPCodecParameters) bool {
		return strings.EqualFold(p.MimeType, t.mime)
	})
	if i < 0 {
		return webrtc.RTPCodecParameters{}, errNoCodec
	}
	codec := c.CodecParameters()[i]
	t.writer = c.WriteStream()
	t.offset = rand.Uint32()
	t.header = rtp.Header{
		Version: 2, PayloadType: uint8(codec.PayloadType), SSRC: uint32(c.SSRC()),
		SequenceNumber: uint16(rand.Uint32()), //nolint:gosec // any number will do
	}
	for _, p := range c.CodecParameters() {
		if strings.EqualFold(p.MimeType, webrtc.MimeTypeRTX) && p.SDPFmtpLine == "apt="+strconv.Itoa(int(codec.PayloadType)) && c.SSRCRetransmission() != 0 {
			t.hasRTX = true
			t.rtx = rtp.Header{
				Version: 2, PayloadType: uint8(p.PayloadType), SSRC: uint32(c.SSRCRetransmission()),
				SequenceNumber: uint16(rand.Uint32()), //nolint:gosec // any number will do
			}
		}
		if strings.EqualFold(p.MimeType, webrtc.MimeTypeFlexFEC03) && c.SSRCForwardErrorCorrection() != 0 {
			t.hasFEC = true
			t.parity = rtp.Header{
				Version: 2, PayloadType: uint8(p.PayloadType), SSRC: uint32(c.SSRCForwardErrorCorrection()),
				SequenceNumber: uint16(rand.Uint32()), //nolint:gosec // any number will do
			}
		}
	}
	var capture uint8
	for _, e := range c.HeaderExtensions() {
		id := uint8(e.ID) //nolint:gosec // 1 to 14
		var err error
		switch e.URI {
		case sdp.TransportCCURI:
			t.hasTransport = true
			err = t.header.SetExtension(id, t.transportSeq[:])
		case playoutDelayURI:
			err = t.header.SetExtension(id, t.playout[:])
		case absCaptureTimeURI:
			capture = id
		}
		if err != nil {
			return webrtc.RTPCodecParameters{}, err
		}
	}
	t.plain = slices.Clone(t.header.Extensions)
	if capture != 0 {
		if err := t.header.SetExtension(capture, t.captureTime[:]); err != nil {
			return webrtc.RTPCodecParameters{}, err
		}
	}
	t.timed = slices.Clone(t.header.Extensions)
	if t.header.Extension {
		t.rtx.Extension, t.rtx.ExtensionProfile, t.rtx.Extensions = true, t.header.ExtensionProfile, t.plain
		t.parity.ExtensionProfile = t.header.ExtensionProfile
	}
	t.bound.Store(true)
	return codec, nil
}

// Unbind satisfies webrtc.TrackLocal. The session stops writing by itself.
func (t *track) Unbind(webrtc.TrackLocalContext) error { return nil }

// use chooses the extensions of the next packet and numbers it.
func (t *track) use(h *rtp.Header, ext []rtp.Extension, transportSeq uint16) {
	h.Extensions = ext
	h.Extension = len(ext) > 0
	binary.BigEndian.PutUint16(t.transportSeq[:], transportSeq)
}
