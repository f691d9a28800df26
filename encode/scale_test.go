package encode

import (
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestRungSizes(t *testing.T) {
	for _, c := range []struct {
		source Size
		want   []Size
	}{
		{Size{1280, 720}, []Size{{1280, 720}, {640, 360}, {320, 180}}},
		{Size{1920, 1080}, []Size{{1920, 1080}, {960, 540}, {480, 270}}},
		{Size{3840, 2160}, []Size{{3840, 2160}, {1920, 1080}, {960, 540}}},
		{Size{720, 1280}, []Size{{720, 1280}, {360, 640}, {180, 320}}},
		{Size{640, 360}, []Size{{640, 360}, {320, 180}, {160, 90}}},
		{Size{352, 288}, []Size{{352, 288}, {176, 144}}},
		{Size{320, 240}, []Size{{320, 240}, {160, 120}}},
		{Size{854, 480}, []Size{{854, 480}, {426, 240}, {212, 120}}},
		{Size{1279, 719}, []Size{{1279, 719}, {638, 358}, {318, 178}}},
		{Size{1280, 179}, []Size{{1280, 179}}},
		{Size{178, 1280}, []Size{{178, 1280}}},
		{Size{1, 1}, []Size{{1, 1}}},
		{Size{}, []Size{{}}}, // whatever the source has
	} {
		if got := rungSizes(c.source); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.source, got, c.want)
		}
	}
}

// exactHalf is what halve makes, in real numbers.
func exactHalf(from []byte, stride, width, height int) []float64 {
	var out []float64
	for y := range height {
		for x := range width {
			i := 2*y*stride + 2*x
			out = append(out, (float64(from[i])+float64(from[i+1])+float64(from[i+stride])+float64(from[i+stride+1]))/4)
		}
	}
	return out
}

func TestHalve(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	noisy := func(width, height int) *image.YCbCr {
		p := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
		for _, plane := range [][]byte{p.Y, p.Cb, p.Cr} {
			for i := range plane {
				plane[i] = byte(rng.Uint32())
			}
		}
		return p
	}
	for name, from := range map[string]*image.YCbCr{
		"a camera":           newScene(320, 240).frame(0),
		"noise":              noisy(320, 240),
		"odd sides":          noisy(319, 237),
		"sides over four":    noisy(322, 246),
		"less than a vector": noisy(22, 10),
		"4x4":                noisy(4, 4),
		"part of another":    noisy(320, 240).SubImage(image.Rect(32, 18, 32+203, 18+121)).(*image.YCbCr),
		"white":              {Y: slices.Repeat([]byte{255}, 64*48), Cb: slices.Repeat([]byte{255}, 32*24), Cr: make([]byte, 32*24), YStride: 64, CStride: 32, Rect: image.Rect(0, 0, 64, 48), SubsampleRatio: image.YCbCrSubsampleRatio420},
	} {
		t.Run(name, func(t *testing.T) {
			got := halve(nil, from)
			w, h := got.Rect.Dx(), got.Rect.Dy()
			if w%2 != 0 || h%2 != 0 || w > from.Rect.Dx()/2 || h > from.Rect.Dy()/2 || w < from.Rect.Dx()/2-1 || h < from.Rect.Dy()/2-1 {
				t.Fatalf("half of %v is %v", from.Rect, got.Rect)
			}
			y, c := from.YOffset(from.Rect.Min.X, from.Rect.Min.Y), from.COffset(from.Rect.Min.X, from.Rect.Min.Y)
			compare := func(got []byte, want []float64) {
				t.Helper()
				sum := 0.0
				for i, v := range want {
					d := float64(got[i]) - v
					if math.Abs(d) > 0.5 {
						t.Fatalf("pixel %d is %d, want %v", i, got[i], v)
					}
					sum += d * d
				}
				if psnr := 10 * math.Log10(255*255*float64(len(want))/max(sum, 1e-9)); psnr < 54 { // half a step at most, a third on average
					t.Errorf("%.1f dB", psnr)
				}
			}
			compare(got.Y, exactHalf(from.Y[y:], from.YStride, w, h))
			compare(got.Cb, exactHalf(from.Cb[c:], from.CStride, w/2, h/2))
			compare(got.Cr, exactHalf(from.Cr[c:], from.CStride, w/2, h/2))
			if again := halve(got, from); again != got {
				t.Error("the memory is not used again")
			}
		})
	}
}

func TestPyramidScalesWhatIsAskedForOnly(t *testing.T) {
	var p pyramid
	small, large := newScene(160, 120).frame(0), newScene(320, 240).frame(0)
	p.begin(large)
	if p.level(0) != large || p.made != 1 {
		t.Error("the source itself is scaled")
	}
	if got := p.level(2).Rect.Size(); got != image.Pt(80, 60) || p.made != 3 {
		t.Errorf("a quarter is %v", got)
	}
	half := p.level(1)
	p.end()
	p.begin(large)
	if n := testing.AllocsPerRun(100, func() { p.begin(large); p.level(2) }); n != 0 {
		t.Errorf("%v allocations a picture", n)
	}
	if p.level(1) != half {
		t.Error("the memory is not used again")
	}
	p.begin(small)
	if got := p.level(1).Rect.Size(); got != image.Pt(80, 60) {
		t.Errorf("after the source changed, a half is %v", got)
	}
	bad := image.NewYCbCr(image.Rect(0, 0, 64, 48), image.YCbCrSubsampleRatio444)
	p.begin(bad)
	if p.level(2) != bad {
		t.Error("a picture that cannot be scaled is not handed on to say so")
	}
}

func FuzzHalve(f *testing.F) {
	f.Add(uint16(64), uint16(48), uint8(0), uint8(0))
	f.Add(uint16(5), uint16(7), uint8(3), uint8(1))
	f.Fuzz(func(t *testing.T, width, height uint16, x, y uint8) {
		w, h := int(width)%700+4, int(height)%500+4
		whole := image.NewYCbCr(image.Rect(0, 0, w+int(x), h+int(y)), image.YCbCrSubsampleRatio420)
		part := whole.SubImage(image.Rect(int(x)&^1, int(y)&^1, w+int(x)&^1, h+int(y)&^1)).(*image.YCbCr)
		for i := range whole.Y {
			whole.Y[i] = byte(i * 7)
		}
		half := halve(nil, part)
		for _, at := range [][2]int{{0, 0}, {half.Rect.Dx() - 1, half.Rect.Dy() - 1}} {
			i := part.YOffset(part.Rect.Min.X+2*at[0], part.Rect.Min.Y+2*at[1])
			s := part.YStride
			want := byte((int(part.Y[i]) + int(part.Y[i+1]) + int(part.Y[i+s]) + int(part.Y[i+s+1]) + 2) / 4)
			if got := half.Y[at[1]*half.YStride+at[0]]; got != want {
				t.Fatalf("%dx%d: pixel %v is %d, want %d", w, h, at, got, want)
			}
		}
	})
}

// BenchmarkHalve makes the lower rungs of a camera's picture.
func BenchmarkHalve(b *testing.B) {
	for _, size := range []Size{{1280, 720}, {640, 360}} {
		from := newScene(size.Width, size.Height).frame(0)
		to := halve(nil, from)
		b.Run(name(size.Height, "p"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				halve(to, from)
			}
		})
	}
}
