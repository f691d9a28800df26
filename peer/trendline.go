package peer

import (
	"math"
	"time"
)

type usage int

const (
	normal usage = iota
	overusing
	underusing
)

const (
	trendWindow    = 20
	trendSmoothing = 0.9
	trendGain      = 4.0
	thresholdStart = 12.5
	thresholdUp    = 0.0087
	thresholdDown  = 0.039
	overuseTime    = 10 * time.Millisecond
)

// trendline tells from the delays between bursts whether a queue grows on the
// way: the slope of the smoothed accumulated delay over the last bursts,
// against a threshold that adapts so as to hold its own beside loss-driven
// flows (draft-ietf-rmcat-gcc-02, section 5; libwebrtc's trendline_estimator).
type trendline struct {
	state usage

	accumulated, smoothed float64 // ms
	elapsed               float64 // ms since the first burst, by arrival
	x, y                  [trendWindow]float64
	n, deltas             int

	threshold  float64
	lastUpdate time.Time
	overFor    time.Duration
	overCount  int
	lastTrend  float64
}

func newTrendline() trendline { return trendline{threshold: thresholdStart, overFor: -1} }

// update takes how much later than the burst before this one was sent and arrived.
func (t *trendline) update(now time.Time, sent, arrived time.Duration) {
	if arrived < 0 {
		return // overtaken on the way: it tells nothing of the queue
	}
	if sent > 5*time.Second || arrived > 5*time.Second {
		*t = newTrendline() // a pause of either clock
		return
	}
	t.deltas = min(t.deltas+1, 1000)
	t.accumulated += float64(arrived-sent) / 1e6
	t.smoothed = trendSmoothing*t.smoothed + (1-trendSmoothing)*t.accumulated
	t.elapsed += float64(arrived) / 1e6
	copy(t.x[:], t.x[1:])
	copy(t.y[:], t.y[1:])
	t.x[trendWindow-1], t.y[trendWindow-1] = t.elapsed, t.smoothed
	t.n = min(t.n+1, trendWindow)

	trend := t.lastTrend
	if t.n == trendWindow {
		trend = slope(t.x[:], t.y[:])
	}
	t.detect(now, trend, sent)
}

func (t *trendline) detect(now time.Time, trend float64, sent time.Duration) {
	if t.n < trendWindow {
		t.state = normal
		return
	}
	modified := float64(min(t.deltas, 60)) * trend * trendGain
	switch {
	case modified > t.threshold:
		if t.overFor < 0 {
			t.overFor = sent / 2
		} else {
			t.overFor += sent
		}
		t.overCount++
		if t.overFor > overuseTime && t.overCount > 1 && trend >= t.lastTrend {
			t.overFor, t.overCount = 0, 0
			t.state = overusing
		}
	case modified < -t.threshold:
		t.overFor, t.overCount = -1, 0
		t.state = underusing
	default:
		t.overFor, t.overCount = -1, 0
		t.state = normal
	}
	t.lastTrend = trend
	t.adapt(now, modified)
}

func (t *trendline) adapt(now time.Time, modified float64) {
	last := t.lastUpdate
	t.lastUpdate = now
	if last.IsZero() {
		return
	}
	size := math.Abs(modified)
	if size > t.threshold+15 {
		return // a spike, such as a route change, must not blind the detector
	}
	k := thresholdDown
	if size > t.threshold {
		k = thresholdUp
	}
	ms := min(float64(now.Sub(last))/1e6, 100)
	t.threshold = min(max(t.threshold+k*(size-t.threshold)*ms, 6), 600)
}

// slope is that of the least-squares line.
func slope(x, y []float64) float64 {
	var mx, my float64
	for i := range x {
		mx += x[i]
		my += y[i]
	}
	n := float64(len(x))
	mx, my = mx/n, my/n
	var num, den float64
	for i := range x {
		num += (x[i] - mx) * (y[i] - my)
		den += (x[i] - mx) * (x[i] - mx)
	}
	if den == 0 {
		return 0
	}
	return num / den
}
