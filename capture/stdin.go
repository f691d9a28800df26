package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
)

// openStdin is what "-" reads, ready for large reads.
func openStdin(o Options, flag, what string) (io.Reader, error) {
	in := o.Stdin
	if in == nil {
		in = os.Stdin
	}
	f, ok := in.(*os.File)
	if !ok {
		return in, nil
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%s -: stdin: %w", flag, err)
	}
	if fi.Mode()&os.ModeCharDevice != 0 && isTerminal(f) {
		return nil, fmt.Errorf("%s -: stdin is a terminal: pipe %s into it", flag, what)
	}
	if f == os.Stdin {
		f = pollable(f)
	}
	growPipe(f)
	return f, nil
}

// drain is a stream that is there once, on stdin: opened and closed again and
// again while the stream goes on, and what nobody watches is thrown away. One
// goroutine reads, from the beginning until Close or the end.
type drain[T piece] struct {
	log    *slog.Logger
	in     io.Reader
	closed chan struct{} // by Close
	once   sync.Once
	begun  chan struct{} // when format or err is set
	ended  chan struct{} // when the goroutine has ended

	mu     sync.Mutex
	reader *live[T] // who watches
	format Format
	err    error // why the stream is over
}

func newDrain[T piece](in io.Reader, log *slog.Logger, open func(io.Reader) (stream[T], error)) *drain[T] {
	d := &drain[T]{
		in: in, log: log,
		closed: make(chan struct{}), begun: make(chan struct{}), ended: make(chan struct{}),
	}
	go func() {
		defer close(d.ended)
		s, err := open(in)
		if err == io.EOF {
			err = fmt.Errorf("ended before anything came: %w", io.EOF)
		}
		if err == nil {
			defer closeStream(s)
			d.mu.Lock()
			d.format = s.format()
			d.mu.Unlock()
			close(d.begun)
			err = pump(s, d.watcher, d.closed)
		}
		d.finish(err)
	}()
	return d
}

func (d *drain[T]) String() string { return "stdin" }

func (d *drain[T]) watcher() *live[T] {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reader
}

// finish tells whoever waits that the stream is over.
func (d *drain[T]) finish(err error) {
	select {
	case <-d.closed:
		err = ErrClosed
	default:
	}
	if err != io.EOF && err != ErrClosed {
		err = fmt.Errorf("stdin: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
	select {
	case <-d.begun:
	default:
		close(d.begun)
	}
	if d.reader != nil {
		d.reader.end(err)
	}
}

// attach opens the stream for a reader with room for that many pieces.
func (d *drain[T]) attach(ctx context.Context, room int) (*live[T], Format, error) {
	select {
	case <-d.begun:
	case <-ctx.Done():
		return nil, Format{}, fmt.Errorf("stdin: nothing came yet: %w", context.Cause(ctx))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.err != nil:
		return nil, Format{}, d.err
	case d.reader != nil:
		return nil, Format{}, errors.New("stdin is open already: it has one reader at a time")
	}
	l := newLive[T](room)
	l.onClose = func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.reader = nil
		logDropped(d.log, "stdin", l.dropped.Load())
	}
	d.reader = l
	return l, d.format, nil
}

func logDropped(log *slog.Logger, source string, n uint64) {
	if n > 0 {
		log.Debug("pieces left out because the reader was slow", "source", source, "pieces", n)
	}
}

// Close ends the reading of stdin for good.
func (d *drain[T]) Close() error {
	d.once.Do(func() { close(d.closed) })
	return closeInput(d.in, d.ended)
}

// closeInput wakes who reads from in, and waits for it, unless in can not be
// closed under a read: then only the end of the process ends it.
func closeInput(in io.Reader, ended <-chan struct{}) error {
	c, ok := in.(io.Closer)
	if !ok {
		return nil
	}
	err := c.Close()
	if f, ok := in.(*os.File); ok && f == os.Stdin {
		return err
	}
	<-ended
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
