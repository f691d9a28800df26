package capture

import (
	"cmp"
	"math"
	"slices"

	"github.com/pion/mediadevices/pkg/prop"
)

// defaultFormat is what a camera is asked for when nobody says otherwise.
var defaultFormat = Format{Width: 1280, Height: 720, FPS: 30}

// chooseFormat picks one of have for who wants want, by this order:
//
//  1. both size and rate are reached;
//  2. the size is reached, and the rate is smooth;
//  3. the rate is smooth, and a quarter of the wanted area is reached: 640x480
//     that moves beats 1280x720 at 5 frames a second;
//  4. the size is reached, however slow;
//  5. the rest;
//
// within one of these by the nearest size above, else the nearest below, then
// by the nearest rate above, else below, then by what it costs to make I420 of
// it. A rate that the device does not tell counts as reached. ok is false when
// nothing in have is understood.
func chooseFormat(have []prop.Media, want Format) (best prop.Media, ok bool) {
	if want.Width <= 0 || want.Height <= 0 {
		want.Width, want.Height = defaultFormat.Width, defaultFormat.Height
	}
	if want.FPS <= 0 {
		want.FPS = defaultFormat.FPS
	}
	usable := make([]prop.Media, 0, len(have))
	for _, p := range have {
		if pixelCost(p.FrameFormat) > 0 && p.Width >= 2 && p.Height >= 2 {
			usable = append(usable, p)
		}
	}
	if len(usable) == 0 {
		return best, false
	}
	return slices.MinFunc(usable, func(a, b prop.Media) int {
		return cmp.Or(
			cmp.Compare(rank(a, want), rank(b, want)),
			nearest(float64(a.Width*a.Height), float64(b.Width*b.Height), reachesSize(a, want)),
			cmp.Compare(misshape(a, want), misshape(b, want)),
			nearestRate(a, b, want),
			cmp.Compare(pixelCost(a.FrameFormat), pixelCost(b.FrameFormat)),
			cmp.Compare(a.FrameFormat, b.FrameFormat),
			cmp.Compare(a.Width, b.Width),
		)
	}), true
}

// smooth is a rate that is seen as movement, in frames a second. A camera that
// reaches that, or half of what is wanted if that is less, is not made smaller
// to become faster.
const smooth = 12

func rank(p prop.Media, want Format) int {
	rate := min(smooth, want.FPS/2)
	size, area := reachesSize(p, want), 4*p.Width*p.Height >= want.Width*want.Height
	switch {
	case size && reachesRate(p, want.FPS):
		return 1
	case size && reachesRate(p, rate):
		return 2
	case area && reachesRate(p, rate):
		return 3
	case size:
		return 4
	}
	return 5
}

func reachesSize(p prop.Media, want Format) bool {
	return p.Width >= want.Width && p.Height >= want.Height
}

// reachesRate lets 29.97 pass for 30.
func reachesRate(p prop.Media, fps float64) bool {
	return p.FrameRate <= 0 || float64(p.FrameRate) >= fps*0.99
}

// nearest puts the smaller first above what is wanted, the larger below it.
func nearest(a, b float64, above bool) int {
	if above {
		return cmp.Compare(a, b)
	}
	return cmp.Compare(b, a)
}

func nearestRate(a, b prop.Media, want Format) int {
	above, other := reachesRate(a, want.FPS), reachesRate(b, want.FPS)
	switch {
	case above != other && above:
		return -1
	case above != other:
		return 1
	}
	return nearest(float64(a.FrameRate), float64(b.FrameRate), above)
}

// misshape is how far the picture's shape is from the wanted one.
func misshape(p prop.Media, want Format) float64 {
	return math.Abs(math.Log(float64(p.Width*want.Height) / float64(p.Height*want.Width)))
}

// sizeRange is a range of widths or heights in steps, as scaling devices offer it.
type sizeRange struct{ min, max, step int }

func (r sizeRange) has(n int) bool {
	return n >= r.min && n <= r.max && (r.step <= 1 || (n-r.min)%r.step == 0)
}

// sizesIn lists the usual sizes within the ranges, and the largest.
func sizesIn(w, h sizeRange) (all [][2]int) {
	for _, s := range [][2]int{
		{320, 180}, {320, 240}, {640, 360}, {640, 480}, {800, 600}, {960, 540}, {1024, 768}, {1280, 720},
		{1280, 960}, {1600, 1200}, {1920, 1080}, {2560, 1440}, {3840, 2160},
	} {
		if w.has(s[0]) && h.has(s[1]) {
			all = append(all, s)
		}
	}
	if last := [2]int{w.max, h.max}; !slices.Contains(all, last) {
		all = append(all, last)
	}
	return all
}

// ratesIn lists the usual frame rates from lowest to highest, and the highest.
func ratesIn(lowest, highest float64) (all []float64) {
	for _, fps := range []float64{5, 10, 15, 20, 24, 25, 30, 50, 60} {
		if fps >= lowest && fps <= highest {
			all = append(all, fps)
		}
	}
	if highest > 0 && highest <= 240 && !slices.Contains(all, highest) {
		all = append(all, highest)
	}
	return all
}
