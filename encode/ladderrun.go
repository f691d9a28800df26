package encode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/peercam/peercam/capture"
)

// ladderRun is what belongs to the encode goroutine.
type ladderRun struct {
	*Ladder
	sink    func(*Frame)
	demand  demand
	feed    *feed
	fps     rateMeter
	pyramid pyramid
	guard   guard
	counted uint64 // dropped pictures, when the last one was encoded
	// newest is the last picture while somebody is on the way and nobody watches: a
	// first picture need not wait for the camera's next one. nil: none.
	newest *capture.Frame
}

// adjust opens or closes the source as demand has it, and says when to do so
// again.
func (r *ladderRun) adjust(ctx context.Context) (again time.Time, err error) {
	open, again := r.demand.next(time.Now(), r.wanted())
	switch {
	case open && r.feed == nil:
		reader, err := r.config.Source.Open(ctx, r.config.Want)
		if err != nil {
			return r.failed(ctx, fmt.Errorf("open %s: %w", r.config.Source, err))
		}
		r.demand.opened()
		r.feed = startFeed(reader, &r.captured, &r.dropped)
		r.update(func(s *LadderStats) { s.Open = true })
		r.log.Info("source opened", "source", r.config.Source.String(), "format", reader.Format())
		_, again = r.demand.next(time.Now(), r.wanted())
	case !open && r.feed != nil:
		r.close()
		r.demand.closed()
		r.log.Info("source closed, nobody watches", "source", r.config.Source.String())
	}
	return again, nil
}

// wait handles one event, or none before again.
func (r *ladderRun) wait(ctx context.Context, again time.Time) error {
	var timer <-chan time.Time
	if !again.IsZero() {
		timer = time.After(time.Until(again))
	}
	var frames chan *capture.Frame
	if r.feed != nil {
		frames = r.feed.frames
	}
	select {
	case <-ctx.Done():
	case <-r.wake:
		r.welcome()
	case <-timer:
	case f, ok := <-frames:
		if ok {
			r.picture(f)
			return nil
		}
		err := r.feed.err
		r.close()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: %w", r.config.Source, ErrEnded)
		}
		_, err = r.failed(ctx, fmt.Errorf("read %s: %w", r.config.Source, err))
		return err
	}
	return nil
}

// failed notes that the source does not work, and says so once.
func (r *ladderRun) failed(ctx context.Context, err error) (again time.Time, end error) {
	if ctx.Err() != nil {
		return time.Time{}, nil
	}
	if errors.Is(err, io.EOF) {
		return time.Time{}, fmt.Errorf("%w (%w)", ErrEnded, err)
	}
	var before error
	r.update(func(s *LadderStats) { before, s.Err = s.Err, err })
	if before == nil || before.Error() != err.Error() {
		r.log.Warn("the source does not work; it is tried again while somebody watches", "err", err)
	}
	now := time.Now()
	r.demand.failed(now, before == nil)
	_, again = r.demand.next(now, r.wanted())
	return again, nil
}

// welcome encodes the newest picture for the first who watches.
func (r *ladderRun) welcome() {
	if r.newest == nil {
		return
	}
	if want, layered := r.asked(); want != 0 {
		r.encode(r.newest, want&(1<<len(r.Rungs())-1), layered)
	} else if r.expected.Load() {
		return
	}
	r.keep(nil)
}

// keep releases the newest picture, and holds f in its place.
func (r *ladderRun) keep(f *capture.Frame) {
	if r.newest != nil {
		r.newest.Release()
	}
	r.newest = f
}

// picture encodes f for all rungs that are wanted, and releases it; what nobody watches
// is kept for who is on the way.
func (r *ladderRun) picture(f *capture.Frame) {
	r.keep(f)
	start := time.Now()
	r.fps.add(f.Time)
	r.update(func(s *LadderStats) {
		s.Width, s.Height, s.Err = f.Rect.Dx(), f.Rect.Dy(), nil
		s.FPS = r.fps.rate()
		s.Last = f.Time
	})
	for _, ch := range r.takeSnapshots() {
		ch <- copyFrame(f)
	}
	if size := (Size{f.Rect.Dx(), f.Rect.Dy()}); size != r.Rungs()[0] {
		r.setSizes(rungSizes(size))
	}
	want, layered := r.asked()
	want &= 1<<len(r.Rungs()) - 1
	if want != 0 && r.guard.skip() {
		r.keep(nil)
		return
	}
	r.encode(f, want, layered)
	dropped := r.dropped.Load()
	if want != 0 && r.guard.encoded(f.Time, time.Since(start), int(dropped-r.counted)) {
		r.log.Info("encoding and camera fall into step", "gave way", r.guard.relief().String())
	}
	r.counted = dropped
	r.update(func(s *LadderStats) { s.Load, s.Relief = r.guard.load(), r.guard.relief() })
	if want != 0 || !r.expected.Load() {
		r.keep(nil)
	}
}

// encode encodes f for the rungs in the mask want, all of which are there.
func (r *ladderRun) encode(f *capture.Frame, want, layered uint32) {
	r.pyramid.begin(f.YCbCr)
	for i, rung := range r.rungs {
		if want&(1<<i) == 0 {
			rung.running = false
			continue
		}
		rung.encode(r.pyramid.level(i), f.Time, layered&(1<<i) != 0, r.guard.relief().Hurry, r.sink)
	}
	r.pyramid.end()
}

func (r *ladderRun) takeSnapshots() []chan *capture.Frame {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.snapshots
	r.snapshots = nil
	return s
}

// close ends the source and frees the encoders.
func (r *ladderRun) close() {
	if r.feed == nil {
		return
	}
	r.keep(nil)
	if err := r.feed.close(); err != nil {
		r.log.Warn("closing the source failed", "source", r.config.Source.String(), "err", err)
	}
	r.feed = nil
	for _, rung := range r.rungs {
		rung.stop()
	}
	r.fps = rateMeter{}
	r.update(func(s *LadderStats) { s.Open, s.FPS, s.Load = false, 0, 0 })
}

func (r *ladderRun) update(change func(*LadderStats)) {
	r.mu.Lock()
	change(&r.state)
	r.mu.Unlock()
}
