package main

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/peercam/peercam/peer"
)

// ivf writes VP8 in IVF: little endian, a header of 32 bytes, then frames of
// length (4 bytes), timestamp (8 bytes) and data. The size of the header is that of the first
// picture; later ones say their own in their key frames.
type ivf struct {
	f     file
	time  timeline
	begun bool
	last  uint64 // timestamp
}

// ivfRate is the timestamps' unit in Hz: that of RTP, so that nothing is rounded.
const ivfRate = 90000

func newIVF(f file) *ivf { return &ivf{f: f} }

func (i *ivf) video(m peer.Media) error {
	at, ok := i.time.at(timelineVideo, m.Time, time.Second/ivfRate)
	if !ok {
		return nil
	}
	le := binary.LittleEndian
	var b []byte
	if !i.begun {
		b = append(b, "DKIF\x00\x00\x20\x00VP80"...)
		b = le.AppendUint16(b, uint16(m.Width))  //nolint:gosec // 14 bits
		b = le.AppendUint16(b, uint16(m.Height)) //nolint:gosec // 14 bits
		b = le.AppendUint32(b, ivfRate)
		b = le.AppendUint32(b, 1)
		b = append(b, make([]byte, 8)...) // how long it is, not known yet
		i.begun = true
	}
	i.last = uint64((at.Microseconds()*ivfRate + 500_000) / 1_000_000) //nolint:gosec // not negative
	b = le.AppendUint32(b, uint32(len(m.Data)))                        //nolint:gosec // of a packet's queue
	b = le.AppendUint64(b, i.last)
	_, err := i.f.Write(append(b, m.Data...))
	return err
}

func (i *ivf) audio(peer.Media) error { return nil }

func (i *ivf) close() error {
	if i.begun {
		length := i.last + ivfRate/30                                                                                     // in the timestamps' unit, as ffmpeg has it
		if err := i.f.patch(24, binary.LittleEndian.AppendUint32(nil, uint32(min(length, math.MaxUint32)))); err != nil { //nolint:gosec // bounded
			return err
		}
	}
	return i.f.end()
}
