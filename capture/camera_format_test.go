package capture

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pion/mediadevices/pkg/frame"
	"github.com/pion/mediadevices/pkg/prop"
)

func offer(f frame.Format, w, h int, fps float32) prop.Media {
	return prop.Media{Video: prop.Video{Width: w, Height: h, FrameRate: fps, FrameFormat: f}}
}

func TestChooseFormat(t *testing.T) {
	const (
		i420, nv12, yuyv, mjpeg = frame.FormatI420, frame.FormatNV12, frame.FormatYUYV, frame.FormatMJPEG
	)
	hd30 := Format{1280, 720, 30}
	// what a common USB 2 camera offers: raw is slow where it is large
	usb := []prop.Media{
		offer(yuyv, 640, 480, 30), offer(yuyv, 640, 480, 15), offer(yuyv, 1280, 720, 10), offer(yuyv, 1920, 1080, 5),
		offer(mjpeg, 640, 480, 30), offer(mjpeg, 1280, 720, 30), offer(mjpeg, 1280, 720, 60), offer(mjpeg, 1920, 1080, 30),
	}
	tests := []struct {
		name string
		have []prop.Media
		want Format
		best prop.Media
	}{
		{"rate decides over cost", usb, hd30, offer(mjpeg, 1280, 720, 30)},
		{"cost decides among equals", usb, Format{640, 480, 30}, offer(yuyv, 640, 480, 30)},
		{"lower rate wanted", usb, Format{1280, 720, 10}, offer(yuyv, 1280, 720, 10)},
		{"nearest rate above", usb, Format{640, 480, 12}, offer(yuyv, 640, 480, 15)},
		{"size between", usb, Format{800, 600, 30}, offer(mjpeg, 1280, 720, 30)},
		{"size above all", usb, Format{3840, 2160, 30}, offer(mjpeg, 1920, 1080, 30)},
		{"size below all", usb, Format{160, 120, 30}, offer(yuyv, 640, 480, 30)},
		{"rate above all", usb, Format{1280, 720, 120}, offer(mjpeg, 1280, 720, 60)},
		{"nothing wanted", usb, Format{}, offer(mjpeg, 1280, 720, 30)},
		{"every cost", []prop.Media{offer(mjpeg, 1280, 720, 30), offer(yuyv, 1280, 720, 30), offer(nv12, 1280, 720, 30), offer(i420, 1280, 720, 30)},
			hd30, offer(i420, 1280, 720, 30)},
		{"29.97 is 30", []prop.Media{offer(yuyv, 1280, 720, 60), offer(yuyv, 1280, 720, 29.97)}, hd30, offer(yuyv, 1280, 720, 29.97)},
		{"a smaller picture that moves", []prop.Media{offer(yuyv, 640, 480, 25), offer(yuyv, 1280, 720, 5)}, hd30, offer(yuyv, 640, 480, 25)},
		{"full size if it moves", []prop.Media{offer(yuyv, 640, 480, 25), offer(yuyv, 1280, 720, 12.5)}, hd30, offer(yuyv, 1280, 720, 12.5)},
		{"more pictures than needed do not cost size", []prop.Media{offer(yuyv, 640, 480, 60), offer(yuyv, 1280, 720, 25)}, Format{1280, 720, 60}, offer(yuyv, 1280, 720, 25)},
		{"few pictures wanted", []prop.Media{offer(yuyv, 640, 480, 30), offer(yuyv, 1280, 720, 5)}, Format{1280, 720, 8}, offer(yuyv, 1280, 720, 5)},
		{"colour before grey", []prop.Media{offer(formatGrey, 1280, 720, 30), offer(mjpeg, 1280, 720, 30)}, hd30, offer(mjpeg, 1280, 720, 30)},
		{"but not a stamp", []prop.Media{offer(yuyv, 160, 120, 30), offer(yuyv, 1280, 720, 10)}, hd30, offer(yuyv, 1280, 720, 10)},
		{"half the rate will do", []prop.Media{offer(yuyv, 640, 480, 30), offer(yuyv, 1280, 720, 15)}, hd30, offer(yuyv, 1280, 720, 15)},
		{"slow only", []prop.Media{offer(yuyv, 640, 480, 5), offer(yuyv, 1280, 720, 5)}, hd30, offer(yuyv, 1280, 720, 5)},
		{"rate not told", []prop.Media{offer(nv12, 1280, 720, 0), offer(nv12, 640, 480, 0)}, hd30, offer(nv12, 1280, 720, 0)},
		{"area equal, shape nearer", []prop.Media{offer(yuyv, 1200, 1200, 30), offer(yuyv, 1600, 900, 30)}, Format{1120, 630, 30}, offer(yuyv, 1600, 900, 30)},
		{"depth is no picture", []prop.Media{offer(frame.FormatZ16, 1280, 720, 30), offer(mjpeg, 320, 240, 30)}, hd30, offer(mjpeg, 320, 240, 30)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for range 20 { // whatever the order
				have := slices.Clone(tt.have)
				r.Shuffle(len(have), func(i, j int) { have[i], have[j] = have[j], have[i] })
				if got, ok := chooseFormat(have, tt.want); !ok || got != tt.best {
					t.Fatalf("chose %v %dx%d at %v, want %v", got.FrameFormat, got.Width, got.Height, got.FrameRate, tt.best.Video)
				}
			}
		})
	}
	if p, ok := chooseFormat([]prop.Media{offer(frame.FormatZ16, 1280, 720, 30), offer("Y16", 640, 480, 30)}, hd30); ok {
		t.Errorf("chose %v of nothing usable", p)
	}
}

func TestRanges(t *testing.T) {
	if got, want := sizesIn(sizeRange{320, 1280, 2}, sizeRange{180, 800, 2}),
		[][2]int{{320, 180}, {320, 240}, {640, 360}, {640, 480}, {800, 600}, {960, 540}, {1024, 768}, {1280, 720}, {1280, 800}}; !slices.Equal(got, want) {
		t.Errorf("sizes %v, want %v", got, want)
	}
	if got, want := sizesIn(sizeRange{16, 1296, 16}, sizeRange{16, 976, 16}),
		[][2]int{{320, 240}, {640, 480}, {1024, 768}, {1280, 720}, {1280, 960}, {1296, 976}}; !slices.Equal(got, want) {
		t.Errorf("sizes in steps of 16 %v, want %v", got, want)
	}
	if got, want := ratesIn(10, 29.97), []float64{10, 15, 20, 24, 25, 29.97}; !slices.Equal(got, want) {
		t.Errorf("rates %v, want %v", got, want)
	}
	if got := ratesIn(0, 0); len(got) > 0 {
		t.Errorf("rates of nothing: %v", got)
	}
}
