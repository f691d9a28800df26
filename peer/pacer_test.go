package peer

import (
	"testing"
	"time"

	"github.com/peercam/peercam/encode"
)

// Sound may go out before the first estimate is known.
func TestThePictureDoesNotWaitForSoundBeforeIt(t *testing.T) {
	var p pacer
	now := time.Unix(1000, 0)
	p.sent(now, 100)
	p.set(startBitrate, false)
	if w := p.wait(now); w > 0 {
		t.Errorf("the first packet waits %v", w)
	}
}

// A burst of a second's worth is spread, and the mean rate is kept.
func TestPacingSpreadsABurst(t *testing.T) {
	var p pacer
	p.set(startBitrate, false)
	start := time.Unix(1000, 0)
	now := start
	for range startBitrate / 8 / maxPacket {
		now = now.Add(p.wait(now))
		p.sent(now, maxPacket)
	}
	least := time.Duration(float64(time.Second)/paceFactor) - paceBurst - 20*time.Millisecond
	if d := now.Sub(start); d < least || d > time.Second {
		t.Errorf("a second's worth went out in %v, want %v to 1 s", d, least)
	}
}

func TestTheOutboxKnowsOfItsKeyFrame(t *testing.T) {
	var o outbox
	defer o.clear()
	add := func(key bool) {
		f := encode.NewFrame()
		f.Key = key
		f.Data = append(f.Data, 1, 2, 3)
		o.add(f, allLayers, 0)
		f.Release()
	}
	add(true)
	add(false)
	if !o.holdsKey() {
		t.Error("a key frame that waits is not known of")
	}
	o.sent(true)
	if o.holdsKey() {
		t.Error("a key frame that is out is still said to wait")
	}
}
