package encode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercam/peercam/capture"
)

// VoiceConfig says what sound to encode and how.
type VoiceConfig struct {
	// Source is opened when somebody listens.
	Source capture.AudioSource
	// Channels is 1 or 2; 0: as the source has.
	Channels int
	// Bitrate is bit/s; 0: 32000 a channel.
	Bitrate int
	// Linger is how long the source stays open after the last listener.
	Linger time.Duration
	// Always keeps the source open. Encoded is only what somebody wants.
	Always bool
	// Log nil: slog.Default().
	Log *slog.Logger
}

// Voice encodes one source's sound once for all who listen.
type Voice struct {
	config VoiceConfig
	log    *slog.Logger

	want atomic.Bool
	loss atomic.Int32
	wake chan struct{} // room for one: something was asked

	mu    sync.Mutex
	state VoiceStats
}

// VoiceStats is what a voice has done since it was made, and what it does.
type VoiceStats struct {
	// Open: the source is open. Err: why it does not work, nil when it does.
	Open bool
	Err  error
	// Rate is the source's, samples a second; Channels are those sent.
	Rate, Channels int
	// Loss is what the receivers report, percent.
	Loss int
	// Packets and Bytes count what was handed on, Gaps where sound was missing.
	Packets, Bytes, Gaps uint64
	// Spent is the time that resampling and encoding took.
	Spent time.Duration
}

// NewVoice makes a voice; Run makes it work.
func NewVoice(c VoiceConfig) *Voice {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Voice{config: c, log: c.Log, wake: make(chan struct{}, 1)}
}

// Want says whether somebody listens.
func (v *Voice) Want(listen bool) {
	v.want.Store(listen)
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// SetLoss tells how much of what is sent the receivers miss, in percent; from
// the next packet on Opus spends that much on redundancy.
func (v *Voice) SetLoss(percent int) { v.loss.Store(int32(min(max(percent, 0), 100))) }

// Stats tells how it goes. It may be called at any time.
func (v *Voice) Stats() VoiceStats {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.state
	s.Loss = int(v.loss.Load())
	return s
}

// Run opens the source when it is wanted and hands every packet to sink, on a
// goroutine of its own. Errors are as those of Ladder.Run.
func (v *Voice) Run(ctx context.Context, sink func(*AudioFrame)) error {
	r := voiceRun{
		Voice:   v,
		sink:    sink,
		demand:  demand{linger: v.config.Linger, always: v.config.Always},
		encoder: voiceEncoder{channels: v.config.Channels, bitrate: v.config.Bitrate},
	}
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

// voiceRun is what belongs to Run; while a reader is open the encoder belongs
// to its goroutine.
type voiceRun struct {
	*Voice
	sink    func(*AudioFrame)
	demand  demand
	encoder voiceEncoder

	reader capture.AudioReader
	ended  chan error // from the reader's goroutine, once

	said   string // the last failure that was logged, and when
	saidAt time.Time
}

// repeatTime is how soon the same failure is not worth a second line.
const repeatTime = time.Minute

func (r *voiceRun) adjust(ctx context.Context) (again time.Time, err error) {
	open, again := r.demand.next(time.Now(), r.want.Load())
	switch {
	case open && r.reader == nil:
		reader, err := r.config.Source.Open(ctx)
		if err != nil {
			return r.failed(ctx, fmt.Errorf("open %s: %w", r.config.Source, err))
		}
		r.demand.opened()
		r.reader, r.ended = reader, make(chan error, 1)
		r.update(func(s *VoiceStats) { s.Open = true })
		r.log.Info("source opened", "source", r.config.Source.String())
		go func() { r.ended <- r.pump(reader) }()
		_, again = r.demand.next(time.Now(), r.want.Load())
	case !open && r.reader != nil:
		r.close()
		r.demand.closed()
		r.log.Info("source closed, nobody listens", "source", r.config.Source.String())
	}
	return again, nil
}

// wait handles one event, or none before again.
func (r *voiceRun) wait(ctx context.Context, again time.Time) error {
	var timer <-chan time.Time
	if !again.IsZero() {
		timer = time.After(time.Until(again))
	}
	select {
	case <-ctx.Done():
	case <-r.wake:
	case <-timer:
	case err := <-r.ended:
		r.ended <- nil // for close
		r.close()
		_, err = r.failed(ctx, fmt.Errorf("read %s: %w", r.config.Source, err))
		return err
	}
	return nil
}

// pump reads and encodes until the source fails or is closed. Encoding 20 ms
// takes a small part of a millisecond, so no queue stands between.
func (r *voiceRun) pump(reader capture.AudioReader) error {
	for {
		s, err := reader.Read()
		if err != nil {
			return err
		}
		if !r.want.Load() {
			continue
		}
		start := time.Now()
		gap, err := r.encoder.encode(s, int(r.loss.Load()), r.packet)
		if err != nil {
			return err
		}
		r.update(func(v *VoiceStats) {
			v.Err = nil
			v.Rate, v.Channels = s.Rate, r.encoder.encoded
			v.Spent += time.Since(start)
			if gap {
				v.Gaps++
			}
		})
	}
}

func (r *voiceRun) packet(f *AudioFrame) {
	r.update(func(s *VoiceStats) {
		s.Packets++
		s.Bytes += uint64(len(f.Data))
	})
	r.sink(f)
}

// failed notes that the source does not work, and says so once.
func (r *voiceRun) failed(ctx context.Context, err error) (again time.Time, end error) {
	if ctx.Err() != nil {
		return time.Time{}, nil
	}
	if errors.Is(err, io.EOF) {
		return time.Time{}, fmt.Errorf("%s: %w", r.config.Source, ErrEnded)
	}
	var before error
	r.update(func(s *VoiceStats) { before, s.Err = s.Err, err })
	now := time.Now()
	// A command that ends again and again works for a moment each time.
	if r.said != err.Error() || before == nil && now.Sub(r.saidAt) > repeatTime {
		r.said, r.saidAt = err.Error(), now
		r.log.Warn("the source does not work; it is tried again while somebody listens", "err", err)
	}
	r.demand.failed(now, before == nil)
	_, again = r.demand.next(now, r.want.Load())
	return again, nil
}

// close ends the source and waits for its goroutine.
func (r *voiceRun) close() {
	if r.reader == nil {
		return
	}
	if err := r.reader.Close(); err != nil {
		r.log.Warn("closing the source failed", "source", r.config.Source.String(), "err", err)
	}
	<-r.ended
	r.reader, r.ended = nil, nil
	r.update(func(s *VoiceStats) { s.Open = false })
}

func (r *voiceRun) update(change func(*VoiceStats)) {
	r.mu.Lock()
	change(&r.state)
	r.mu.Unlock()
}
