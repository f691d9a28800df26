package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/peercam/peercam/peer"
)

// output takes what a camera sends: pictures from a key frame on, each of which
// can be decoded, and packets of sound.
type output interface {
	video(peer.Media) error
	audio(peer.Media) error
	// close writes what is still to be written.
	close() error
}

// sinkQueue is how many pictures and packets may wait for a disk or a player: some
// seconds. When it is full pictures are dropped until a key frame, and sound.
const sinkQueue = 512

// sink hands media to the outputs in a goroutine of its own, so that a slow one
// does not hold up the network.
type sink struct {
	outputs []output
	queue   chan received
	dropped atomic.Int64
	waitKey bool // of take's goroutine
	log     *slog.Logger
}

type received struct {
	peer.Media
	isVideo bool
}

// take queues what came; false asks for a key frame. It never blocks.
func (s *sink) take(m peer.Media, isVideo bool) bool {
	if len(s.outputs) == 0 {
		return true
	}
	if isVideo && s.waitKey && !m.Key {
		s.dropped.Add(1)
		return false
	}
	select {
	case s.queue <- received{m, isVideo}:
		s.waitKey = s.waitKey && !isVideo
		return true
	default:
	}
	if s.dropped.Add(1) == 1 {
		s.log.Warn("what is written to does not keep up: pictures are left out")
	}
	s.waitKey = s.waitKey || isVideo
	return !isVideo
}

// run writes until ctx is done.
func (s *sink) run(ctx context.Context) error {
	for {
		select {
		case m := <-s.queue:
			if err := s.write(m); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *sink) write(m received) error {
	for _, o := range s.outputs {
		do := o.audio
		if m.isVideo {
			do = o.video
		}
		if err := do(m.Media); err != nil {
			return err
		}
	}
	return nil
}

// close writes what waits and closes the outputs, once nothing runs any more.
func (s *sink) close() error {
	var errs []error
	for more := true; more && len(errs) == 0; {
		select {
		case m := <-s.queue:
			if err := s.write(m); err != nil && !errors.Is(err, errViewed) {
				errs = append(errs, err)
			}
		default:
			more = false
		}
	}
	for _, o := range s.outputs {
		errs = append(errs, o.close())
	}
	return errors.Join(errs...)
}

// newRecording opens a file by the kind that its name says.
func newRecording(name string, stdout io.Writer) (output, error) {
	if name == "-" {
		return newWebM(file{Writer: stdout}), nil
	}
	kind := strings.ToLower(filepath.Ext(name))
	var wrap func(file) output
	switch kind {
	case ".webm":
		wrap = func(f file) output { return newWebM(f) }
	case ".ivf":
		wrap = func(f file) output { return newIVF(f) }
	case ".ogg", ".opus":
		wrap = func(f file) output { return newOgg(f) }
	default:
		return nil, fmt.Errorf("the name must end in .webm (picture and sound), .ivf (picture) or .ogg (sound), not %q", kind)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, os.ErrExist) {
		return nil, errors.New("the file is there already, and a recording is not written over another: choose another name, or delete it")
	}
	if err != nil {
		return nil, err
	}
	return wrap(file{Writer: f, Seeker: f, Closer: f, made: name}), nil
}

// file is what a recording is written to; a pipe cannot seek, and stdout is not
// ours to close.
type file struct {
	io.Writer
	io.Seeker
	io.Closer
	made string // its name, to be removed if nothing is written; "": it stays
}

// patch writes over what stands at an offset, where that can be done.
func (f file) patch(at int64, b []byte) error {
	if f.Seeker == nil {
		return nil
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return err
	}
	_, err := f.Write(b)
	return err
}

func (f file) end() error {
	if f.Closer == nil {
		return nil
	}
	err := f.Close()
	if f.made == "" {
		return err
	}
	// An empty file is no recording, and would be in the way of the next try.
	if info, e := os.Lstat(f.made); e == nil && info.Mode().IsRegular() && info.Size() == 0 {
		err = errors.Join(err, os.Remove(f.made))
	}
	return err
}
