package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// y4mReader takes YUV4MPEG2 apart (the format of mjpegtools and of ffmpeg's
// yuv4mpegpipe). A frame is read straight into its planes when it is 4:2:0 of
// even size, else through convert. Interlaced pictures are taken as they come,
// odd sizes are cropped to even.
type y4mReader struct {
	r      io.Reader
	layout layout
	num    int64 // frames a second, num/den; 0/1 when not known
	den    int64

	off  int64  // bytes taken so far, for error messages
	pend []byte // read, but not taken yet; lies in buf
	buf  [1024]byte
	raw  []byte // a frame before conversion
}

// errLine is a header line longer than any real one.
var errLine = errors.New("no line end within 1 KiB")

// newY4MReader reads the stream's header.
func newY4MReader(r io.Reader) (*y4mReader, error) {
	y := &y4mReader{r: r}
	line, err := y.line()
	if err != nil {
		return nil, err
	}
	if err := y.header(line); err != nil {
		return nil, err
	}
	return y, nil
}

// line takes a line without its end. It is valid until the next call. io.EOF
// means that there was nothing at all.
func (y *y4mReader) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(y.pend, '\n'); i >= 0 {
			line := y.pend[:i]
			y.pend = y.pend[i+1:]
			y.off += int64(i) + 1
			return line, nil
		}
		n := copy(y.buf[:], y.pend)
		y.pend = y.buf[:n]
		if n == len(y.buf) {
			return nil, fmt.Errorf("not Y4M at byte %d: %w", y.off, errLine)
		}
		m, err := y.r.Read(y.buf[n:])
		y.pend = y.buf[:n+m]
		if m > 0 {
			continue
		}
		switch {
		case err == nil:
		case err == io.EOF && n == 0:
			return nil, io.EOF
		case err == io.EOF:
			return nil, fmt.Errorf("ends within a header at byte %d: %w", y.off+int64(n), io.ErrUnexpectedEOF)
		default:
			return nil, err
		}
	}
}

const y4mMagic = "YUV4MPEG2"

// header parses the stream's header line.
func (y *y4mReader) header(line []byte) error {
	fields := bytes.Fields(line)
	if len(fields) == 0 || string(fields[0]) != y4mMagic {
		return fmt.Errorf("not Y4M: begins with %.20q instead of %q", line, y4mMagic+" ")
	}
	l, num, den := layout{kind: chroma420}, int64(0), int64(1)
	for _, f := range fields[1:] {
		v, bad := string(f[1:]), error(nil)
		switch f[0] {
		case 'W':
			l.w, bad = strconv.Atoi(v)
		case 'H':
			l.h, bad = strconv.Atoi(v)
		case 'F':
			num, den, bad = parseRate(v)
		case 'C':
			l.kind, bad = parseChroma(v)
		}
		if bad != nil {
			return fmt.Errorf("bad Y4M header, %.40q: %w", f, bad)
		}
	}
	if l.w < 2 || l.h < 2 || l.w > maxSide || l.h > maxSide {
		return fmt.Errorf("bad Y4M header: a size of %dx%d is not within 2x2 to %dx%d", l.w, l.h, maxSide, maxSide)
	}
	y.layout, y.num, y.den = l, num, den
	return nil
}

func parseRate(s string) (num, den int64, err error) {
	n, d, _ := bytes.Cut([]byte(s), []byte(":"))
	num, err1 := strconv.ParseInt(string(n), 10, 32)
	den, err2 := strconv.ParseInt(string(d), 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return 0, 0, errors.New("the rate is not N:D")
	}
	if num == 0 || den == 0 {
		return 0, 1, nil
	}
	if num < 0 || den < 0 || num > 1000*den {
		return 0, 0, errors.New("the rate is not within 0 and 1000 frames a second")
	}
	return num, den, nil
}

func parseChroma(s string) (chromaKind, error) {
	switch s {
	case "420", "420jpeg", "420mpeg2", "420paldv":
		return chroma420, nil
	case "422":
		return chroma422, nil
	case "444":
		return chroma444, nil
	case "444alpha":
		return chroma444Alpha, nil
	case "mono":
		return chromaMono, nil
	}
	return 0, errors.New("this colour format is not known here: write 8 bit 4:2:0 (ffmpeg: -pix_fmt yuv420p)")
}

func (y *y4mReader) format() Format {
	return Format{y.layout.w &^ 1, y.layout.h &^ 1, float64(y.num) / float64(y.den)}
}

// period is how long a frame lasts; 1/30 s when the header does not say.
func (y *y4mReader) period() time.Duration {
	if y.num == 0 {
		return time.Second / defaultFPS
	}
	return ticks(1, y.num, y.den)
}

// begin waits for a frame's first byte, says when it came, and reads the
// frame's header; frame or skip must follow. io.EOF is an end between frames.
// A new stream header on the way (files and producers that follow each other)
// changes the layout.
func (y *y4mReader) begin() (time.Time, error) {
	for {
		if len(y.pend) == 0 {
			n, err := y.r.Read(y.buf[:])
			y.pend = y.buf[:n]
			if n == 0 && err != nil {
				return time.Time{}, err
			}
		}
		at, off := time.Now(), y.off
		line, err := y.line()
		if err != nil {
			return time.Time{}, err
		}
		if bytes.HasPrefix(line, []byte(y4mMagic+" ")) {
			if err := y.header(line); err != nil {
				return time.Time{}, fmt.Errorf("at byte %d: %w", off, err)
			}
			continue
		}
		if word, _, _ := bytes.Cut(line, []byte(" ")); string(word) != "FRAME" {
			return time.Time{}, fmt.Errorf("broken Y4M at byte %d: %.20q where a FRAME should begin", off, line)
		}
		return at, nil
	}
}

// frame reads the planes after begin.
func (y *y4mReader) frame(p *framePool) (*Frame, error) {
	f := p.get(y.layout.w, y.layout.h)
	if y.layout.direct() {
		if err := y.full(f.i420()); err != nil {
			f.Release()
			return nil, err
		}
		return f, nil
	}
	if n := y.layout.size(); len(y.raw) != n {
		y.raw = make([]byte, n)
	}
	if err := y.full(y.raw); err != nil {
		f.Release()
		return nil, err
	}
	y.layout.convert(f.YCbCr, y.raw)
	return f, nil
}

// full fills b, first with what the search for the header had read too much.
func (y *y4mReader) full(b []byte) error {
	n := copy(b, y.pend)
	y.pend = y.pend[n:]
	m, err := io.ReadFull(y.r, b[n:])
	y.off += int64(n + m)
	return y.within(err)
}

// skip passes over the planes after begin.
func (y *y4mReader) skip() error {
	if y.raw == nil {
		y.raw = make([]byte, 256<<10)
	}
	for left := y.layout.size(); left > 0; {
		n := min(left, len(y.raw))
		if err := y.full(y.raw[:n]); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// within explains an end in the middle of a frame.
func (y *y4mReader) within(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("ends within a frame at byte %d: %w", y.off, io.ErrUnexpectedEOF)
	}
	return err
}
