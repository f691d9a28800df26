package encode

import (
	"bytes"
	"fmt"
	"image"
	"io"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/mediadevices/pkg/codec"
	"github.com/pion/mediadevices/pkg/codec/vpx"
	"github.com/pion/mediadevices/pkg/prop"
)

// scene makes camera-like pictures: a still, textured room, a textured body
// that sways in it, and the noise of a sensor.
type scene struct {
	width, height int
	room, body    []byte // textures of 1.5 x the size
	noise         []int8
	rng           *rand.Rand
}

func newScene(width, height int) *scene {
	s := &scene{width: width, height: height, rng: rand.New(rand.NewPCG(1, 2))}
	s.room = s.texture(60, 170)
	s.body = s.texture(90, 220)
	s.noise = make([]int8, 1<<16)
	for i := range s.noise {
		s.noise[i] = int8(max(-9, min(9, math.Round(s.rng.NormFloat64()*2))))
	}
	return s
}

func (s *scene) stride() int { return s.width * 3 / 2 }

// texture sums smooth noise of falling strength from coarse to fine.
func (s *scene) texture(low, high float64) []byte {
	w, h := s.stride(), s.height*3/2
	sum := make([]float64, w*h)
	weight, total := 1.0, 0.0
	for cell := float64(max(w, h)) / 3; cell >= 3; cell /= 2 {
		gw, gh := int(float64(w)/cell)+2, int(float64(h)/cell)+2
		grid := make([]float64, gw*gh)
		for i := range grid {
			grid[i] = s.rng.Float64()
		}
		for y := range h {
			gy, fy := math.Modf(float64(y) / cell)
			for x := range w {
				gx, fx := math.Modf(float64(x) / cell)
				i := int(gy)*gw + int(gx)
				top := grid[i] + (grid[i+1]-grid[i])*fx
				bottom := grid[i+gw] + (grid[i+gw+1]-grid[i+gw])*fx
				sum[y*w+x] += weight * (top + (bottom-top)*fy)
			}
		}
		total += weight
		weight *= 0.6
	}
	out := make([]byte, w*h)
	for i, v := range sum {
		out[i] = byte(low + (high-low)*v/total)
	}
	return out
}

// frame paints the picture at t seconds.
func (s *scene) frame(t float64) *image.YCbCr {
	w, h := s.width, s.height
	img := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	cx := float64(w)*0.5 + float64(w)*0.12*math.Sin(t*0.9)
	cy := float64(h)*0.62 + float64(h)*0.05*math.Sin(t*2.3)
	rx, ry := float64(w)*0.18, float64(h)*0.4
	dx, dy := int(cx)-w/4, int(cy)-h/4
	noise := s.rng.IntN(len(s.noise))
	for y := range h {
		room := s.room[y*s.stride():]
		line := img.Y[y*img.YStride:]
		for x := range w {
			v := int(room[x])
			ex, ey := (float64(x)-cx)/rx, (float64(y)-cy)/ry
			if ex*ex+ey*ey < 1 {
				v = int(s.body[min(max(y-dy+h/2, 0), h*3/2-1)*s.stride()+min(max(x-dx+w/2, 0), s.stride()-1)])
			}
			noise = (noise + 1) & (len(s.noise) - 1)
			line[x] = byte(min(max(v+int(s.noise[noise]), 0), 255))
		}
		noise = (noise + s.rng.IntN(997)) & (len(s.noise) - 1)
	}
	for y := range h / 2 {
		for x := range w / 2 {
			v := s.room[2*y*s.stride()+2*x]
			img.Cb[y*img.CStride+x] = 128 + byte(int(v)-115)/8
			img.Cr[y*img.CStride+x] = 128 - byte(int(v)-115)/8
		}
	}
	return img
}

// frames paints n pictures at fps frames a second.
func (s *scene) frames(n int, fps float64) []*image.YCbCr {
	out := make([]*image.YCbCr, n)
	for i := range out {
		out[i] = s.frame(float64(i) / fps)
	}
	return out
}

// psnr is over all three planes, dB.
func psnr(a, b *image.YCbCr) float64 {
	if a.Rect.Size() != b.Rect.Size() {
		return 0
	}
	sum, n := 0.0, 0
	plane := func(p, q []byte, ps, qs, w, h int) {
		for y := range h {
			for x := range w {
				d := float64(p[y*ps+x]) - float64(q[y*qs+x])
				sum += d * d
			}
		}
		n += w * h
	}
	w, h := a.Rect.Dx(), a.Rect.Dy()
	plane(a.Y, b.Y, a.YStride, b.YStride, w, h)
	plane(a.Cb, b.Cb, a.CStride, b.CStride, w/2, h/2)
	plane(a.Cr, b.Cr, a.CStride, b.CStride, w/2, h/2)
	if sum == 0 {
		return 99
	}
	return 10 * math.Log10(255*255*float64(n)/sum)
}

// viewer decodes with libvpx, frame by frame.
type viewer struct {
	t   testing.TB
	in  bytes.Buffer
	dec codec.VideoDecoder
}

func newViewer(t testing.TB) *viewer {
	v := &viewer{t: t}
	var err error
	if v.dec, err = vpx.NewDecoder(io.Reader(&v.in), prop.Media{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.dec.Close() })
	return v
}

func (v *viewer) show(data []byte) *image.YCbCr {
	v.t.Helper()
	v.in.Write(data)
	img, release, err := v.dec.Read()
	if err != nil {
		v.t.Fatalf("libvpx cannot decode a frame of %d bytes: %v", len(data), err)
	}
	release()
	return img.(*image.YCbCr)
}

// at is when frame i of a stream was taken.
func at(i int, fps float64) time.Time {
	return time.Unix(1_700_000_000, 0).Add(time.Duration(float64(i) / fps * float64(time.Second)))
}

func name(parts ...any) string { return fmt.Sprint(parts...) }
