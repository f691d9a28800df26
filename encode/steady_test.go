package encode

import (
	"image"
	"math/rand/v2"
	"testing"
	"time"
)

func TestSteady(t *testing.T) {
	const kbits, gap = 1000, time.Second / 30
	at := func(i int) time.Time { return time.Unix(1000, 0).Add(time.Duration(i) * gap) }
	var s steady
	i := 0
	show := func(bytes int) (least int) {
		s.full(at(i), gap, kbits, true)
		least = s.bound(2, 56)
		s.sent(bytes, max(least, 20))
		i++
		return least
	}
	const fair = kbits * 1000 / 8 / 30
	for range 30 {
		if q := show(fair); q != 2 {
			t.Fatalf("quantizers below %d are taken from pictures of just the rate", q)
		}
	}
	show(4 * fair)
	after := show(fair)
	if after < 22 {
		t.Errorf("quantizers from %d after a picture of four times the rate, want above the usual 20", after)
	}
	for range 10 {
		show(fair / 2)
	}
	if q := show(fair); q != 2 {
		t.Errorf("quantizers from %d when what was too much has been made up for", q)
	}
	for range 20 {
		show(10 * fair)
	}
	if q := show(fair); q != 56 {
		t.Errorf("quantizers from %d after far too much, want the coarsest", q)
	}
	if !s.full(at(i), gap, kbits, true) || !s.full(at(i), gap, kbits, false) {
		t.Error("a picture goes in where six seconds' worth waits")
	}
	if s.full(at(i), gap, 40*kbits, true) || s.full(at(i+1), gap, kbits, true) {
		t.Error("pictures are left out although what waits goes out forty times as fast")
	}
	i += 3000
	if q := show(fair); q != 2 {
		t.Errorf("quantizers from %d after a pause", q)
	}
	i += 3000
	// A camera of five pictures a second, of which each takes 200 ms of the rate.
	for k := range 100 {
		size := fair * 6 * 16 / 10 // the base layer
		if k%4 != 0 {
			size = fair * 6 * 8 / 10
		}
		if s.full(at(i+6*k), 6*gap, kbits, true); s.bound(2, 56) != 2 {
			t.Fatalf("quantizers from %d for a slow camera's fair pictures", s.bound(2, 56))
		}
		if s.again(size, 20, 56) {
			t.Fatal("a slow camera's picture is made again, for it takes long by nature")
		}
		s.sent(size, 20)
	}
	s.full(at(i+10_000), gap, kbits, true)
	for _, c := range []struct {
		size, quantizer int
		want            bool
	}{{4 * fair, 20, false}, {6 * fair, 20, true}, {6 * fair, 54, false}} {
		if got := s.again(c.size, c.quantizer, 56); got != c.want {
			t.Errorf("%+v: again %v", c, got)
		}
	}
}

const cutEach = 21

// cuts is a scene that another one takes the place of, again and again, at every
// place of the period of temporal layers.
func cuts(width, height, n int) []*image.YCbCr {
	rng := rand.New(rand.NewPCG(5, 6))
	var pictures []*image.YCbCr
	var p *image.YCbCr
	for i := range n {
		if i%cutEach == 0 {
			p = image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
			for k := range p.Y {
				p.Y[k] = byte(100 + rng.IntN(50))
			}
			for k := range p.Cb {
				p.Cb[k], p.Cr[k] = byte(120+i%16), byte(120+i%13)
			}
		}
		pictures = append(pictures, p)
	}
	return pictures
}

// A link that has just the rate must not be held up by one picture, and who gets
// fewer layers must see what the others see of those it has.
func TestASteadyStreamCutsShort(t *testing.T) {
	const fps, bitrate = 30, 400_000
	pictures := cuts(640, 360, 200)
	run := func(steadily bool) (most time.Duration, quality float64) {
		e, err := NewVP8(VP8Config{Width: 640, Height: 360, Bitrate: bitrate, FPS: fps, Layered: true, Steady: steadily})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		viewers := [3]*viewer{newViewer(t), newViewer(t), newViewer(t)} // of layers up to
		var f Frame
		for i, p := range pictures {
			if err := e.Encode(p, at(i, fps), false, &f); err != nil {
				t.Fatal(err)
			}
			if len(f.Data) == 0 {
				continue
			}
			if !f.Key {
				most = max(most, takes(len(f.Data), bitrate/1000))
			}
			var all *image.YCbCr
			for l := len(viewers) - 1; l >= f.Layer; l-- {
				shown := viewers[l].show(f.Data)
				if all == nil {
					all = clonePicture(shown)
				} else if psnr(all, shown) < 90 {
					t.Fatalf("picture %d of layer %d is another one without the layers above %d", i, f.Layer, l)
				}
			}
			// What a viewer sees drifts away from what the encoder refers to where the
			// two do not agree on what was sent.
			if i%cutEach == cutEach-1 {
				quality += psnr(p, all) * cutEach / float64(len(pictures))
			}
		}
		return most, quality
	}
	usual, good := run(false)
	steadied, fair := run(true)
	if usual <= mostTime*3/2 {
		t.Fatalf("no picture takes longer than %v: it tests nothing", usual)
	}
	if fair < good-1 {
		t.Errorf("a scene comes to %.1f dB, without care %.1f", fair, good)
	}
	if steadied > usual*2/3 {
		t.Errorf("a picture takes %v of a link of the target's rate, without care %v", steadied, usual)
	}
}

// grass is all detail, and moves.
func grass(width, height, n int) (pictures []*image.YCbCr) {
	rng := rand.New(rand.NewPCG(1, 2))
	texture := make([]byte, width*height)
	for i := range texture {
		texture[i] = byte(110 + rng.IntN(26))
	}
	for i := range n {
		p := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
		for y := range height {
			from, to := texture[(y+i)%height*width:][:width], p.Y[y*p.YStride:]
			copy(to[copy(to, from[2*i%width:]):width], from)
		}
		for k := range p.Cb {
			p.Cb[k], p.Cr[k] = 128, 128
		}
		pictures = append(pictures, p)
	}
	return pictures
}

// What a link carries may be seen to be a multiple of what it was thought to carry:
// pictures go on, and soon are worth it.
func TestPicturesGoOnWhereTheRateRises(t *testing.T) {
	const fps, last = 30, 150
	pictures := grass(640, 360, last)
	for _, rates := range [][]int{{160_000, 160_000, 370_000, 490_000}, {220_000, 160_000, 200_000, 440_000, 620_000}, {250_000, 250_000, 560_000, 560_000, 400_000}} {
		for start := range 4 { // in the period of temporal layers
			e, err := NewVP8(VP8Config{Width: 640, Height: 360, Bitrate: rates[0], FPS: fps, Layered: true, Steady: true})
			if err != nil {
				t.Fatal(err)
			}
			var f Frame
			out, longest, size := 0, 0, 0
			rate := 0
			for i, p := range pictures {
				rate = rates[min(max(0, i-60-start)/10, len(rates)-1)]
				if err := e.SetBitrate(rate); err != nil {
					t.Fatal(err)
				}
				if err := e.Encode(p, at(i, fps), false, &f); err != nil {
					t.Fatal(err)
				}
				if out++; len(f.Data) > 0 {
					out = 0
				}
				longest = max(longest, out)
				if i >= last-fps {
					size += len(f.Data)
				}
			}
			if longest > 2 {
				t.Errorf("rates %d from picture %d of the period on: %d pictures in a row are left out", rates, start, longest)
			}
			if got := 8 * size; got > rate*12/10 || got < rate/2 {
				t.Errorf("rates %d from picture %d of the period on: %d bit/s are sent in the end", rates, start, got)
			}
			_ = e.Close()
		}
	}
}
