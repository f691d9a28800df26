package capture

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// SoundOptions are what NewSound can be told; the zero value is good.
type SoundOptions struct {
	// Log takes one line when the sound goes, and one when it is back.
	Log *slog.Logger
	// Gain is how much louder the sound is made, in dB. What would then be too
	// loud is turned down before it clips.
	Gain float64

	backoff backoff // zero for the usual one
}

// Sound is a source whose sound never ends: while src cannot be opened, fails
// or is muted its reader delivers silence, in time and without a seam, and src
// is opened again within a second, as often as it takes. Open fails only when
// its context is done, Read only with ErrClosed, and with io.EOF once src has
// ended with it.
type Sound struct {
	src   AudioSource
	o     SoundOptions
	muted atomic.Bool
	err   atomic.Pointer[error]

	mu     sync.Mutex
	reader *soundReader
}

// NewSound makes src steady.
func NewSound(src AudioSource, o SoundOptions) *Sound {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.backoff == (backoff{}) {
		o.backoff = backoff{first: 250 * time.Millisecond, most: time.Second}
	}
	return &Sound{src: src, o: o}
}

// String names the source.
func (s *Sound) String() string { return s.src.String() }

// Close ends a source that reads before it is opened.
func (s *Sound) Close() error {
	if c, ok := s.src.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Err says why there is silence now; nil when there is not, or when nobody
// listens. It may be called at any time.
func (s *Sound) Err() error {
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Mute gives silence from the next run on, and closes the source, so that no
// other part of the program, and no light on the device, can be mistaken; or
// opens it again. It may be called at any time.
func (s *Sound) Mute(on bool) {
	s.muted.Store(on)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader != nil {
		s.reader.changed.poke()
	}
}

// Muted tells what Mute was told.
func (s *Sound) Muted() bool { return s.muted.Load() }

// signal wakes whoever waits for it; several are one.
type signal chan struct{}

func (s signal) poke() {
	select {
	case s <- struct{}{}:
	default:
	}
}

const (
	// soundGrace is how long Open waits for the first sound.
	soundGrace = time.Second
	// soundLate is how long an open source may give nothing until silence
	// stands in: pipes and sound servers come in bursts.
	soundLate = 250 * time.Millisecond
	// soundSlept is how late a reader is who has slept, with the machine.
	soundSlept = time.Second
)

// soundReader has one goroutine that opens src and reads it into the ring, and
// makes silence in Read.
type soundReader struct {
	*Sound
	cancel  context.CancelFunc
	wait    sync.WaitGroup
	ring    *soundRing
	changed signal        // muted or not
	first   chan struct{} // closed when src was tried once
	ended   chan struct{} // closed when src has ended
	done    <-chan struct{}
	flowing atomic.Bool // src is open

	// Only Read uses these.
	gain    limiter
	run     soundRun
	queued  bool      // run was taken and is not handed out yet
	quiet   bool      // the last run was silence
	awaited bool      // since it src gave something
	last    time.Time // stamp of the last run
	next    time.Time // and its end
	hush    []int16
	out     Samples
	timer   *time.Timer
}

// Open starts src and waits up to a second for it.
func (s *Sound) Open(ctx context.Context) (AudioReader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &soundReader{
		Sound: s, cancel: cancel, done: run.Done(), ring: newSoundRing(), gain: newLimiter(s.o.Gain),
		changed: make(signal, 1), first: make(chan struct{}), ended: make(chan struct{}),
		timer: time.NewTimer(time.Hour),
	}
	r.run.Rate, r.run.Channels = 48000, 1 // of silence before any sound
	s.mu.Lock()
	s.reader = r
	s.mu.Unlock()
	r.wait.Go(func() { r.supervise(run) })
	grace := time.NewTimer(soundGrace)
	defer grace.Stop()
	select {
	case <-r.first:
	case <-grace.C:
	case <-ctx.Done():
	}
	r.next = time.Now()
	r.quiet = true
	return r, nil
}

// supervise keeps src open while it is not muted.
func (r *soundReader) supervise(ctx context.Context) {
	failures := 0
	tried := sync.OnceFunc(func() { close(r.first) })
	defer tried()
	for ctx.Err() == nil {
		if r.muted.Load() {
			tried()
			r.err.Store(nil)
			select {
			case <-ctx.Done():
			case <-r.changed:
			}
			continue
		}
		heard, err := r.listen(ctx, tried)
		if heard {
			failures = 0
		}
		switch {
		case ctx.Err() != nil:
			return
		case r.muted.Load():
			continue
		case errors.Is(err, io.EOF):
			close(r.ended)
			return
		case errors.Is(err, errMoved):
			r.o.Log.Info("the microphone changes", "because", err)
			continue
		}
		failures++
		if r.err.Swap(&err) == nil {
			r.o.Log.Warn("there is no sound; silence is sent until it is back", "source", r.src.String(), "err", err)
		}
		tried()
		pause := time.NewTimer(r.o.backoff.after(failures))
		select {
		case <-ctx.Done():
		case <-r.changed:
		case <-pause.C:
		}
		pause.Stop()
	}
}

// listen opens src and reads it until it fails, or is not to be heard any more.
func (r *soundReader) listen(ctx context.Context, tried func()) (heard bool, err error) {
	src, err := r.src.Open(ctx)
	if err != nil {
		return false, err
	}
	read := make(chan struct{})
	var closer sync.WaitGroup
	closer.Go(func() {
		for open := true; open; {
			select {
			case <-r.changed:
				open = !r.muted.Load()
			case <-ctx.Done():
				open = false
			case <-read:
				open = false
			}
		}
		if err := src.Close(); err != nil {
			r.o.Log.Warn("closing the source failed", "source", r.src.String(), "err", err)
		}
	})
	defer func() {
		r.flowing.Store(false)
		close(read)
		closer.Wait()
	}()
	for {
		s, err := src.Read()
		if err != nil {
			return heard, err
		}
		if !heard {
			heard = true
			r.flowing.Store(true)
			if r.err.Swap(nil) != nil {
				r.o.Log.Info("the sound is there", "source", r.src.String())
			}
		}
		r.ring.put(*s)
		tried()
	}
}

// Read waits for the next run of sound, or for the time of a run of silence.
func (r *soundReader) Read() (*Samples, error) {
	for {
		if isClosed(r.done) {
			return nil, ErrClosed
		}
		if !r.queued {
			ended := isClosed(r.ended)
			if r.queued = r.ring.take(&r.run); ended && !r.queued {
				return nil, io.EOF
			}
		}
		if r.queued && r.muted.Load() {
			r.queued = false
			continue
		}
		now := time.Now()
		if r.queued {
			r.awaited = true
			if s := r.sound(now); s != nil {
				return s, nil
			}
			continue
		}
		due := r.next.Add(runTime)
		if r.awaited && r.flowing.Load() && !r.muted.Load() {
			due = due.Add(soundLate)
		}
		wait := due.Sub(now)
		if wait <= 0 {
			if wait < -soundSlept {
				r.next = now.Add(-runTime)
			}
			return r.silence(r.run.Rate / 100), nil
		}
		r.timer.Reset(wait)
		select {
		case <-r.ring.ready:
		case <-r.timer.C:
		case <-r.done:
		case <-r.ended:
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// sound hands out the run that was taken, joined to what was handed out before
// it; nil when it was heard as silence already.
func (r *soundReader) sound(now time.Time) *Samples {
	if r.quiet {
		// Silence made no difference to what comes now: no overlap, no hole.
		n := samplesIn(r.run.Time.Sub(r.next), r.run.Rate)
		have := len(r.run.PCM) / r.run.Channels
		switch {
		case n > 0 && n <= r.run.Rate: // a second at most
			return r.silence(min(n, r.run.Rate/100))
		case n < 0 && -n >= have && now.Sub(r.next) < soundSlept:
			r.queued = false
			return nil
		case n < 0 && -n < have:
			r.run.PCM = r.run.PCM[:copy(r.run.PCM, r.run.PCM[-n*r.run.Channels:])]
			r.run.Time = r.next
		}
	}
	if !r.run.Time.After(r.last) { // of a burst, or of another device: stamps rise
		r.run.Time = r.last.Add(time.Microsecond)
	}
	r.queued, r.quiet, r.last = false, false, r.run.Time
	r.next = r.run.Time.Add(ticks(int64(len(r.run.PCM)/r.run.Channels), int64(r.run.Rate), 1))
	r.gain.apply(r.run.PCM, r.run.Channels, r.run.Rate)
	r.out = Samples(r.run)
	return &r.out
}

// samplesIn is how many samples d lasts, rounded.
func samplesIn(d time.Duration, rate int) int {
	return int(math.Round(d.Seconds() * float64(rate)))
}

// silence is the next n samples of it.
func (r *soundReader) silence(n int) *Samples {
	if need := n * r.run.Channels; need > len(r.hush) {
		r.hush = make([]int16, need)
	}
	r.out = Samples{PCM: r.hush[:n*r.run.Channels], Rate: r.run.Rate, Channels: r.run.Channels, Time: r.next}
	r.quiet, r.awaited, r.last = true, false, r.next
	r.next = r.next.Add(ticks(int64(n), int64(r.run.Rate), 1))
	return &r.out
}

// Close closes src, ends a Read that waits, and returns when both have ended.
func (r *soundReader) Close() error {
	r.cancel()
	r.wait.Wait()
	r.err.Store(nil)
	return nil
}
