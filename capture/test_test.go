package capture

import (
	"image"
	"math/rand/v2"
	"testing"
	"time"
)

func TestBarcode(t *testing.T) {
	for _, size := range []image.Point{{1280, 720}, {1920, 1080}, {640, 480}, {320, 240}, {854, 480}, {176, 144}, {90, 60}} {
		img := newI420(size.X&^1, size.Y&^1)
		for _, ms := range []int64{0, 1, 1<<24 - 1, 0x5a5a5a, 1_790_000_000_123} {
			drawBarcode(img, ms)
			for i := range cellEdge(1, size.X) * img.YStride { // what a poor encoder does to it
				img.Y[i] = byte(max(0, min(255, int(img.Y[i])+rand.IntN(81)-40)))
			}
			if got, ok := ReadBarcode(img); !ok || got != uint32(ms&(1<<24-1)) {
				t.Errorf("%v: read %d, %v; want %d", size, got, ok, ms&(1<<24-1))
			}
		}
	}
}

// A viewer may get a smaller rung, of a width that 40 does not divide.
func TestBarcodeScaled(t *testing.T) {
	big := newI420(1280, 720)
	drawBarcode(big, 0x123456)
	for _, w := range []int{960, 852, 640, 426, 320, 240} {
		small := newI420(w, w*9/16&^1)
		for y := range small.Rect.Dy() {
			for x := range w {
				small.Y[y*small.YStride+x] = big.Y[y*1280/w*big.YStride+x*1280/w]
			}
		}
		if got, ok := ReadBarcode(small); !ok || got != 0x123456 {
			t.Errorf("%d wide: read %x, %v", w, got, ok)
		}
	}
}

func TestNoBarcode(t *testing.T) {
	flipped := newI420(640, 480)
	drawBarcode(flipped, 12345)
	fillLuma(flipped, image.Rect(5*16, 0, 6*16, 16), 235-flipped.Y[5*16+8]+16)
	grey := newI420(640, 480)
	set(grey.Y, 128)
	for name, img := range map[string]*image.YCbCr{
		"one bit flipped": flipped, "grey": grey, "black": newI420(640, 480), "tiny": newI420(16, 16),
	} {
		if ms, ok := ReadBarcode(img); ok {
			t.Errorf("%s: read %d from it", name, ms)
		}
	}
}

// What the test picture says is when it was taken.
func TestTestPictureTellsItsTime(t *testing.T) {
	src, err := ParseVideo("test", Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Open(t.Context(), Format{FPS: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if f := r.Format(); f != (Format{1280, 720, 100}) {
		t.Errorf("format %v", f)
	}
	for range 5 {
		f, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		want := uint32((f.Time.UnixNano()+500_000)/1_000_000) & (1<<24 - 1)
		if ms, ok := ReadBarcode(f.YCbCr); !ok || ms != want {
			t.Errorf("barcode %d, %v; stamped %d", ms, ok, want)
		}
		f.Release()
	}
}

// The square is white exactly while the beep sounds.
func TestFlashAndBeepTogether(t *testing.T) {
	card, img := newTestCard(1280, 720), newI420(1280, 720)
	card.background(img)
	sound := newBeepReader()
	second := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	middle := img.YOffset((card.flash.Min.X+card.flash.Max.X)/2, (card.flash.Min.Y+card.flash.Max.Y)/2)
	for at := -200 * time.Millisecond; at < time.Second; at += 10 * time.Millisecond {
		card.moving(img, second.Add(at))
		sound.fill(second.Add(at))
		loud := 0
		for _, v := range sound.pcm {
			loud = max(loud, int(v))
		}
		within := at >= 0 && at < 100*time.Millisecond
		if white := img.Y[middle] == 235; white != within {
			t.Errorf("%v after the second: white %v, want %v", at, white, within)
		}
		if beeps := loud > 10000; beeps != within || !within && loud > 0 {
			t.Errorf("%v after the second: loudness %d, want a beep: %v", at, loud, within)
		}
	}
}

// Any size is drawn without a crash, and asked for by one side it is 16:9.
func TestTestPictureSizes(t *testing.T) {
	for _, c := range []struct{ want, got Format }{
		{Format{16, 16, 0}, Format{16, 16, 30}},
		{Format{17, 401, 5}, Format{16, 400, 5}},
		{Format{640, 0, 15}, Format{640, 360, 15}},
		{Format{0, 1080, 0}, Format{1920, 1080, 30}},
		{Format{2000, 16, 29.97}, Format{2000, 16, 29.97}},
	} {
		r, err := (&testVideo{}).Open(t.Context(), c.want)
		if err != nil {
			t.Errorf("%v: %v", c.want, err)
			continue
		}
		if r.Format() != c.got {
			t.Errorf("asked for %v, got %v, want %v", c.want, r.Format(), c.got)
		}
		tr := r.(*testReader)
		f := tr.pool.get(c.got.Width, c.got.Height)
		for ms := range 50 {
			tr.card.moving(f.YCbCr, time.UnixMilli(int64(ms)*79))
		}
		r.Close()
	}
	for _, bad := range []Format{{8, 8, 30}, {9000, 100, 30}, {640, 480, -1}, {640, 480, 5000}} {
		if _, err := (&testVideo{}).Open(t.Context(), bad); err == nil {
			t.Errorf("%v was not refused", bad)
		}
	}
}

func TestFramesAreRecycled(t *testing.T) {
	painted := 0
	p := framePool{fresh: func(*Frame) { painted++ }}
	a := p.get(65, 49)
	if a.Rect != image.Rect(0, 0, 64, 48) || len(a.i420()) != 64*48*3/2 {
		t.Errorf("a frame of %v, %d bytes", a.Rect, len(a.i420()))
	}
	a.Release()
	a.Release() // once too often: it must not come out twice
	b, c := p.get(64, 48), p.get(64, 48)
	if b != a || c == a || painted != 2 {
		t.Errorf("recycled %v, given out twice %v, painted %d times", b == a, c == a, painted)
	}
	p.get(32, 32)
	b.Release() // of the old size by now
	if d := p.get(32, 32); d.Rect.Dx() != 32 {
		t.Errorf("a frame of %v", d.Rect)
	}
}

func BenchmarkTestPicture720p(b *testing.B) {
	card := newTestCard(1280, 720)
	p := framePool{fresh: func(f *Frame) { card.background(f.YCbCr) }}
	at := time.Now()
	b.ReportAllocs()
	for range b.N {
		f := p.get(1280, 720)
		at = at.Add(time.Second / 30)
		card.moving(f.YCbCr, at)
		f.Release()
	}
}
