package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"time"
)

// SteadyOptions are what Steady can be told; the zero value is good.
type SteadyOptions struct {
	// Log takes one line a change between picture and slate.
	Log *slog.Logger
	// Waiting is the slate's caption; "" for "waiting for camera".
	Waiting string
	// Stall is how long the source may give no frame before it is opened
	// anew; 0 for 2 s.
	Stall time.Duration
	// Begin is how long its first frame may take; 0 for three times Stall.
	Begin time.Duration

	backoff backoff // zero for the usual one
}

// Steady makes a source whose picture never dies. Its Open never fails, and
// its reader fails only with ErrClosed, and with io.EOF once the source has
// ended with io.EOF, after which nothing is to come. While src cannot be
// opened, fails or stalls, the reader delivers a slate that says so, five
// frames a second, of the size of the last real frame or of what was asked
// for; src is opened again in the background, at first soon, then every five
// seconds, and the picture returns by itself.
//
// If src is an io.Closer, so is the result.
func Steady(src VideoSource, o SteadyOptions) VideoSource {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Waiting == "" {
		o.Waiting = "waiting for camera"
	}
	if o.Stall == 0 {
		o.Stall = 2 * time.Second
	}
	if o.Begin == 0 {
		o.Begin = 3 * o.Stall
	}
	if o.backoff == (backoff{}) {
		o.backoff = backoff{first: 250 * time.Millisecond, most: 5 * time.Second}
	}
	return forwardClose(src, &steady{src, o})
}

// forwardClose makes outer an io.Closer if inner is one.
func forwardClose(inner, outer VideoSource) VideoSource {
	if c, ok := inner.(io.Closer); ok {
		return struct {
			VideoSource
			io.Closer
		}{outer, c}
	}
	return outer
}

const (
	// slatePeriod is between two slates.
	slatePeriod = 200 * time.Millisecond
	// slateGrace is how long a source may take to open before the slate
	// says that it is waited for.
	slateGrace = time.Second
)

// backoff is how long to wait between tries.
type backoff struct{ first, most time.Duration }

// after is the pause after so many failures in a row, from 1.
func (b backoff) after(failures int) time.Duration {
	d := b.first
	for ; failures > 1 && d < b.most; failures-- {
		d *= 2
	}
	return min(d, b.most)
}

type steady struct {
	src VideoSource
	o   SteadyOptions
}

func (s *steady) String() string { return s.src.String() }

func (s *steady) Open(ctx context.Context, want Format) (VideoReader, error) {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &steadyReader{
		src: s.src, o: s.o, want: want, cancel: cancel,
		live:  newLive[*Frame](videoRoom),
		poke:  make(chan struct{}, 1),
		first: make(chan struct{}),
	}
	r.onClose = func() { r.cancel(); r.wait.Wait() }
	r.promise(want.or(Format{defaultWidth, defaultHeight, defaultFPS}))
	r.wait.Add(1)
	go func() {
		defer r.wait.Done()
		r.supervise(run)
	}()
	// Most sources open in no time: wait, so that Format is theirs and no
	// slate flashes up before the first picture.
	grace := time.NewTimer(slateGrace)
	defer grace.Stop()
	select {
	case <-r.first:
	case <-grace.C:
		r.slate("", nil)
	case <-ctx.Done():
		r.slate("", nil)
	}
	return r, nil
}

// steadyReader has one goroutine that opens src and watches over it
// (supervise), one that reads it while it is open, and draws slates in Read.
type steadyReader struct {
	*live[*Frame]
	src    VideoSource
	o      SteadyOptions
	want   Format
	cancel context.CancelFunc
	wait   sync.WaitGroup

	first    chan struct{} // closed when src was tried once
	promised atomic.Pointer[Format]
	waiting  atomic.Pointer[string] // the slate's second line; nil while there is a picture
	told     atomic.Bool            // that the log has the reason
	poke     chan struct{}          // that waiting has changed
	seen     atomic.Int64           // frames that src gave

	// Only Read uses these.
	last  time.Time // stamp of the last frame
	w, h  int       // of the last real frame
	drawn *slate
	timer *time.Timer
}

func (r *steadyReader) promise(f Format) { r.promised.Store(&f) }

// Format is what src promised when it was opened last, until then what was
// asked for.
func (r *steadyReader) Format() Format { return *r.promised.Load() }

// slate shows the slate, with why in its second line, instead of the picture.
func (r *steadyReader) slate(why string, err error) {
	r.waiting.Store(&why)
	if err != nil && !r.told.Swap(true) {
		r.o.Log.Warn("no picture, showing a slate and trying again", "source", r.src.String(), "err", err)
	}
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// supervise opens src again and again until ctx ends.
func (r *steadyReader) supervise(ctx context.Context) {
	var sleep sleeper
	failures := 0
	for tried := false; ; tried = true {
		src, err := r.src.Open(ctx, r.want)
		if err == nil {
			r.promise(src.Format())
		}
		if !tried {
			close(r.first)
		}
		if err == nil {
			before := r.seen.Load()
			err = r.watch(ctx, src)
			if r.seen.Load() > before {
				failures = 0
			}
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, io.EOF):
			r.o.Log.Info("the source has ended", "source", r.src.String())
			r.end(io.EOF)
			return
		}
		failures++
		r.o.Log.Debug("source failed", "source", r.src.String(), "err", err, "failures", failures)
		r.slate(brief(err), err)
		if !sleep.sleep(r.o.backoff.after(failures), ctx.Done()) {
			return
		}
	}
}

// watch passes on what src gives until it fails or stalls, then closes it.
func (r *steadyReader) watch(ctx context.Context, src VideoReader) error {
	failed := make(chan error, 1)
	go func() { failed <- r.read(src) }()
	err, running := error(nil), true
	// A slow source is not a dead one: some cameras take seconds to begin, and a
	// film may have one frame in five.
	stall := r.o.Stall
	if fps := src.Format().FPS; fps > 0 {
		stall = max(stall, time.Duration(3/fps*float64(time.Second)))
	}
	timer := time.NewTimer(max(stall, r.o.Begin))
	defer timer.Stop()
	for seen := r.seen.Load(); running && err == nil; {
		select {
		case err = <-failed:
			running = false
		case <-ctx.Done():
			err = ctx.Err()
		case <-timer.C:
			// Counting frames here instead of resetting the timer for
			// each: a stall is found after one to two times Stall.
			if n := r.seen.Load(); n == seen {
				err = fmt.Errorf("no picture came for %v", stall)
			} else {
				seen = n
			}
			timer.Reset(stall)
		}
	}
	if running {
		// The slate goes up now: closing a device that hangs can take long.
		if ctx.Err() == nil {
			r.slate(brief(err), err)
		}
		src.Close()
		<-failed
		return err
	}
	src.Close()
	return err
}

// read passes frames on. They take the slate away.
func (r *steadyReader) read(src VideoReader) error {
	for {
		f, err := src.Read()
		if err != nil {
			return err
		}
		r.seen.Add(1)
		if r.waiting.Load() != nil {
			r.waiting.Store(nil)
		}
		if r.told.Load() && r.told.Swap(false) {
			r.o.Log.Info("the picture is there", "source", r.src.String())
		}
		r.put(f)
	}
}

func (r *steadyReader) Read() (*Frame, error) {
	for {
		var tick <-chan time.Time
		why := r.waiting.Load()
		if why != nil {
			tick = r.nextSlate()
		}
		select {
		case <-r.done:
			return nil, ErrClosed
		default:
		}
		select {
		case f := <-r.box:
			return r.stamped(f), nil
		case <-r.poke:
		case <-tick:
			return r.drawSlate(*why), nil
		case <-r.done:
			return nil, ErrClosed
		case <-r.ended:
			f, err := r.next()
			if err != nil {
				return nil, err
			}
			return r.stamped(f), nil
		}
	}
}

// stamped notes what slates go by. A frame that was taken before the last
// slate was drawn is stamped right after it, as stamps rise.
func (r *steadyReader) stamped(f *Frame) *Frame {
	if !f.Time.After(r.last) {
		f.Time = r.last.Add(time.Millisecond)
	}
	r.last, r.w, r.h = f.Time, f.Rect.Dx(), f.Rect.Dy()
	return f
}

// nextSlate fires when the next slate is due.
func (r *steadyReader) nextSlate() <-chan time.Time {
	wait := time.Duration(0)
	if !r.last.IsZero() {
		wait = time.Until(r.last.Add(slatePeriod))
	}
	if r.timer == nil {
		r.timer = time.NewTimer(wait)
	} else {
		r.timer.Reset(wait)
	}
	return r.timer.C
}

func (r *steadyReader) drawSlate(why string) *Frame {
	w, h := r.w, r.h
	if w == 0 {
		f := r.Format().or(Format{defaultWidth, defaultHeight, 0})
		w, h = max(16, min(f.Width, maxSide)), max(16, min(f.Height, maxSide))
	}
	if r.drawn == nil {
		r.drawn = new(slate)
	}
	f := r.drawn.frame(w, h, r.o.Waiting, why)
	f.Time = time.Now()
	if !f.Time.After(r.last) {
		f.Time = r.last.Add(time.Millisecond)
	}
	r.last = f.Time
	return f
}

func (r *steadyReader) Close() error {
	err := r.live.Close()
	if r.timer != nil {
		r.timer.Stop()
	}
	return err
}

// brief is why there is no picture, in words for viewers: without what a
// command was told or said, as that may hold names and passwords.
func brief(err error) string {
	var e *ExecError
	switch {
	case errors.Is(err, ErrNoDevice):
		return NoCamera
	case errors.As(err, &e):
		return e.Name + ": " + clean(e.Err.Error())
	}
	return clean(err.Error())
}

var directories = regexp.MustCompile(`(^|[\s"'=(])(?:/[^/\s:"']+)+/([^/\s:"']+)`)

// clean takes users, passwords and directories out of a message.
func clean(s string) string {
	return directories.ReplaceAllString(userInfo.ReplaceAllString(s, "://***@"), "$1$2")
}
