package main

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/peercam/peercam/peer"
)

const (
	opusRate    = 48000
	opusPreSkip = 312 // samples that the encoder looks ahead (libopus)
	oggPage     = 50  // packets a page: a second of sound
)

// ogg writes Opus in Ogg (RFC 3533, RFC 7845). What was lost is a packet without
// data, which asks the decoder to conceal it: so the times stay right.
type ogg struct {
	f       file
	time    timeline
	serial  uint32
	page    uint32
	written int64    // samples, so far
	packets [][]byte // of the page being made
	end     int64    // written after each, of the last packet
	begun   bool
}

func newOgg(f file) *ogg { return &ogg{f: f, serial: rand.Uint32()} }

func (o *ogg) video(peer.Media) error { return nil }

func (o *ogg) audio(m peer.Media) error {
	samples := opusSamples(m.Data)
	if samples == 0 {
		return nil // not Opus
	}
	at, ok := o.time.at(timelineAudio, m.Time, 0)
	if !ok {
		return nil
	}
	if !o.begun {
		o.begun = true
		if err := o.header(); err != nil {
			return err
		}
	}
	// Up to half a packet is jitter of the camera's clock.
	for due := int64(at) * opusRate / int64(time.Second); due-o.written > int64(samples)/2 && len(m.Data) > 0; {
		if due-o.written > opusRate*60 {
			o.written = due // nobody was there for minutes: a gap
			break
		}
		if err := o.add(m.Data[:1:1], samples); err != nil {
			return err
		}
	}
	return o.add(m.Data, samples)
}

// add puts a packet into the page. One of only the first byte, with its count of
// frames taken away, holds no data.
func (o *ogg) add(packet []byte, samples int) error {
	if len(packet) == 1 {
		packet = []byte{packet[0] &^ 3}
		samples = opusSamples(packet)
	}
	o.packets = append(o.packets, packet)
	o.written += int64(samples)
	if len(o.packets) < oggPage {
		return nil
	}
	return o.flush(0)
}

func (o *ogg) header() error {
	head := append([]byte("OpusHead"), opusHead()...)
	o.packets = [][]byte{head}
	if err := o.write(2, 0); err != nil { // the first page
		return err
	}
	const vendor = "peercam"
	tags := binary.LittleEndian.AppendUint32([]byte("OpusTags"), uint32(len(vendor)))
	o.packets = [][]byte{append(append(tags, vendor...), 0, 0, 0, 0)}
	return o.write(0, 0)
}

// opusHead is the rest of the identification header (RFC 7845, section 5.1).
func opusHead() []byte {
	b := []byte{1, 2}
	b = binary.LittleEndian.AppendUint16(b, opusPreSkip)
	b = binary.LittleEndian.AppendUint32(b, opusRate)
	return append(b, 0, 0, 0) // gain, one or two channels
}

func (o *ogg) flush(kind byte) error {
	if len(o.packets) == 0 {
		return nil
	}
	return o.write(kind, o.written)
}

// write makes a page of the packets.
func (o *ogg) write(kind byte, granule int64) error {
	var lacing, data []byte
	for _, p := range o.packets {
		for n := len(p); ; n -= 255 {
			lacing = append(lacing, byte(min(n, 255))) //nolint:gosec // at most 255
			if n < 255 {
				break
			}
		}
		data = append(data, p...)
	}
	o.packets = o.packets[:0]
	le := binary.LittleEndian
	b := append([]byte("OggS\x00"), kind)
	b = le.AppendUint64(b, uint64(granule)) //nolint:gosec // not negative
	b = le.AppendUint32(b, o.serial)
	b = le.AppendUint32(b, o.page)
	b = append(b, 0, 0, 0, 0, byte(len(lacing))) //nolint:gosec // oggPage packets of at most 1275 bytes
	b = append(append(b, lacing...), data...)
	le.PutUint32(b[22:], oggCRC(b))
	o.page++
	_, err := o.f.Write(b)
	return err
}

// oggCRC is Ogg's checksum: the polynomial of Ethernet, in the plain order of bits.
func oggCRC(b []byte) uint32 {
	var crc uint32
	for _, c := range b {
		crc ^= uint32(c) << 24
		for range 8 {
			crc = crc<<1 ^ 0x04c11db7&-(crc>>31)
		}
	}
	return crc
}

func (o *ogg) close() error {
	if o.begun {
		if err := o.write(4, o.written); err != nil { // the last page, be it empty
			return err
		}
	}
	return o.f.end()
}

// opusSamples is how long a packet is at 48 kHz (RFC 6716, section 3.1); 0: it
// is none.
func opusSamples(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	var frame int
	switch config := p[0] >> 3; {
	case config < 12:
		frame = []int{480, 960, 1920, 2880}[config%4]
	case config < 16:
		frame = []int{480, 960}[config%2]
	default:
		frame = []int{120, 240, 480, 960}[config%4]
	}
	switch p[0] & 3 {
	case 0:
		return frame
	case 1, 2:
		return 2 * frame
	}
	if len(p) < 2 {
		return 0
	}
	return int(p[1]&0x3f) * frame
}
