package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// maxPicture bounds a compressed picture in bytes.
const maxPicture = 16 << 20

// jpegSplitter finds the pictures in JPEGs that follow each other, by their
// markers (ITU-T T.81, B.1), so that a thumbnail inside is not taken for one.
type jpegSplitter struct {
	r     io.Reader
	room  []byte
	win   []byte // what was read and not passed yet; lies in room
	off   int64  // of win in the stream
	taken int    // of win, with the next call
}

var (
	errSplit  = errors.New("broken JPEG")
	jpegStart = []byte{0xff, 0xd8}
)

// next returns the next picture and its offset. The picture is valid until the
// next call. After errSplit the next call goes on behind what is broken.
func (s *jpegSplitter) next() ([]byte, int64, error) {
	s.pass(s.taken)
	s.taken = 0
	for {
		i := bytes.Index(s.win, jpegStart)
		if i >= 0 {
			s.pass(i)
			break
		}
		s.pass(max(0, len(s.win)-1))
		if err := s.need(len(s.win) + 1); err != nil {
			return nil, s.off, err
		}
	}
	n, err := s.length()
	switch {
	case err == io.EOF:
		return nil, s.off, fmt.Errorf("ends within the picture at byte %d: %w", s.off, io.ErrUnexpectedEOF)
	case err != nil:
		s.taken = max(n, 2)
		return nil, s.off, err
	}
	s.taken = n
	return s.win[:n], s.off, nil
}

// pass drops n bytes of the window.
func (s *jpegSplitter) pass(n int) {
	s.win = s.win[n:]
	s.off += int64(n)
}

// need reads until the window holds n bytes; io.EOF when there are not so many.
func (s *jpegSplitter) need(n int) error {
	if n > maxPicture {
		return fmt.Errorf("%w: longer than %d bytes", errSplit, maxPicture)
	}
	for len(s.win) < n {
		if n > cap(s.win) || len(s.win) == cap(s.win) {
			if room := max(256<<10, 2*n); len(s.room) < room {
				s.room = append(make([]byte, 0, room), s.win...)[:room]
			} else {
				copy(s.room, s.win)
			}
			s.win = s.room[:len(s.win)]
		}
		m, err := s.r.Read(s.win[len(s.win):cap(s.win)])
		s.win = s.win[:len(s.win)+m]
		if m == 0 && err != nil {
			return err
		}
	}
	return nil
}

// length is how long the picture at the window's beginning is. With errSplit
// it is how far it could be followed.
func (s *jpegSplitter) length() (int, error) {
	for pos := 2; ; {
		if err := s.need(pos + 2); err != nil {
			return pos, err
		}
		mark := s.win[pos+1]
		switch {
		case s.win[pos] != 0xff || mark == 0 || mark == 0xd8:
			return pos, fmt.Errorf("%w: no marker at byte %d", errSplit, s.off+int64(pos))
		case mark == 0xff: // padding
			pos++
			continue
		case mark == 0xd9:
			return pos + 2, nil
		case mark == 1 || mark >= 0xd0 && mark <= 0xd7: // without a length
			pos += 2
			continue
		}
		if err := s.need(pos + 4); err != nil {
			return pos, err
		}
		pos += 2 + max(2, int(s.win[pos+2])<<8|int(s.win[pos+3]))
		if mark == 0xda {
			var err error
			if pos, err = s.scan(pos); err != nil {
				return pos, err
			}
		}
	}
}

// scan passes over entropy coded data from pos to the next marker.
func (s *jpegSplitter) scan(pos int) (int, error) {
	for {
		if err := s.need(pos + 2); err != nil {
			return pos, err
		}
		i := bytes.IndexByte(s.win[pos:len(s.win)-1], 0xff)
		if i < 0 {
			pos = len(s.win) - 1
			continue
		}
		pos += i
		switch c := s.win[pos+1]; {
		case c == 0 || c >= 0xd0 && c <= 0xd7:
			pos += 2
		case c == 0xff:
			pos++
		default:
			return pos, nil
		}
	}
}

// flaws counts what of a file could not be decoded: it is left out, as one
// broken picture is no reason to end.
type flaws struct {
	log   *slog.Logger
	good  bool
	first error
}

func (f *flaws) add(err error) {
	if f.first == nil {
		f.first = err
		f.log.Warn("a broken picture is left out, and so are further ones", "err", err)
	}
}

// end is what the end of the file means.
func (f *flaws) end() error {
	if !f.good && f.first != nil {
		return fmt.Errorf("no picture in it can be decoded: %w", f.first)
	}
	return io.EOF
}

// mjpegFile is the videoDecoder of Motion JPEG without a container.
type mjpegFile struct {
	file     io.ReadSeeker
	split    jpegSplitter
	jpeg     *jpegDecoder
	flaws    flaws
	num, den int64
	n        int64
}

func newMJPEGFile(f io.ReadSeeker, fps float64, log *slog.Logger) *mjpegFile {
	if !(fps >= 0.1 && fps <= 1000) {
		fps = defaultFPS
	}
	return &mjpegFile{
		file: f, split: jpegSplitter{r: f}, jpeg: newJPEGDecoder(), flaws: flaws{log: log},
		num: int64(fps * 1000), den: 1000,
	}
}

func (f *mjpegFile) next(p *framePool) (timedFrame, error) {
	for {
		data, off, err := f.split.next()
		switch {
		case err == io.EOF:
			return timedFrame{}, f.flaws.end()
		case errors.Is(err, errSplit):
			f.flaws.add(err)
			continue
		case err != nil:
			return timedFrame{}, err
		}
		due := ticks(f.n, f.num, f.den)
		f.n++
		frame, err := f.jpeg.Decode(data, p.get)
		if err != nil {
			f.flaws.add(fmt.Errorf("picture at byte %d: %w", off, err))
			continue
		}
		f.flaws.good = true
		return timedFrame{frame, due, ticks(f.n, f.num, f.den) - due}, nil
	}
}

func (f *mjpegFile) rewind() error {
	_, err := f.file.Seek(0, io.SeekStart)
	f.split = jpegSplitter{r: f.file, room: f.split.room}
	f.n = 0
	return err
}

func (f *mjpegFile) fps() float64 { return float64(f.num) / float64(f.den) }
func (f *mjpegFile) close()       { f.jpeg.close() }
