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
	// Privacy closes the source and shows a slate while it is on; nil for
	// never.
	Privacy *Privacy

	backoff backoff // zero for the usual one
}

// Steady makes a source whose picture never dies. Its Open never fails, and
// its reader fails only with ErrClosed, and with io.EOF once the source has
// ended with io.EOF, after which nothing is to come. While src cannot be
// opened, fails or stalls, the reader delivers a slate that says so, five
// frames a second, of the size of the last real frame or of what was asked
// for; src is opened again in the background: at once when a device was plugged
// in, else at first soon, then every five seconds (two for cameras). The picture
// returns by itself.
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
	return forwardClose(&steady{src: src, o: o})
}

const (
	// slatePeriod is between two slates.
	slatePeriod = 200 * time.Millisecond
	// slateGrace is how long a source may take to open before the slate
	// says that it is waited for.
	slateGrace = time.Second
	// deviceRetry is the longest pause between tries of a device, which costs
	// little to look for.
	deviceRetry = 2 * time.Second
)

// errAgain is wrapped by what a reader returns when its source is to be opened
// anew at once, although nothing is wrong.
var errAgain = errors.New("it is opened again")

var errCovered = fmt.Errorf("covered: %w", errAgain)

// notifier is a source that knows when another try may go better than the last.
type notifier interface {
	// watch begins to watch; whoever calls it closes it.
	watch() *deviceWatch
}

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
	now atomic.Pointer[steadyReader] // that is open
}

// TroubleOf says, in words for viewers, why src, which Steady has made, gives a
// slate instead of its picture just now; "" when it does not, and when it is
// closed.
func TroubleOf(src VideoSource) string {
	s, ok := as[*steady](src)
	if !ok {
		return ""
	}
	r := s.now.Load()
	if r == nil {
		return ""
	}
	say := r.waiting.Load()
	switch {
	case say == nil:
		return ""
	case say.why == "":
		return say.caption
	}
	return say.why
}

func (s *steady) String() string      { return s.src.String() }
func (s *steady) Unwrap() VideoSource { return s.src }

func (s *steady) Open(ctx context.Context, want Format) (VideoReader, error) {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &steadyReader{
		src: s.src, o: s.o, want: want, cancel: cancel,
		live:  newLive[*Frame](videoRoom),
		poke:  make(chan struct{}, 1),
		first: make(chan struct{}),
		began: time.Now(),
	}
	r.onClose = func() { s.now.CompareAndSwap(r, nil); r.cancel(); r.wait.Wait() }
	s.now.Store(r)
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
		r.opening()
	case <-ctx.Done():
		r.opening()
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
	waiting  atomic.Pointer[notice] // what the slate says; nil while there is a picture
	told     atomic.Bool            // that the log has the reason
	poke     chan struct{}          // that waiting has changed
	arrived  atomic.Int64           // when src gave a frame last, since began; 0: never
	began    time.Time

	// Only Read uses these.
	last  time.Time // stamp of the last frame
	w, h  int       // of the last real frame
	shown *notice   // by the last slate
	drawn *slate
	timer *time.Timer
}

// notice is what a slate says in its two lines.
type notice struct{ caption, why string }

var covered = notice{"privacy", "the camera is covered"}

func (r *steadyReader) promise(f Format) { r.promised.Store(&f) }

// Format is what src promised when it was opened last, until then what was
// asked for.
func (r *steadyReader) Format() Format { return *r.promised.Load() }

// show puts up a slate instead of the picture.
func (r *steadyReader) show(n notice) {
	if now := r.waiting.Load(); now == nil || *now != n {
		r.waiting.Store(&n)
	}
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// opening puts up a slate, unless there is something to see already.
func (r *steadyReader) opening() {
	if r.arrived.Load() == 0 && r.waiting.Load() == nil {
		r.show(notice{r.o.Waiting, ""})
	}
}

// failed puts up a slate that says why there is no picture.
func (r *steadyReader) failed(err error) {
	if !r.told.Swap(true) {
		r.o.Log.Warn("no picture, showing a slate and trying again", "source", r.src.String(), "err", err)
	}
	r.show(notice{r.o.Waiting, brief(err)})
}

// supervise opens src again and again until ctx ends.
func (r *steadyReader) supervise(ctx context.Context) {
	retry := r.o.backoff
	var changed <-chan struct{}
	if n, ok := as[notifier](r.src); ok {
		w := n.watch()
		defer w.close()
		changed = w.C
		retry.most = min(retry.most, deviceRetry)
	}
	tried := sync.OnceFunc(func() { close(r.first) })
	failures := 0
	for {
		if on, off := r.o.Privacy.State(); on {
			r.show(covered)
			tried()
			select {
			case <-ctx.Done():
				return
			case <-off:
				continue
			}
		}
		src, err := r.src.Open(ctx, r.want)
		if err == nil {
			r.promise(src.Format())
			tried()
			var gave bool
			if gave, err = r.watch(ctx, src); gave {
				failures = 0
			}
		}
		switch {
		case ctx.Err() != nil:
			tried()
			return
		case errors.Is(err, io.EOF):
			r.o.Log.Info("the source has ended", "source", r.src.String())
			r.end(io.EOF)
			tried()
			return
		case errors.Is(err, errAgain):
			r.o.Log.Debug("opening the source again", "source", r.src.String(), "why", err)
			continue
		}
		failures++
		r.o.Log.Debug("source failed", "source", r.src.String(), "err", err, "failures", failures)
		r.failed(err)
		tried()
		if !r.pause(ctx, retry.after(failures), changed, &failures) {
			return
		}
	}
}

// pause waits before the next try, no longer than until a device comes or
// goes or privacy is turned on. It is false when ctx has ended.
func (r *steadyReader) pause(ctx context.Context, d time.Duration, changed <-chan struct{}, failures *int) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	on, switched := r.o.Privacy.State()
	if on {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-changed:
		*failures = 0 // what is new may take some moments to become ready
	case <-switched:
	case <-timer.C:
	}
	return true
}

// watch passes on what src gives until it fails or stalls, then closes it.
// gave tells whether it gave anything.
func (r *steadyReader) watch(ctx context.Context, src VideoReader) (gave bool, err error) {
	failed := make(chan error, 1)
	on, switched := r.o.Privacy.State()
	if on {
		src.Close()
		return false, errCovered
	}
	opened := time.Since(r.began)
	go func() { failed <- r.read(src) }()
	// A slow source is not a dead one: some cameras take seconds to begin, and a
	// film may have one frame in five.
	stall := r.o.Stall
	if fps := src.Format().FPS; fps > 0 {
		stall = max(stall, time.Duration(3/fps*float64(time.Second)))
	}
	timer := time.NewTimer(stall)
	defer timer.Stop()
	running := true
	for running && err == nil {
		select {
		case err = <-failed:
			running = false
		case <-ctx.Done():
			err = ctx.Err()
		case <-switched:
			err = errCovered
			r.show(covered)
		case <-timer.C:
			patience, last := stall, time.Duration(r.arrived.Load())
			if last < opened {
				patience, last = max(stall, r.o.Begin), opened
			}
			silent := time.Since(r.began) - last
			if silent >= patience {
				err = fmt.Errorf("no picture came for %v", silent.Round(100*time.Millisecond))
			}
			timer.Reset(min(stall, patience-silent))
		}
	}
	// The slate goes up now: closing a device that hangs can take long.
	if ctx.Err() == nil && !errors.Is(err, io.EOF) && !errors.Is(err, errAgain) {
		r.failed(err)
	}
	src.Close()
	if running {
		<-failed
	}
	return time.Duration(r.arrived.Load()) >= opened, err
}

// read passes frames on. They take the slate away.
func (r *steadyReader) read(src VideoReader) error {
	for {
		f, err := src.Read()
		if err != nil {
			return err
		}
		r.arrived.Store(int64(max(1, time.Since(r.began))))
		if r.o.Privacy.On() {
			f.Release()
			continue
		}
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
		say := r.waiting.Load()
		if say != nil {
			tick = r.nextSlate(say)
		} else {
			r.shown = nil
		}
		select {
		case <-r.done:
			return nil, ErrClosed
		default:
		}
		var f *Frame
		select {
		case f = <-r.box: // was taken before what the slate tells of
		default:
		}
		if f == nil {
			select {
			case f = <-r.box:
			case <-r.poke:
				continue
			case <-tick:
				return r.drawSlate(say), nil
			case <-r.done:
				return nil, ErrClosed
			case <-r.ended:
				var err error
				if f, err = r.next(); err != nil {
					return nil, err
				}
			}
		}
		if r.o.Privacy.On() { // it was taken before
			f.Release()
			continue
		}
		return r.stamped(f), nil
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

// nextSlate fires when the next slate is due: at once when it says something
// new.
func (r *steadyReader) nextSlate(say *notice) <-chan time.Time {
	wait := time.Duration(0)
	if r.shown == say {
		wait = time.Until(r.last.Add(slatePeriod))
	}
	if r.timer == nil {
		r.timer = time.NewTimer(wait)
	} else {
		r.timer.Reset(wait)
	}
	return r.timer.C
}

func (r *steadyReader) drawSlate(say *notice) *Frame {
	w, h := r.w, r.h
	if w == 0 {
		f := r.Format().or(Format{defaultWidth, defaultHeight, 0})
		w, h = max(16, min(f.Width, maxSide)), max(16, min(f.Height, maxSide))
	}
	if r.drawn == nil {
		r.drawn = new(slate)
	}
	f := r.drawn.frame(w, h, say.caption, say.why)
	f.Time = time.Now()
	if !f.Time.After(r.last) {
		f.Time = r.last.Add(time.Millisecond)
	}
	r.last, r.shown = f.Time, say
	return f
}

// Close leaves the timer to the Read that may still be using it.
func (r *steadyReader) Close() error { return r.live.Close() }

// brief is why there is no picture, in words for viewers: without what a
// command was told or said, as that may hold names and passwords.
func brief(err error) string {
	var (
		e *ExecError
		d *DeviceError
	)
	switch {
	case errors.Is(err, ErrNoDevice):
		return NoCamera
	case errors.As(err, &d) && d.Reason != "":
		return clean(d.Name + ": " + d.Reason)
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
