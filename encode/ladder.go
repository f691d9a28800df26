package encode

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercam/peercam/capture"
)

// ErrEnded tells that the source has ended and will not go on. It wraps io.EOF.
var ErrEnded = fmt.Errorf("the source has ended: %w", io.EOF)

// LadderConfig says what to encode and how.
type LadderConfig struct {
	// Source is opened when somebody watches.
	Source capture.VideoSource
	// Want is the size and rate asked of it.
	Want capture.Format
	// Bitrate is the most bit/s of the largest rung, and what it begins with.
	// 0: 2.5 Mbit/s.
	Bitrate int
	// Linger is how long the source stays open after the last viewer.
	Linger time.Duration
	// Always keeps the source open. Encoded is only what somebody wants.
	Always bool
	// CPUUsed and Threads are VP8Config's. 0: chosen.
	CPUUsed, Threads int
	// Log nil: slog.Default().
	Log *slog.Logger
}

// Ladder encodes one source's pictures once for all who watch, in up to three
// sizes.
type Ladder struct {
	config LadderConfig
	log    *slog.Logger
	rungs  [maxRungs]*rung
	sizes  atomic.Pointer[[]Size] // of the rungs that are there

	want     atomic.Uint64 // Want's rungs, and in the upper half which are layered
	expected atomic.Bool
	wake     chan struct{} // room for one: something was asked
	done     chan struct{} // closed when Run returns

	mu        sync.Mutex
	snapshots []chan *capture.Frame
	state     LadderStats // what Run knows; the counters are atomics

	captured, dropped atomic.Uint64
}

// NewLadder makes a ladder; Run makes it work.
func NewLadder(c LadderConfig) *Ladder {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Bitrate <= 0 {
		c.Bitrate = 2_500_000
	}
	l := &Ladder{config: c, log: c.Log, wake: make(chan struct{}, 1), done: make(chan struct{})}
	for i := range l.rungs {
		r := &rung{index: i, log: c.Log, config: VP8Config{CPUUsed: c.CPUUsed, Threads: c.Threads, FPS: c.Want.FPS}}
		r.bitrate.Store(int64(bitrateShare[i] * float64(c.Bitrate)))
		l.rungs[i] = r
	}
	l.setSizes(rungSizes(Size{c.Want.Width, c.Want.Height}))
	return l
}

// bitrateShare is what the rungs begin with, of the largest one's bit rate:
// smaller pictures take somewhat more a pixel to look alike.
var bitrateShare = [maxRungs]float64{1, 0.28, 0.1}

// Rungs are the sizes that can be wanted, the largest first: of the source's
// last picture, or of what is asked of it until there is one. They change with
// the source. The slice is not to be changed.
func (l *Ladder) Rungs() []Size { return *l.sizes.Load() }

func (l *Ladder) setSizes(s []Size) { l.sizes.Store(&s) }

// Want says which rungs somebody watches, bit i is rung i, and which of those
// in three temporal layers rather than one. A rung that is not there keeps the
// source open and is encoded once it is there.
func (l *Ladder) Want(rungs, layered uint32) {
	const all = 1<<maxRungs - 1
	l.want.Store(uint64(layered&rungs&all)<<32 | uint64(rungs&all))
	l.signal()
}

// asked is what Want was told last.
func (l *Ladder) asked() (rungs, layered uint32) {
	w := l.want.Load()
	return uint32(w), uint32(w >> 32)
}

// Expect says whether somebody is on the way who will want a rung: the source
// is opened meanwhile, nothing is encoded yet.
func (l *Ladder) Expect(somebody bool) {
	l.expected.Store(somebody)
	l.signal()
}

// KeyFrame makes the rung's next frame a key frame. Requests before that frame
// are one. Rungs that are not there are ignored.
func (l *Ladder) KeyFrame(rung int) {
	if rung >= 0 && rung < len(l.rungs) {
		l.rungs[rung].key.Store(true)
	}
}

// SetBitrate changes the rung's target from the next frame on, in bit/s, at
// most to what the configuration allows.
func (l *Ladder) SetBitrate(rung, bps int) {
	if rung >= 0 && rung < len(l.rungs) {
		l.rungs[rung].bitrate.Store(int64(min(max(bps, leastBitrate), l.config.Bitrate)))
	}
}

// leastBitrate keeps a mistaken target from starving the rate control, bit/s.
const leastBitrate = 10_000

// Snapshot returns a copy of the next picture captured. While it waits the
// source is wanted. ErrEnded: Run has returned.
func (l *Ladder) Snapshot(ctx context.Context) (*capture.Frame, error) {
	ch := make(chan *capture.Frame, 1)
	l.mu.Lock()
	l.snapshots = append(l.snapshots, ch)
	l.mu.Unlock()
	l.signal()
	select {
	case f := <-ch:
		return f, nil
	case <-l.done:
		return nil, ErrEnded
	case <-ctx.Done():
	}
	l.mu.Lock()
	for i, c := range l.snapshots {
		if c == ch {
			l.snapshots = append(l.snapshots[:i], l.snapshots[i+1:]...)
			break
		}
	}
	l.mu.Unlock()
	l.signal()
	return nil, fmt.Errorf("wait for a picture of %s: %w", l.config.Source, ctx.Err())
}

func (l *Ladder) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// wanted tells whether anybody wants pictures at all.
func (l *Ladder) wanted() bool {
	if l.want.Load() != 0 || l.expected.Load() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.snapshots) > 0
}

// Run opens the source when it is wanted, encodes the wanted rungs and hands
// every encoded frame to sink, which Retains what it keeps. A source that
// cannot be opened, or breaks, is logged and tried again. Run returns nil when
// ctx is done and ErrEnded when the source has ended for good; by then all
// that it started has ended. It may be called once.
func (l *Ladder) Run(ctx context.Context, sink func(*Frame)) error {
	defer close(l.done)
	r := ladderRun{Ladder: l, sink: sink, demand: demand{linger: l.config.Linger, always: l.config.Always}}
	defer r.close()
	for ctx.Err() == nil {
		again, err := r.adjust(ctx)
		if err != nil {
			return err
		}
		if err := r.wait(ctx, again); err != nil {
			return err
		}
	}
	return nil
}
