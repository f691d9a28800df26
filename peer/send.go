package peer

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtp"

	"github.com/peercam/peercam/encode"
)

// takeFrame puts a frame into the outbox, or asks for a key frame where
// nothing else helps.
func (s *Session) takeFrame(now time.Time, f *encode.Frame) {
	if !s.video.bound.Load() {
		return
	}
	s.tend(now)
	sel := s.selection.Load()
	layer := sel.layer
	if s.estimator.Congested() {
		layer = min(layer, allLayers-1) // the encoder follows a moment later
	}
	if f.Rung != s.sending {
		// Publisher.Video hands over another rung from a key frame on only.
		s.sending = f.Rung
		s.p.adapt(now, true) // the rung before may be wanted by nobody now
		s.sayStats = true
	}
	if f.Key {
		s.fec.drop()
	}
	if !s.outbox.add(f, layer, s.backlog()) {
		if f.Layer <= sel.layer {
			s.counters.FramesDropped.Add(1)
		}
		if s.outbox.starved() && !s.blocked() {
			s.p.requestKeyFrame(now, f.Rung)
		}
	}
}

// backlog is how long what waits in the outbox will take.
func (s *Session) backlog() time.Duration {
	return time.Duration(s.outbox.bytes) * 8 * time.Second / time.Duration(max(s.estimator.Target(), 1))
}

// blocked tells whether so much is on its way that new video waits.
func (s *Session) blocked() bool {
	return s.video.hasTransport && s.estimator.InFlight() > s.estimator.Window()
}

// tend lets the estimator see the time, and takes from it what it wants.
func (s *Session) tend(now time.Time) {
	if !s.video.hasTransport {
		return
	}
	s.estimator.Tick(now)
	// Without a picture there is nothing that a probe could repeat.
	if s.probe.Packets == 0 && s.video.hasRTX && s.video.packets > 0 {
		s.probe, _ = s.estimator.Probe(now)
		s.prober = pacer{rate: s.probe.Rate}
	}
	s.publishEstimate()
}

// flush sends what may go now, and returns how long to wait for more; 0:
// until something happens.
func (s *Session) flush(now time.Time) time.Duration {
	wait := s.flushProbe(now)
	for {
		f, part := s.outbox.first()
		if f == nil && s.fec.due == 0 {
			return wait
		}
		if s.blocked() {
			return least(wait, blockedPause)
		}
		if pause := s.pacer.wait(now); pause > 0 {
			return least(wait, pause)
		}
		if s.fec.due > 0 {
			s.sendParity(now)
		} else {
			s.sendPart(now, f, part)
		}
		now = time.Now() // sending takes a while, and the thread may lose its core in between
	}
}

// blockedPause is how often a session looks whether it may send again when no
// feedback comes to tell.
const blockedPause = 25 * time.Millisecond

// least is the shorter of two times to wait, of which 0 is for ever.
func least(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// sendPart sends the next packet of the outbox's first frame.
func (s *Session) sendPart(now time.Time, f *encode.Frame, part int) {
	t := s.video
	parts := packetCount(len(f.Data))
	if part == 0 {
		s.begin(f)
	}
	t.header.SequenceNumber++
	s.fec.begin(now, t.header.SequenceNumber, s.protection.parities(parts-part))
	p := sentPacket{
		frame: f, seq: t.header.SequenceNumber, pictureID: s.pictureID, baseID: s.baseID,
		part: uint16(part), parts: uint16(parts), timestamp: t.last.timestamp, //nolint:gosec // few
	}
	if f.Key && part == 0 {
		s.keyStart = p.seq
	} else if p.seq-s.keyStart > historySize {
		s.keyStart = p.seq - historySize // nearer than where numbers wrap
	}
	s.writePacket(now, &p)
	s.history.put(p)
	s.outbox.sent(part == parts-1)
	if part == parts-1 {
		s.fec.finish(now, s.frameGap)
		s.counters.Frames.Add(1)
		if s.lastReport.IsZero() {
			s.sendReports(time.Now())
		}
	}
}

// begin numbers a frame. Frames left out leave no hole, so the viewer sees one
// stream in which nothing is missing, whatever the rung and the layers.
func (s *Session) begin(f *encode.Frame) {
	t := s.video
	s.pictureID = (s.pictureID + 1) & 0x7fff
	if f.Layer == 0 {
		s.baseID++
	}
	timestamp := t.offset + s.p.clock.rtp(f.Time, 90000)
	// After hours without a picture the difference wraps, and says nothing.
	if s.begun && f.Time.Sub(t.last.time) < time.Hour && int32(timestamp-t.last.timestamp) <= 0 { //nolint:gosec // wraps
		timestamp = t.last.timestamp + 1 // the same picture on another rung
	}
	if gap := f.Time.Sub(t.last.time); s.begun && gap > 0 {
		s.frameGap = min(gap, time.Second)
	}
	s.begun = true
	s.probes.Store(t.hasRTX && t.hasTransport)
	t.last.timestamp, t.last.time = timestamp, f.Time
	putAbsCaptureTime(&t.captureTime, s.p.clock.ntp(f.Time))
	s.size = encode.Size{Width: f.Width, Height: f.Height}
}

// writePacket sends a video packet for the first time.
func (s *Session) writePacket(now time.Time, p *sentPacket) {
	t := s.video
	t.header.Marker = p.part == p.parts-1
	t.header.Timestamp = p.timestamp
	ext := t.plain
	if p.part == 0 {
		ext = t.timed
	}
	n := s.compose(s.packet[:], p)
	if s.fec.takes() {
		t.use(&t.header, ext, 0) // what may change under way counts as zero
		s.fec.add(&t.header, s.packet[:n])
	}
	p.transport = s.number(now, t, maxHeader+n, 0)
	p.newest = p.transport
	s.transport.carries(p.transport, p.seq)
	t.use(&t.header, ext, p.transport)
	s.repair.sent(n)
	s.protection.sent(n, 0)
	s.pacer.sent(now, maxHeader+n)
	s.write(t, &t.header, s.packet[:n])
}

// sendParity sends the next parity packet, in the FlexFEC stream.
func (s *Session) sendParity(now time.Time) {
	t := s.video
	n := s.fec.next(s.packet[:], t.header.SSRC)
	t.parity.SequenceNumber++
	t.parity.Timestamp = t.last.timestamp
	t.use(&t.parity, t.plain, s.number(now, t, maxHeader+n, 0))
	s.pacer.sent(now, maxHeader+n)
	s.write(t, &t.parity, s.packet[:n])
	s.counters.Parity.Add(1)
	s.protection.sent(0, n)
}

// compose writes descriptor and data of a packet and returns their length.
func (s *Session) compose(b []byte, p *sentPacket) int {
	n := putDescriptor(b, p)
	return n + copy(b[n:], chunk(p.frame.Data, int(p.part), int(p.parts)))
}

// number takes the transport-wide sequence number of a packet of size bytes
// that belongs to a probe, or to none (0).
func (s *Session) number(now time.Time, t *track, size, probe int) uint16 {
	if now.Sub(s.lastSent) > reportTime {
		s.lastHeard = now // nobody reports on nothing
	}
	s.lastSent = now
	if !t.hasTransport {
		return 0
	}
	s.estimator.Sent(now, size)
	return s.transport.sent(now, size, probe)
}

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
	now := time.Now()
	t.header.SequenceNumber++
	t.header.Timestamp = t.offset + f.Timestamp
	putAbsCaptureTime(&t.captureTime, s.p.clock.ntp(f.Time))
	t.use(&t.header, t.timed, s.number(now, t, maxHeader+len(f.Data), 0))
	s.pacer.sent(now, maxHeader+len(f.Data)) // it does not wait, but takes its part
	s.write(t, &t.header, f.Data)
	t.last.timestamp, t.last.time = t.header.Timestamp, f.Time
	s.tend(now)
}

// resend answers a NACK: in a stream of its own where the viewer knows RTX
// (RFC 4588), else the very same packet again.
func (s *Session) resend(now time.Time, seq uint16) {
	p := s.history.get(seq)
	if p == nil || int16(seq-s.keyStart) < 0 { //nolint:gosec // wraps
		return // gone, or a later key frame makes up for it
	}
	if s.blocked() || s.outbox.holdsKey() {
		return // it would only delay what follows; the viewer asks again if it still needs it
	}
	if !p.again(now, s.estimator.round()) || !s.repair.spend(p.size()) {
		return
	}
	s.counters.Resent.Add(1)
	s.sendAgain(now, p, 0)
}

// resendLost sends a packet again whose last sending is reported lost: sooner than
// a viewer asks whose request was lost too, or what came in answer.
func (s *Session) resendLost(now time.Time, a *Ack) {
	p := s.history.get(a.Media)
	if p == nil || p.newest != a.Seq || !s.video.hasRTX || int16(a.Media-s.keyStart) < 0 { //nolint:gosec // wraps
		return
	}
	if s.blocked() || s.outbox.holdsKey() || p.resends == maxResends || !s.repair.spend(p.size()) {
		return
	}
	p.lost(now)
	s.counters.Resent.Add(1)
	s.sendAgain(now, p, 0)
}

// sendAgain sends a packet that was sent before, as part of a probe or of none (0).
func (s *Session) sendAgain(now time.Time, p *sentPacket, probe int) {
	t := s.video
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
		s.pacer.sent(now, maxHeader+n)
		s.write(t, &h, s.packet[:n])
		return
	}
	binary.BigEndian.PutUint16(s.packet[:], p.seq)
	n := 2 + s.compose(s.packet[2:], p)
	seq := s.writeRTX(now, n, p.timestamp, p.part == p.parts-1, probe)
	if probe == 0 {
		p.newest = seq
		s.transport.carries(seq, p.seq)
	}
}

// writeRTX sends what the packet buffer holds in the RTX stream, and returns its
// transport-wide sequence number.
func (s *Session) writeRTX(now time.Time, n int, timestamp uint32, marker bool, probe int) uint16 {
	t := s.video
	t.rtx.SequenceNumber++
	t.rtx.Timestamp, t.rtx.Marker = timestamp, marker
	seq := s.number(now, t, maxHeader+n, probe)
	t.use(&t.rtx, t.plain, seq)
	s.pacer.sent(now, maxHeader+n)
	s.write(t, &t.rtx, s.packet[:n])
	return seq
}

// flushProbe sends what is due of a probe: packets that tell, by how fast they
// arrive, whether the way carries more than the encoder makes. They are old
// packets once more, for whom one was lost; or padding, where those are too large.
func (s *Session) flushProbe(now time.Time) time.Duration {
	for s.probe.Packets > 0 {
		if pause := s.prober.wait(now); pause > 0 {
			return pause
		}
		s.probe.Packets--
		s.counters.Probes.Add(1)
		before := s.counters.Bytes.Load()
		if p := s.history.get(s.video.header.SequenceNumber - uint16(s.probe.Packets)); p != nil && p.size() <= s.probe.Size*5/4 { //nolint:gosec // few
			s.sendAgain(now, p, s.probe.ID)
		} else {
			s.sendPadding(now, s.probe.Size, s.probe.ID)
		}
		s.prober.sent(now, maxHeader+int(s.counters.Bytes.Load()-before))
	}
	return 0
}

// maxPadding is what the one byte of its length allows (RFC 3550, section 5.1).
const maxPadding = 255

// sendPadding sends a packet of nothing, of about size bytes but no more than
// maxPadding.
func (s *Session) sendPadding(now time.Time, size, probe int) {
	n := min(max(size-maxHeader, 1), maxPadding)
	clear(s.packet[:n])
	s.packet[n-1] = byte(n) //nolint:gosec // at most maxPadding
	s.video.rtx.Padding = true
	s.writeRTX(now, n, s.video.last.timestamp, false, probe)
	s.video.rtx.Padding = false
}
