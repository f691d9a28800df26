package encode

import (
	"bytes"
	"image"
	"math/rand/v2"
	"testing"
)

// layeredStream encodes pictures; change is called before each with the
// encoder and tells whether a key frame is asked for. Pictures that the rate
// control left out have no Data.
func layeredStream(t testing.TB, c VP8Config, pictures []*image.YCbCr, change func(i int, e *VP8Encoder) (key bool)) []*Frame {
	t.Helper()
	e, err := NewVP8(c)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var out []*Frame
	for i, p := range pictures {
		key := change(i, e)
		f := new(Frame)
		if err := e.Encode(p, at(i, 30), key, f); err != nil {
			t.Fatal(err)
		}
		if key && !f.Key {
			t.Fatalf("frame %d is no key frame", i)
		}
		out = append(out, f)
	}
	return out
}

func samePicture(a, b *image.YCbCr) bool {
	return a.Rect == b.Rect && bytes.Equal(a.Y, b.Y) && bytes.Equal(a.Cb, b.Cb) && bytes.Equal(a.Cr, b.Cr)
}

func clonePicture(p *image.YCbCr) *image.YCbCr {
	c := *p
	c.Y, c.Cb, c.Cr = bytes.Clone(p.Y), bytes.Clone(p.Cb), bytes.Clone(p.Cr)
	return &c
}

// TestAnyLayersDecode shows streams to viewers who get all layers, two, or
// the base, and to one who changes at random as Frame.Sync allows: everyone
// sees each frame he gets exactly as who gets all of them does, across layers
// turned on and off, key frames at any phase and frames left out.
func TestAnyLayersDecode(t *testing.T) {
	calm, restless := newScene(176, 144).frames(400, 30), cuts(176, 144, 400)
	for _, c := range []struct {
		name    string
		bitrate int
		flip    int  // layers are turned on or off every so many frames on average; 0: always on
		key     int  // key frames likewise
		cut     bool // the scene changes often, and the stream is steady all the same
	}{
		{"plain", 300_000, 0, 0, false},
		{"keys", 300_000, 0, 23, false},
		{"switching", 300_000, 13, 0, false},
		{"switching with keys", 300_000, 9, 31, false},
		{"starved", 12_000, 0, 90, false},
		{"starved and switching", 12_000, 15, 70, false},
		{"cuts", 100_000, 0, 0, true},
		{"cuts, switching with keys", 100_000, 15, 70, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			layered, again := true, uint64(0)
			pictures := calm
			if c.cut {
				pictures = restless
			}
			frames := layeredStream(t, VP8Config{Width: 176, Height: 144, Bitrate: c.bitrate, Layered: true, Steady: c.cut}, pictures,
				func(i int, e *VP8Encoder) bool {
					again = e.again
					if c.flip > 0 && rng.IntN(c.flip) == 0 {
						layered = !layered
						if err := e.SetLayered(layered); err != nil {
							t.Fatal(err)
						}
					}
					return c.key > 0 && rng.IntN(c.key) == 0
				})
			all := newViewer(t)
			viewers := [3]*viewer{newViewer(t), newViewer(t), newViewer(t)}
			most, dropped, synced := 0, 0, 0 // most: the highest layer that the last viewer gets
			for i, f := range frames {
				if len(f.Data) == 0 {
					dropped++
					continue
				}
				if f.Key && f.Layer != 0 || f.Layer == 0 && f.Sync {
					t.Fatalf("frame %d: key %v, layer %d, sync %v", i, f.Key, f.Layer, f.Sync)
				}
				shown := clonePicture(all.show(f.Data))
				if f.Sync && f.Layer > most && rng.IntN(3) == 0 {
					most = f.Layer
					synced++
				} else if rng.IntN(20) == 0 {
					most = rng.IntN(most + 1)
				}
				for k, highest := range []int{0, 1, most} {
					if f.Layer > highest {
						continue
					}
					if !samePicture(shown, viewers[k].show(f.Data)) {
						t.Fatalf("frame %d of layer %d (sync %v) differs for who gets layers up to %d", i, f.Layer, f.Sync, highest)
					}
				}
			}
			if c.cut != (again > 2) {
				t.Errorf("%d pictures were made again", again)
			}
			if c.bitrate < 100_000 && dropped < 20 || synced < 5 {
				t.Errorf("%d frames left out, %d steps up: the test does not test", dropped, synced)
			}
		})
	}
}

func TestLayersArriveAtTheirRates(t *testing.T) {
	pictures := newScene(320, 240).frames(10*30, 30)
	const bitrate = 500_000
	frames := layeredStream(t, VP8Config{Width: 320, Height: 240, Bitrate: bitrate, Layered: true}, pictures,
		func(int, *VP8Encoder) bool { return false })
	var count, size [3]int
	for _, f := range frames[60:] {
		for l := f.Layer; l < 3; l++ {
			count[l]++
			size[l] += len(f.Data)
		}
	}
	for l, want := range [3]int{60, 120, 240} {
		if count[l] < want-2 || count[l] > want {
			t.Errorf("%d frames of 240 in layers up to %d, want %d", count[l], l, want)
		}
		rate := float64(size[l]) * 8 / 8
		if want := LayerShare[l] * bitrate; rate < 0.85*want || rate > 1.15*want {
			t.Errorf("layers up to %d take %.0f kbit/s, want %.0f", l, rate/1000, want/1000)
		}
	}
}
