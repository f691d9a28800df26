package capture

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"time"
)

const ivfMagic = "DKIF"

// longestStep bounds the time between two pictures of a file; timestamps that
// jump further are taken for mistakes.
const longestStep = 10 * time.Second

// ivfReader takes an IVF file apart: little endian, a header of 32 bytes, then
// frames of length (4 bytes), timestamp (8 bytes) and data.
type ivfReader struct {
	r          io.Reader
	rate, unit int64 // a timestamp counts unit/rate seconds
	off        int64
	start      int64 // of the first frame
	data       []byte
}

func newIVFReader(r io.Reader) (*ivfReader, error) {
	var b [32]byte
	if n, err := io.ReadFull(r, b[:]); err != nil {
		return nil, ivfCut(int64(n), err)
	}
	le := binary.LittleEndian
	if string(b[:4]) != ivfMagic {
		return nil, fmt.Errorf("not IVF: begins with %q", b[:4])
	}
	if c := string(b[8:12]); c != "VP80" {
		return nil, fmt.Errorf("IVF holds %q, only VP80 (VP8) is read: convert it with ffmpeg -i FILE -c:v libvpx OUT.ivf", c)
	}
	v := &ivfReader{r: r, off: 32, rate: int64(le.Uint32(b[16:])), unit: int64(le.Uint32(b[20:]))}
	if head := int64(le.Uint16(b[6:])); head > 32 {
		n, err := io.CopyN(io.Discard, r, head-32)
		if v.off += n; err != nil {
			return nil, ivfCut(v.off, err)
		}
	}
	v.start = v.off
	// A timestamp that counts more than longestStep, or nothing, is not meant.
	if v.rate == 0 || v.unit == 0 || v.unit > v.rate*int64(longestStep/time.Second) {
		v.rate, v.unit = defaultFPS, 1
	}
	return v, nil
}

// next returns a frame's data, valid until the next call, and its timestamp.
func (v *ivfReader) next() ([]byte, uint64, error) {
	var b [12]byte
	n, err := io.ReadFull(v.r, b[:])
	v.off += int64(n)
	if err == io.EOF {
		return nil, 0, io.EOF
	}
	if err != nil {
		return nil, 0, ivfCut(v.off, err)
	}
	size := int(binary.LittleEndian.Uint32(b[:]))
	if size > maxPicture {
		return nil, 0, fmt.Errorf("broken IVF at byte %d: a frame of %d bytes", v.off-12, size)
	}
	// Grown as it is read: a wrong length costs no more than the file is long.
	v.data = v.data[:0]
	for len(v.data) < size {
		k := min(size-len(v.data), max(64<<10, cap(v.data)-len(v.data)))
		if cap(v.data) < len(v.data)+k {
			v.data = append(make([]byte, 0, 2*(len(v.data)+k)), v.data...)
		}
		m, err := io.ReadFull(v.r, v.data[len(v.data):len(v.data)+k])
		v.data = v.data[:len(v.data)+m]
		v.off += int64(m)
		if err != nil {
			return nil, 0, ivfCut(v.off, err)
		}
	}
	return v.data, binary.LittleEndian.Uint64(b[4:]), nil
}

func ivfCut(off int64, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("broken IVF: ends at byte %d, within a header or frame: %w", off, io.ErrUnexpectedEOF)
	}
	return err
}

// ivfFile is the videoDecoder of VP8 in IVF.
type ivfFile struct {
	file  io.ReadSeeker
	ivf   *ivfReader
	vp8   *vp8Decoder
	flaws flaws

	due  time.Duration // of the last frame
	step time.Duration // between the last two
	last uint64        // timestamp
	any  bool          // last is set
}

func newIVFFile(f io.ReadSeeker, log *slog.Logger) (*ivfFile, error) {
	ivf, err := newIVFReader(f)
	if err != nil {
		return nil, err
	}
	vp8, err := newVP8Decoder()
	if err != nil {
		return nil, err
	}
	return &ivfFile{file: f, ivf: ivf, vp8: vp8, flaws: flaws{log: log}, step: ticks(1, ivf.rate, ivf.unit)}, nil
}

func (f *ivfFile) next(p *framePool) (timedFrame, error) {
	for {
		data, stamp, err := f.ivf.next()
		if err == io.EOF {
			return timedFrame{}, f.flaws.end()
		}
		if err != nil {
			return timedFrame{}, err
		}
		f.advance(stamp)
		frame, err := f.vp8.decode(data, p.get)
		if err != nil {
			f.flaws.add(fmt.Errorf("frame at byte %d: %w", f.ivf.off-int64(len(data)), err))
			continue
		}
		if frame == nil { // not meant to be shown
			continue
		}
		f.flaws.good = true
		return timedFrame{frame, f.due, f.step}, nil
	}
}

// advance moves due on to a frame's timestamp. Timestamps that do not rise, or
// jump, are taken as one step further.
func (f *ivfFile) advance(stamp uint64) {
	if f.any {
		step := f.step
		if n := stamp - f.last; stamp > f.last && n < 1<<20 {
			if s := ticks(int64(n), f.ivf.rate, f.ivf.unit); s <= longestStep {
				step = max(s, time.Microsecond)
			}
		}
		f.due, f.step = f.due+step, step
	}
	f.last, f.any = stamp, true
}

func (f *ivfFile) rewind() error {
	if _, err := f.file.Seek(f.ivf.start, io.SeekStart); err != nil {
		return err
	}
	f.ivf.off, f.due, f.any = f.ivf.start, 0, false
	return nil
}

// fps is the inverse of the timestamps' unit where that is a sensible rate;
// many files count in milliseconds.
func (f *ivfFile) fps() float64 {
	if r := float64(f.ivf.rate) / float64(f.ivf.unit); r <= 240 {
		return r
	}
	return 0
}

func (f *ivfFile) close() { f.vp8.close() }
