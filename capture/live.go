package capture

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// piece is what live streams are made of: a *Frame, or a *run of sound.
type piece interface {
	comparable
	Release()
}

// stream takes pieces from a pipe.
type stream[T piece] interface {
	// begin waits for the next piece and says when it was taken; take or skip
	// must follow. io.EOF is an end between pieces.
	begin() (time.Time, error)
	take(at time.Time) (T, error)
	skip() error
	// period is how long a piece stands or sounds.
	period() time.Duration
	// format is the picture's, and zero for sound.
	format() Format
}

// live is the queue from a stream that does not wait to its reader. It is
// bounded; when it is full the oldest piece makes room and is counted.
type live[T piece] struct {
	box     chan T
	dropped atomic.Uint64

	ended chan struct{} // closed by end
	err   error         // why; set before

	done    chan struct{} // closed by Close
	once    sync.Once
	onClose func() // returns when nobody will call put or end any more
}

func newLive[T piece](room int) *live[T] {
	return &live[T]{box: make(chan T, room), ended: make(chan struct{}), done: make(chan struct{})}
}

// next waits for a piece.
func (l *live[T]) next() (T, error) {
	var none T
	select {
	case <-l.done:
		return none, ErrClosed
	default:
	}
	select {
	case t := <-l.box:
		return t, nil
	case <-l.done:
		return none, ErrClosed
	case <-l.ended:
	}
	select {
	case t := <-l.box: // the last ones
		return t, nil
	default:
		return none, l.err
	}
}

// put hands a piece to the reader. Only one goroutine may call it.
func (l *live[T]) put(t T) {
	for {
		select {
		case l.box <- t:
			return
		default:
		}
		select {
		case old := <-l.box:
			old.Release()
			l.dropped.Add(1)
		default:
		}
	}
}

// end tells the reader that nothing more will come, once.
func (l *live[T]) end(err error) {
	l.err = err
	close(l.ended)
}

// Close ends a Read that waits.
func (l *live[T]) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.onClose()
	})
	return nil
}

// liveVideo is the reader of a live stream of pictures. There is room for one:
// an older one is not worth having.
type liveVideo struct {
	*live[*Frame]
	promised Format
}

const videoRoom = 1

func (r liveVideo) Format() Format        { return r.promised }
func (r liveVideo) Read() (*Frame, error) { return r.next() }

// liveAudio is the reader of a live stream of sound. There is room for 200 ms.
type liveAudio struct {
	*live[*run]
	current *run
}

const audioRoom = 20

func (r *liveAudio) Read() (*Samples, error) {
	if r.current != nil {
		r.current.Release()
		r.current = nil
	}
	run, err := r.next()
	if err != nil {
		return nil, err
	}
	r.current = run
	return &run.Samples, nil
}

// closeStream frees what a stream holds besides memory.
func closeStream[T piece](s stream[T]) {
	if c, ok := s.(interface{ close() }); ok {
		c.close()
	}
}

// pump moves pieces from a stream to whom reader names at that time, or past
// nobody, until the stream ends, or done is closed and the stream allows it.
func pump[T piece](s stream[T], reader func() *live[T], done <-chan struct{}) error {
	var pace meter
	var sleep sleeper
	for {
		if !sleep.sleep(pace.wait(time.Now(), s.period()), done) {
			return ErrClosed
		}
		at, err := s.begin()
		if err != nil {
			return err
		}
		l := reader()
		if l == nil {
			if err := s.skip(); err != nil {
				return err
			}
			continue
		}
		t, err := s.take(at)
		if err != nil {
			return err
		}
		l.put(t)
	}
}

// videoStream is Y4M as a stream.
type videoStream struct {
	*y4mReader
	pool framePool
}

// openVideo returns what tells Y4M from Motion JPEG by the first bytes.
func openVideo(log *slog.Logger) func(io.Reader) (stream[*Frame], error) {
	return func(r io.Reader) (stream[*Frame], error) { return openVideoStream(r, log) }
}

func openVideoStream(r io.Reader, log *slog.Logger) (stream[*Frame], error) {
	head := make([]byte, 2)
	n, err := io.ReadFull(r, head)
	if n == 0 && err != nil {
		return nil, err
	}
	r = io.MultiReader(bytes.NewReader(head[:n]), r)
	if bytes.Equal(head, jpegStart) {
		return openJPEGStream(r, log)
	}
	y, err := newY4MReader(r)
	if err != nil {
		return nil, err
	}
	return &videoStream{y4mReader: y}, nil
}

func (s *videoStream) take(at time.Time) (*Frame, error) {
	f, err := s.frame(&s.pool)
	if err != nil {
		return nil, err
	}
	f.Time = at
	return f, nil
}

// execVideo is a command that writes Y4M or Motion JPEG, started by Open and ended by Close.
type execVideo struct{ command }

func (s *execVideo) Open(ctx context.Context, _ Format) (VideoReader, error) {
	return s.run(ctx, openVideo(s.log))
}

// run starts the command and reads from it what open understands.
func (c command) run(ctx context.Context, open func(io.Reader) (stream[*Frame], error)) (VideoReader, error) {
	l, format, err := runCommand(ctx, c, open, videoRoom)
	if err != nil {
		return nil, err
	}
	return liveVideo{l, format}, nil
}

// execAudio is a command that writes WAV, or s16le at 48 kHz mono.
type execAudio struct{ command }

func (s *execAudio) Open(ctx context.Context) (AudioReader, error) {
	l, _, err := runCommand(ctx, s.command, openAudioStream, audioRoom)
	if err != nil {
		return nil, err
	}
	return &liveAudio{live: l}, nil
}

// stdinVideo is Y4M or Motion JPEG on stdin, stdinAudio WAV or s16le.
type (
	stdinVideo struct{ *drain[*Frame] }
	stdinAudio struct{ *drain[*run] }
)

func (s stdinVideo) Open(ctx context.Context, _ Format) (VideoReader, error) {
	l, format, err := s.attach(ctx, videoRoom)
	if err != nil {
		return nil, err
	}
	return liveVideo{l, format}, nil
}

func (s stdinAudio) Open(ctx context.Context) (AudioReader, error) {
	l, _, err := s.attach(ctx, audioRoom)
	if err != nil {
		return nil, err
	}
	return &liveAudio{live: l}, nil
}
