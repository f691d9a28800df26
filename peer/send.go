package peer

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtp"

	"github.com/peercam/peercam/encode"
)

func (s *Session) sendVideo(f *encode.Frame) {
	t := s.video
	if !t.bound.Load() {
		return
	}
	if s.needKey && !f.Key {
		s.p.requestKeyFrame(time.Now())
		s.counters.FramesDropped.Add(1)
		return
	}
	s.needKey = false
	s.pictureID = (s.pictureID + 1) & 0x7fff
	timestamp := t.offset + s.p.clock.rtp(f.Time, 90000)
	putAbsCaptureTime(&t.captureTime, s.p.clock.ntp(f.Time))
	parts := packetCount(len(f.Data))
	for k := range parts {
		t.header.SequenceNumber++
		p := sentPacket{frame: f, seq: t.header.SequenceNumber, pictureID: s.pictureID, part: uint16(k), parts: uint16(parts), timestamp: timestamp} //nolint:gosec // few
		s.writePacket(&p)
		s.history.put(p)
	}
	t.last.timestamp, t.last.time = timestamp, f.Time
	s.counters.Frames.Add(1)
	if s.lastReport.IsZero() {
		s.sendReports(time.Now())
	}
}

// writePacket sends a video packet for the first time.
func (s *Session) writePacket(p *sentPacket) {
	t := s.video
	t.header.Marker = p.part == p.parts-1
	t.header.Timestamp = p.timestamp
	ext := t.plain
	if p.part == 0 {
		ext = t.timed
	}
	n := s.compose(s.packet[:], p)
	p.transport = s.number(maxHeader + n)
	t.use(&t.header, ext, p.transport)
	s.repair.sent(n)
	s.write(t, &t.header, s.packet[:n])
}

// compose writes descriptor and data of a packet and returns their length.
func (s *Session) compose(b []byte, p *sentPacket) int {
	n := putDescriptor(b, p.pictureID, p.part == 0)
	return n + copy(b[n:], chunk(p.frame.Data, int(p.part), int(p.parts)))
}

// number takes the packet's transport-wide sequence number.
func (s *Session) number(size int) uint16 { return s.transport.sent(time.Now(), size, 0) }

func (s *Session) write(t *track, h *rtp.Header, payload []byte) {
	if _, err := t.writer.WriteRTP(h, payload); err != nil {
		// The way may be gone for a while (no route, interface down): ICE
		// decides whether for good.
		return
	}
	t.packets++
	t.octets += uint32(len(payload)) //nolint:gosec // wraps
	s.counters.Packets.Add(1)
	s.counters.Bytes.Add(int64(len(payload)))
}

func (s *Session) sendAudio(f *encode.AudioFrame) {
	t := s.audio
	if t == nil || !t.bound.Load() {
		return
	}
	t.header.SequenceNumber++
	t.header.Timestamp = t.offset + f.Timestamp
	putAbsCaptureTime(&t.captureTime, s.p.clock.ntp(f.Time))
	seq := uint16(0)
	if t.hasTransport {
		seq = s.number(maxHeader + len(f.Data))
	}
	t.use(&t.header, t.timed, seq)
	s.write(t, &t.header, f.Data)
	t.last.timestamp, t.last.time = t.header.Timestamp, f.Time
}

// resend answers a NACK: in a stream of its own where the viewer knows RTX
// (RFC 4588), else the very same packet again.
func (s *Session) resend(now time.Time, seq uint16) {
	p := s.history.get(seq)
	if p == nil || !p.again(now, s.rtt) || !s.repair.spend(maxPacket) {
		return
	}
	t := s.video
	s.counters.Resent.Add(1)
	if !t.hasRTX {
		h := t.header
		h.SequenceNumber, h.Timestamp, h.Marker = p.seq, p.timestamp, p.part == p.parts-1
		n := s.compose(s.packet[:], p)
		// A packet's number is its nonce, so every byte must be as it was.
		ext := t.plain
		if p.part == 0 {
			ext = t.timed
			putAbsCaptureTime(&t.captureTime, s.p.clock.ntp(p.frame.Time))
		}
		t.use(&h, ext, p.transport)
		s.write(t, &h, s.packet[:n])
		return
	}
	binary.BigEndian.PutUint16(s.packet[:], p.seq)
	n := 2 + s.compose(s.packet[2:], p)
	t.rtx.SequenceNumber++
	t.rtx.Timestamp, t.rtx.Marker = p.timestamp, p.part == p.parts-1
	t.use(&t.rtx, t.plain, s.number(maxHeader+n))
	s.write(t, &t.rtx, s.packet[:n])
}
