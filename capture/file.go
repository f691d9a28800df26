package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// fileVideo plays a Y4M, MJPEG or IVF file at its own rate, over and over.
type fileVideo struct {
	path string
	want Format
	log  *slog.Logger
}

func newFileVideo(path string, o Options) (VideoSource, error) {
	if err := checkFile("--camera", path); err != nil {
		return nil, err
	}
	return &fileVideo{path, o.Want, o.log()}, nil
}

func (s *fileVideo) String() string { return fileName(s.path) }

func (s *fileVideo) Open(_ context.Context, want Format) (VideoReader, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err // names the path
	}
	dec, err := newVideoDecoder(f, want.or(s.want).FPS, s.log.With("file", s.path))
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	r := &fileReader{path: s.path, log: s.log, dec: dec, file: f, pacer: newPacer(time.Now())}
	if r.first, err = r.decode(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// videoDecoder takes a file's pictures one by one. Its errors name the offset.
type videoDecoder interface {
	// next returns the next picture, when it is due after the beginning of
	// the file, and for how long it stands. io.EOF: there are no more.
	next(*framePool) (timedFrame, error)
	// rewind goes back to the first picture.
	rewind() error
	// fps is the rate, 0 when it is not known.
	fps() float64
	close()
}

type timedFrame struct {
	*Frame
	due, length time.Duration
}

// newVideoDecoder looks at what the file holds; names often lie. fps is for
// formats that do not say their own rate.
func newVideoDecoder(f io.ReadSeeker, fps float64, log *slog.Logger) (videoDecoder, error) {
	var magic [12]byte
	n, err := io.ReadFull(f, magic[:])
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return nil, err
	}
	if n == 0 {
		return nil, errors.New("is empty")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	has := func(at int, s string) bool { return bytes.HasPrefix(magic[min(at, n):n], []byte(s)) }
	switch {
	case has(0, y4mMagic):
		return newY4MFile(f)
	case has(0, ivfMagic):
		return newIVFFile(f, log)
	case has(0, "\xff\xd8"):
		return newMJPEGFile(f, fps, log), nil
	}
	return nil, fmt.Errorf("is not Y4M, MJPEG or IVF (begins with %q): convert it with ffmpeg -i FILE -pix_fmt yuv420p OUT.y4m, or let ffmpeg play it through exec:", magic[:n])
}

// fileReader paces a decoder.
type fileReader struct {
	path  string
	log   *slog.Logger
	pacer *pacer
	pool  framePool
	first timedFrame // decoded by Open, to see that the file is good

	base time.Duration // when this pass over the file began
	end  time.Duration // of what was decoded in this pass
	cut  bool          // that the last picture is incomplete was logged

	mu     sync.Mutex // Close must not pull the decoder away from Read
	dec    videoDecoder
	file   io.Closer
	closed bool
	format Format
}

func (r *fileReader) Format() Format { return r.format }

func (r *fileReader) Read() (*Frame, error) {
	f := r.first
	r.first = timedFrame{}
	if f.Frame == nil {
		var err error
		if f, err = r.decode(); err != nil {
			return nil, err
		}
	}
	// A reader that was away for long goes on where it was; a short delay is
	// caught up, so that sound and picture of two files stay together.
	if late := r.pacer.late(f.due); late > time.Second {
		r.pacer.start = r.pacer.start.Add(late)
	}
	at, err := r.pacer.wait(f.due)
	if err != nil {
		f.Release()
		return nil, err
	}
	f.Time = at
	return f.Frame, nil
}

// decode returns the next picture, due since the reader's start, and begins
// anew at the end of the file.
func (r *fileReader) decode() (timedFrame, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return timedFrame{}, ErrClosed
	}
	f, err := r.dec.next(&r.pool)
	if errors.Is(err, io.ErrUnexpectedEOF) && r.end > 0 {
		if !r.cut {
			r.cut = true
			r.log.Warn("the file's last picture is incomplete and left out", "file", r.path, "err", err)
		}
		err = io.EOF
	}
	if err == io.EOF {
		if r.end == 0 {
			return timedFrame{}, fmt.Errorf("%s: holds no picture", r.path)
		}
		if err := r.dec.rewind(); err != nil {
			return timedFrame{}, fmt.Errorf("%s: %w", r.path, err)
		}
		r.base, r.end = r.base+r.end, 0
		if f, err = r.dec.next(&r.pool); err == io.EOF {
			err = errors.New("holds no picture any more")
		}
	}
	if err != nil {
		return timedFrame{}, fmt.Errorf("%s: %w", r.path, err)
	}
	r.end = max(r.end, f.due+f.length)
	f.due += r.base
	if r.format.Width == 0 {
		r.format = Format{f.Rect.Dx(), f.Rect.Dy(), r.dec.fps()}
	}
	return f, nil
}

func (r *fileReader) Close() error {
	r.pacer.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.dec.close()
	return r.file.Close()
}

// y4mFile is the videoDecoder of Y4M.
type y4mFile struct {
	*y4mReader
	file     io.ReadSeeker
	base     time.Duration // when the current rate began to hold
	num, den int64         // that rate
	n        int64         // frames since then
}

func newY4MFile(f io.ReadSeeker) (*y4mFile, error) {
	y, err := newY4MReader(f)
	if err != nil {
		return nil, err
	}
	return &y4mFile{y4mReader: y, file: f}, nil
}

func (f *y4mFile) next(p *framePool) (timedFrame, error) {
	if _, err := f.begin(); err != nil {
		return timedFrame{}, err
	}
	frame, err := f.frame(p)
	if err != nil {
		return timedFrame{}, err
	}
	num, den := f.y4mReader.num, f.y4mReader.den
	if num == 0 {
		num, den = defaultFPS, 1
	}
	if num != f.num || den != f.den {
		if f.n > 0 {
			f.base += ticks(f.n, f.num, f.den)
		}
		f.num, f.den, f.n = num, den, 0
	}
	due := ticks(f.n, num, den)
	f.n++
	return timedFrame{frame, f.base + due, ticks(f.n, num, den) - due}, nil
}

func (f *y4mFile) rewind() error {
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	y, err := newY4MReader(f.file)
	if err == io.EOF {
		return errors.New("is empty by now")
	}
	if err != nil {
		return err
	}
	y.raw = f.raw
	*f = y4mFile{y4mReader: y, file: f.file}
	return nil
}

func (f *y4mFile) fps() float64 { return f.format().FPS }
func (f *y4mFile) close()       {}
