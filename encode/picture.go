package encode

import (
	"image"
	"time"

	"github.com/peercam/peercam/capture"
)

// copyFrame copies f into memory of its own, without a pool.
func copyFrame(f *capture.Frame) *capture.Frame {
	w, h := f.Rect.Dx(), f.Rect.Dy()
	to := image.NewYCbCr(image.Rect(0, 0, w, h), f.SubsampleRatio)
	y := f.YOffset(f.Rect.Min.X, f.Rect.Min.Y)
	c := f.COffset(f.Rect.Min.X, f.Rect.Min.Y)
	copyRows(to.Y, to.YStride, f.Y[y:], f.YStride, w)
	copyRows(to.Cb, to.CStride, f.Cb[c:], f.CStride, to.CStride)
	copyRows(to.Cr, to.CStride, f.Cr[c:], f.CStride, to.CStride)
	return &capture.Frame{YCbCr: to, Time: f.Time}
}

func copyRows(to []byte, toStride int, from []byte, fromStride, width int) {
	for len(to) >= width && len(from) >= width {
		copy(to[:width], from)
		to = to[min(toStride, len(to)):]
		from = from[min(fromStride, len(from)):]
	}
}

// rateMeter measures frames a second by the frames' own times.
type rateMeter struct {
	last time.Time
	gap  float64 // average, seconds
}

func (m *rateMeter) add(t time.Time) {
	gap := t.Sub(m.last).Seconds()
	switch {
	case m.last.IsZero():
	case gap <= 0 || gap > 2: // a repeat, or a pause: no rate of its own
	case m.gap == 0:
		m.gap = gap
	default:
		m.gap += (gap - m.gap) / 16
	}
	m.last = t
}

func (m *rateMeter) rate() float64 {
	if m.gap == 0 {
		return 0
	}
	return 1 / m.gap
}
