package main

import (
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/peercam/peercam/capture"
	"github.com/peercam/peercam/peer"
)

// y4m writes the decoded picture as YUV4MPEG2, whose size and rate are fixed:
// pictures are scaled, and repeated or left out.
type y4m struct {
	f       file
	size    size // zero: not known yet
	largest func() size
	fps     float64
	decoder *capture.VP8Decoder
	scaler  *scaler
	time    timeline
	next    int64 // number of the picture to be written next
}

// y4mGap is how long a stillness is filled with the same picture; the time of a
// longer one is left out.
const y4mGap = 2 * time.Second

func newY4M(name string, stdout io.Writer, s size, fps float64, largest func() size) (*y4m, error) {
	f, err := create(name, stdout)
	if err != nil {
		return nil, err
	}
	d, err := capture.NewVP8Decoder()
	if err != nil {
		return nil, errors.Join(err, f.end())
	}
	return &y4m{f: f, size: s, largest: largest, fps: fps, decoder: d}, nil
}

// create opens a file that may be there already, or stdout.
func create(name string, stdout io.Writer) (file, error) {
	if name == "-" {
		return file{Writer: stdout}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return file{}, err
	}
	return file{Writer: f, Closer: f}, nil
}

func (y *y4m) video(m peer.Media) error {
	picture, err := y.decoder.Decode(m.Data)
	if picture == nil || err != nil {
		return nil // the next key frame makes up for it
	}
	defer picture.Release()
	at, ok := y.time.at(timelineVideo, m.Time, 0)
	if !ok {
		return nil
	}
	if y.scaler == nil {
		if err := y.begin(picture); err != nil {
			return err
		}
	}
	due := int64(at.Seconds()*y.fps + 0.5)
	if due-y.next > int64(y4mGap.Seconds()*y.fps) {
		y.time.origin = y.time.origin.Add(time.Duration(float64(due-y.next) / y.fps * float64(time.Second)))
		y.time.last[timelineVideo] = 0
		due = y.next
	}
	if due < y.next {
		return nil
	}
	frame := y.scaler.scale(picture.YCbCr)
	for ; y.next <= due; y.next++ {
		if _, err := y.f.Write(frame); err != nil {
			return fmt.Errorf("writing the picture: %w", err)
		}
	}
	return nil
}

func (y *y4m) begin(first *capture.Frame) error {
	if y.size == (size{}) {
		y.size = y.largest()
	}
	if y.size == (size{}) {
		y.size = size{first.Rect.Dx(), first.Rect.Dy()}
	}
	y.size = size{max(y.size.Width&^1, 2), max(y.size.Height&^1, 2)}
	y.scaler = newScaler(y.size)
	num, den := int64(math.Round(y.fps*1000)), int64(1000)
	if num%1000 == 0 {
		num, den = num/1000, 1
	}
	_, err := fmt.Fprintf(y.f, "YUV4MPEG2 W%d H%d F%d:%d Ip A1:1 C420jpeg\n", y.size.Width, y.size.Height, num, den)
	return err
}

func (y *y4m) audio(peer.Media) error { return nil }

func (y *y4m) close() error {
	y.decoder.Close()
	return y.f.end()
}

// snapshot writes the first picture as a JPEG.
type snapshot struct {
	name    string
	stdout  io.Writer
	last    bool // nothing else is to be done
	done    bool
	decoder *capture.VP8Decoder
}

func newSnapshot(name string, stdout io.Writer) (*snapshot, error) {
	if name != "-" {
		if info, err := os.Stat(filepath.Dir(name)); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("there is no directory %s", filepath.Dir(name))
		}
	}
	d, err := capture.NewVP8Decoder()
	return &snapshot{name: name, stdout: stdout, decoder: d}, err
}

func (s *snapshot) video(m peer.Media) error {
	if s.done {
		return nil
	}
	picture, err := s.decoder.Decode(m.Data)
	if picture == nil || err != nil {
		return nil
	}
	defer picture.Release()
	s.done = true
	if err := s.write(picture); err != nil {
		return fmt.Errorf("writing the snapshot: %w", err)
	}
	if s.last {
		return errViewed
	}
	return nil
}

// write puts the picture in place of an older one at once, so that nobody reads
// half of it.
func (s *snapshot) write(picture *capture.Frame) error {
	options := &jpeg.Options{Quality: 90}
	if s.name == "-" {
		return jpeg.Encode(s.stdout, picture, options)
	}
	f, err := os.CreateTemp(filepath.Dir(s.name), ".peercam-*.jpg")
	if err != nil {
		return err
	}
	err = errors.Join(jpeg.Encode(f, picture, options), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.name)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // half a picture is of no use
	}
	return err
}

func (s *snapshot) audio(peer.Media) error { return nil }

func (s *snapshot) close() error {
	s.decoder.Close()
	return nil
}
