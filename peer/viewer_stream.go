package peer

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// stream is a track as it arrives. Run's goroutine owns it.
type stream struct {
	kind      webrtc.RTPCodecType
	ssrc      uint32
	captureID uint8 // of abs-capture-time; 0: not negotiated
	buffer    *jitterBuffer
	dates     rtpDates
}

// onTrack reads a track until the connection ends. A second one of a kind, which
// nobody offered, is read and dropped.
func (v *Viewer) onTrack(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	video := t.Kind() == webrtc.RTPCodecTypeVideo
	s := &stream{kind: t.Kind(), ssrc: uint32(t.SSRC()), buffer: newJitterBuffer(video), dates: rtpDates{rate: int64(t.Codec().ClockRate)}}
	for _, e := range r.GetParameters().HeaderExtensions {
		if e.URI == absCaptureTimeURI {
			s.captureID = uint8(e.ID) //nolint:gosec // 1 to 14
		}
	}
	v.readers.Add(1) // pion waits for this function when it closes, so this is in time
	go func() {
		defer v.readers.Done()
		v.readReports(r, s)
	}()
	v.post(func() {
		if video {
			v.video = s
		} else {
			v.audio = s
		}
	})
	for {
		p, _, err := t.ReadRTP()
		if err != nil {
			return
		}
		select {
		case v.packets <- arrived{s: s, packet: p, at: time.Now()}:
		default: // as if the network had lost it
		}
	}
}

// readReports takes sender reports out of a track's RTCP (RFC 3550, section 6.4.1).
func (v *Viewer) readReports(r *webrtc.RTPReceiver, s *stream) {
	for {
		packets, _, err := r.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			if sr, ok := p.(*rtcp.SenderReport); ok && sr.SSRC == s.ssrc {
				v.post(func() { s.dates.set(sr.RTPTime, fromNTP(sr.NTPTime)) })
			}
		}
	}
}

// take puts a packet into the buffer and hands on what can be.
func (s *stream) take(v *Viewer, a arrived) {
	v.update(func(st *ViewerStats) {
		st.Heard = a.at
		if s.buffer.video {
			st.Bytes += int64(len(a.packet.Payload))
		} else {
			st.AudioBytes += int64(len(a.packet.Payload))
		}
	})
	s.buffer.push(a.at, a.packet)
	s.deliver(v, a.at)
}

func (s *stream) deliver(v *Viewer, now time.Time) {
	for {
		u, ok := s.buffer.pop(now)
		if !ok {
			return
		}
		if s.captureID != 0 {
			if b := u.first.GetExtension(s.captureID); len(b) >= 8 {
				s.dates.set(u.first.Timestamp, fromNTP(binary.BigEndian.Uint64(b)))
			}
		}
		m := Media{Data: u.data, Time: s.dates.at(u.first.Timestamp, now), Key: u.key}
		if u.key {
			m.Width, m.Height = pictureSize(u.data)
		}
		if !s.buffer.video {
			if v.c.Audio != nil {
				v.c.Audio(m)
			}
			continue
		}
		v.update(func(st *ViewerStats) {
			st.Frames++
			if u.key {
				st.Width, st.Height = m.Width, m.Height
			}
			if v.clock.known && s.dates.known {
				st.Age = v.clock.camera(now).Sub(m.Time)
			}
		})
		if v.c.Video != nil {
			v.c.Video(m)
		}
	}
}

// tend does what time alone asks for: it gives packets up, and asks for them or
// for a key frame.
func (s *stream) tend(v *Viewer, now time.Time) {
	s.buffer.rtt = v.clock.roundTrip()
	s.deliver(v, now)
	v.update(func(st *ViewerStats) {
		if s.buffer.video {
			st.Packets, st.Lost, st.Gaps = s.buffer.expected, s.buffer.lost, s.buffer.skipped
		}
	})
	if !s.buffer.video {
		return
	}
	var ask []rtcp.Packet
	if seqs := s.buffer.nacks(now); len(seqs) > 0 {
		ask = append(ask, &rtcp.TransportLayerNack{MediaSSRC: s.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(seqs)})
	}
	if s.buffer.needsKey(now) {
		ask = append(ask, &rtcp.PictureLossIndication{MediaSSRC: s.ssrc})
	}
	if len(ask) > 0 {
		_ = v.pc.WriteRTCP(ask) // it is asked for again
	}
}

// NeedKey asks for a key frame, since what was handed over is lost; from
// ViewerConfig.Video only.
func (v *Viewer) NeedKey() {
	if v.video != nil {
		v.video.buffer.waitKey = true
	}
}

// pictureSize reads a key frame's header (RFC 6386, section 9.1); zero where
// there is none.
func pictureSize(data []byte) (width, height int) {
	if len(data) < 10 {
		return 0, 0
	}
	return int(binary.LittleEndian.Uint16(data[6:]) & 0x3fff), int(binary.LittleEndian.Uint16(data[8:]) & 0x3fff)
}
