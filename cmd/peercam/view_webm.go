package main

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/peercam/peercam/peer"
)

// webm writes VP8 and Opus in WebM (Matroska, RFC 9559). A cluster is written as
// a whole, and the segment has no size until it is closed: so a file that was not
// closed plays, too. Pictures keep the size that the camera sent; that of the
// header, which says how large to show them, is the first one's or the largest's.
type webm struct {
	f    file
	time timeline

	pending       []webmBlock // not written yet, in order of time
	bytes         int         // of them
	begun         bool        // the header is written
	hasAudio      bool
	width, height int

	pos      int64 // in the file
	segment  int64 // where its contents begin
	duration int64 // where its value stands
	seekCues int64 // where the pointer to the cues goes
	written  int64 // ms of the last block written
	end      int64 // ms of the last block
	cues     []webmCue
}

type webmBlock struct {
	track int // 1 video, 2 audio
	ms    int64
	key   bool
	data  []byte
}

type webmCue struct{ ms, pos int64 }

const (
	// Blocks wait so long for earlier ones of the other track, ms.
	webmWait = 1000
	// A cluster is no longer than this, ms: times in it have 16 bits.
	webmCluster = 20_000
	webmPending = 8 << 20 // bytes; then what waits is written
)

func newWebM(f file) *webm { return &webm{f: f} }

func (w *webm) video(m peer.Media) error {
	if m.Key && m.Width > w.width && !w.begun {
		w.width, w.height = m.Width, m.Height
	}
	return w.add(timelineVideo, m)
}

func (w *webm) audio(m peer.Media) error {
	if !w.time.begun[timelineVideo] {
		return nil // the first picture begins
	}
	w.hasAudio = w.hasAudio || !w.begun
	if !w.hasAudio {
		return nil // too late for a track
	}
	return w.add(timelineAudio, m)
}

func (w *webm) add(track int, m peer.Media) error {
	at, ok := w.time.at(track, m.Time, time.Millisecond)
	if !ok {
		return nil
	}
	b := webmBlock{track: track + 1, ms: at.Round(time.Millisecond).Milliseconds(), key: m.Key || track == timelineAudio, data: m.Data}
	b.ms = max(b.ms, w.written)
	i := len(w.pending)
	for i > 0 && w.pending[i-1].ms > b.ms {
		i--
	}
	w.pending = slices.Insert(w.pending, i, b)
	w.bytes += len(b.data)
	w.end = max(w.end, b.ms)
	if w.end-w.pending[0].ms < 2*webmWait && w.bytes < webmPending {
		return nil
	}
	return w.flush(w.end - webmWait)
}

// flush writes what was taken until then, as clusters.
func (w *webm) flush(until int64) error {
	if !w.begun {
		if err := w.header(); err != nil {
			return err
		}
	}
	n := 0
	for n < len(w.pending) && (w.pending[n].ms <= until || w.bytes >= webmPending) {
		n++
	}
	for from := 0; from < n; {
		to := from + 1
		for to < n && !(w.pending[to].key && w.pending[to].track == 1) && w.pending[to].ms-w.pending[from].ms < webmCluster {
			to++
		}
		if err := w.cluster(w.pending[from:to]); err != nil {
			return err
		}
		from = to
	}
	for _, b := range w.pending[:n] {
		w.bytes -= len(b.data)
	}
	w.pending = slices.Delete(w.pending, 0, n)
	return nil
}

func (w *webm) cluster(blocks []webmBlock) error {
	start := blocks[0].ms
	body := ebmlUint(0xE7, uint64(start)) //nolint:gosec // not negative
	for _, b := range blocks {
		flags := byte(0)
		if b.key {
			flags = 0x80
		}
		block := []byte{0x80 | byte(b.track)} //nolint:gosec // 1 or 2
		block = binary.BigEndian.AppendUint16(block, uint16(b.ms-start))
		block = append(block, flags)
		body = append(body, ebml(0xA3, append(block, b.data...))...)
		w.written = b.ms
	}
	if blocks[0].key && blocks[0].track == 1 {
		w.cues = append(w.cues, webmCue{start, w.pos - w.segment})
	}
	return w.write(ebml(0x1F43B675, body))
}

func (w *webm) write(b []byte) error {
	n, err := w.f.Write(b)
	w.pos += int64(n)
	return err
}

// seekSize is the size of an entry of the seek head.
const seekSize = 21

func (w *webm) header() error {
	w.begun = true
	head := ebml(0x1A45DFA3, slices.Concat(
		ebmlUint(0x4286, 1), ebmlUint(0x42F7, 1), ebmlUint(0x42F2, 4), ebmlUint(0x42F3, 8), // versions, longest ids and sizes
		ebml(0x4282, []byte("webm")), ebmlUint(0x4287, 4), ebmlUint(0x4285, 2)))
	info := ebml(0x1549A966, slices.Concat(
		ebmlUint(0x2AD7B1, 1_000_000), // ns a tick: ms
		ebml(0x4D80, []byte("peercam")), ebml(0x5741, []byte("peercam")),
		ebml(0x4461, binary.BigEndian.AppendUint64(nil, uint64(w.time.origin.Sub(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC))))), //nolint:gosec // since then
		ebml(0x4489, make([]byte, 8)))) // the duration, last
	tracks := ebml(0xAE, slices.Concat(
		ebmlUint(0xD7, 1), ebmlUint(0x73C5, 1), ebmlUint(0x83, 1), ebmlUint(0x9C, 0), ebml(0x86, []byte("V_VP8")),
		ebml(0xE0, slices.Concat(ebmlUint(0xB0, uint64(w.width)), ebmlUint(0xBA, uint64(w.height)))))) //nolint:gosec // not negative
	if w.hasAudio {
		tracks = append(tracks, ebml(0xAE, slices.Concat(
			ebmlUint(0xD7, 2), ebmlUint(0x73C5, 2), ebmlUint(0x83, 2), ebmlUint(0x9C, 0), ebml(0x86, []byte("A_OPUS")),
			ebml(0x63A2, append([]byte("OpusHead"), opusHead()...)),
			ebmlUint(0x56AA, opusPreSkip*1_000_000_000/opusRate), ebmlUint(0x56BB, 80_000_000), // delay and pre-roll, ns
			ebml(0xE1, slices.Concat(ebml(0xB5, binary.BigEndian.AppendUint64(nil, math.Float64bits(opusRate))), ebmlUint(0x9F, 2)))))...)
	}
	w.segment = int64(len(head)) + 12
	const seekHead = 5 + 3*seekSize
	seeks := slices.Concat(seekTo(0x1549A966, seekHead), seekTo(0x1654AE6B, int64(seekHead+len(info))))
	w.seekCues = w.segment + 5 + int64(len(seeks))
	w.duration = w.segment + seekHead + int64(len(info)) - 8
	void := append([]byte{0xEC, 0x80 | (seekSize - 2)}, make([]byte, seekSize-2)...)          // where the cues' comes
	segment := []byte{0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff} // no size yet
	return w.write(slices.Concat(head, segment, ebml(0x114D9B74, append(seeks, void...)), info, ebml(0x1654AE6B, tracks)))
}

// seekTo is an entry of the seek head, of seekSize bytes.
func seekTo(id uint32, pos int64) []byte {
	return ebml(0x4DBB, slices.Concat(
		ebml(0x53AB, binary.BigEndian.AppendUint32(nil, id)),
		ebml(0x53AC, binary.BigEndian.AppendUint64(nil, uint64(pos))))) //nolint:gosec // not negative
}

func (w *webm) close() error {
	if len(w.pending) == 0 && !w.begun {
		return w.f.end()
	}
	if err := w.flush(math.MaxInt64); err != nil {
		return err
	}
	cuesAt := w.pos - w.segment
	var cues []byte
	for _, c := range w.cues {
		cues = append(cues, ebml(0xBB, slices.Concat(ebmlUint(0xB3, uint64(c.ms)), //nolint:gosec // not negative
			ebml(0xB7, slices.Concat(ebmlUint(0xF7, 1), ebmlUint(0xF1, uint64(c.pos))))))...) //nolint:gosec // not negative
	}
	if err := w.write(ebml(0x1C53BB6B, cues)); err != nil {
		return err
	}
	size := uint64(w.pos - w.segment)              //nolint:gosec // not negative
	length := math.Float64bits(float64(w.end + 1)) // ms
	for _, p := range []struct {
		at int64
		b  []byte
	}{
		{w.segment - 8, binary.BigEndian.AppendUint64(nil, 1<<56|size)},
		{w.seekCues, seekTo(0x1C53BB6B, cuesAt)},
		{w.duration, binary.BigEndian.AppendUint64(nil, length)},
	} {
		if err := w.f.patch(p.at, p.b); err != nil {
			return err
		}
	}
	return w.f.end()
}

// ebml is an element (RFC 8794): id, size, data.
func ebml(id uint32, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, id)
	for b[0] == 0 {
		b = b[1:]
	}
	n := uint64(len(data))
	switch {
	case n < 1<<7-1:
		b = append(b, 0x80|byte(n)) //nolint:gosec // small
	default:
		b = binary.BigEndian.AppendUint32(b, 0x10000000|uint32(n)) //nolint:gosec // less than 2^28
	}
	return append(b, data...)
}

func ebmlUint(id uint32, n uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, n)
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return ebml(id, b)
}
