package peer

import (
	"testing"
	"time"
)

func TestPicturesAreHeldWhereLossMakesThemLate(t *testing.T) {
	const ms = time.Millisecond
	var p playout
	now := time.Unix(1000, 0)
	for i, step := range []struct {
		after     time.Duration
		loss      float64
		round     time.Duration
		protected bool
		want      time.Duration
	}{
		{0, 0, 40 * ms, false, 0},
		{time.Second, 0.009, 40 * ms, false, 0},
		{time.Second, 0.05, 42 * ms, false, 70 * ms},
		{time.Second, 0.05, 55 * ms, false, 70 * ms},   // not for so little
		{time.Second, 0.05, 90 * ms, false, 120 * ms},  // the way has become longer
		{time.Second, 0.008, 40 * ms, false, 120 * ms}, // still some
		{time.Second, 0.002, 40 * ms, false, 120 * ms},
		{4 * time.Second, 0.002, 40 * ms, false, 120 * ms},
		{time.Second, 0.006, 40 * ms, false, 120 * ms}, // again: the calm begins anew
		{4 * time.Second, 0, 40 * ms, false, 120 * ms},
		{5 * time.Second, 0, 40 * ms, false, 0},
		{time.Second, 0.05, 60 * ms, true, 50 * ms},
		{6 * time.Second, 0, 60 * ms, true, 50 * ms},
		{6 * time.Second, 0, 60 * ms, true, 0},
		{time.Second, 0.2, time.Millisecond, false, 50 * ms},
		{time.Second, 0.2, 3 * time.Second, false, 250 * ms},
	} {
		now = now.Add(step.after)
		if got := p.next(now, way{loss: step.loss, round: step.round, protected: step.protected}); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}

func TestPicturesAreHeldALittleWhereTheLinkIsTheLimit(t *testing.T) {
	var p playout
	now := time.Unix(1000, 0)
	for i, step := range []struct {
		after  time.Duration
		narrow bool
		loss   float64
		want   time.Duration
	}{
		{0, true, 0, 0}, // it may only not be known yet
		{time.Second, true, 0, 0},
		{time.Second, true, 0, narrowHold},
		{time.Second, false, 0, narrowHold},
		{3 * time.Second, true, 0, narrowHold},
		{time.Second, true, 0.05, 70 * time.Millisecond}, // that is more
		{3 * time.Second, false, 0, 70 * time.Millisecond},
		{3 * time.Second, false, 0, 70 * time.Millisecond},
		{3 * time.Second, false, 0, 0},
		{time.Second, true, 0, 0},
		{time.Second, false, 0, 0}, // for a moment only
	} {
		now = now.Add(step.after)
		if got := p.next(now, way{loss: step.loss, round: 40 * time.Millisecond, narrow: step.narrow}); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}

func TestPlayoutDelay(t *testing.T) {
	for _, c := range []struct {
		least  time.Duration
		synced bool
		want   [3]byte
	}{
		{0, false, [3]byte{0, 0, 0}},
		{0, true, [3]byte{0, 0x03, 0xe8}},
		{70 * time.Millisecond, false, [3]byte{0x00, 0x70, 0x07}},
		{250 * time.Millisecond, true, [3]byte{0x01, 0x93, 0xe8}},
	} {
		if got := playoutDelay(c.least, c.synced); got != c.want {
			t.Errorf("%v, synced %v: %x, want %x", c.least, c.synced, got, c.want)
		}
	}
}
