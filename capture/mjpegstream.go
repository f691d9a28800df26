package capture

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// jpegStreamRate is the fastest Motion JPEG, in pictures a second, that is
// taken for a camera's. Motion JPEG has no rate of its own; what comes faster
// is a film, and slowed down to this.
const jpegStreamRate = 60

// jpegStream is Motion JPEG without a container as a stream.
type jpegStream struct {
	split jpegSplitter
	jpeg  *jpegDecoder
	pool  framePool
	size  sizeGuard
	flaws flaws
	first *Frame // read by openJPEGStream to learn the size
	data  []byte // the picture that begin found
}

func openJPEGStream(r io.Reader, log *slog.Logger) (stream[*Frame], error) {
	s := &jpegStream{split: jpegSplitter{r: r}, jpeg: newJPEGDecoder(), flaws: flaws{log: log}}
	at, err := s.begin()
	if err == nil {
		s.first, err = s.take(at)
	}
	if err != nil {
		s.close()
		if err == io.EOF && s.flaws.first != nil {
			err = fmt.Errorf("no picture in it can be decoded: %w", s.flaws.first)
		}
		return nil, fmt.Errorf("reading Motion JPEG: %w", err)
	}
	return s, nil
}

func (s *jpegStream) format() Format        { return Format{s.size.w &^ 1, s.size.h &^ 1, 0} }
func (s *jpegStream) period() time.Duration { return time.Second / jpegStreamRate }
func (s *jpegStream) skip() error           { return nil }
func (s *jpegStream) close()                { s.jpeg.close() }

// begin waits for a whole picture: its first byte alone may be the end of what
// a writer's buffer held back.
func (s *jpegStream) begin() (time.Time, error) {
	if s.first != nil {
		return s.first.Time, nil
	}
	for {
		data, _, err := s.split.next()
		switch {
		case errors.Is(err, errSplit):
			s.flaws.add(err)
			continue
		case err != nil:
			return time.Time{}, err
		}
		s.data = data
		return time.Now(), nil
	}
}

// take decodes the picture, or the first one after it that can be.
func (s *jpegStream) take(at time.Time) (f *Frame, err error) {
	if f = s.first; f != nil {
		s.first = nil
		return f, nil
	}
	for {
		f, err := s.jpeg.Decode(s.data, func(w, h int) *Frame {
			if !s.size.believe(w, h) {
				return nil
			}
			return s.pool.get(w, h)
		})
		if err == nil {
			f.Time = at
			return f, nil
		}
		s.flaws.add(err)
		if at, err = s.begin(); err != nil {
			return nil, err
		}
	}
}
