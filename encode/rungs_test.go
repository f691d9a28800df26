package encode

import (
	"image"
	"slices"
	"testing"
	"time"

	"github.com/peercam/peercam/capture"
)

// shootSize gives n pictures of a size, and returns what came of them by rung.
func (s *studio) shootSize(n, width, height int) (rungs [maxRungs][]*Frame) {
	had := len(s.frames)
	for range n {
		s.camera.give(s.picture(width, height))
	}
	for _, f := range s.frames[had:] {
		rungs[f.Rung] = append(rungs[f.Rung], f)
	}
	return rungs
}

func keys(frames []*Frame) (at []int) {
	for i, f := range frames {
		if f.Key {
			at = append(at, i)
		}
	}
	return at
}

func TestRungsAreEncodedWhileWanted(t *testing.T) {
	inStudio(t, LadderConfig{}, func(s *studio) {
		const w, h = 384, 368
		expect := func(what string, got [maxRungs][]*Frame, frames [maxRungs]int, keyFrames [maxRungs][]int) {
			t.Helper()
			for i := range got {
				if len(got[i]) != frames[i] || !slices.Equal(keys(got[i]), keyFrames[i]) {
					t.Errorf("%s: rung %d has %d frames, key frames %v; want %d, %v", what, i, len(got[i]), keys(got[i]), frames[i], keyFrames[i])
				}
				for _, f := range got[i] {
					if f.Width != w>>i || f.Height != h>>i {
						t.Errorf("%s: rung %d is %dx%d", what, i, f.Width, f.Height)
					}
				}
			}
		}
		s.want(0b001)
		expect("the top alone", s.shootSize(3, w, h), [3]int{3, 0, 0}, [3][]int{{0}})
		s.want(0b101)
		expect("the lowest wakes", s.shootSize(3, w, h), [3]int{3, 0, 3}, [3][]int{nil, nil, {0}})
		s.KeyFrame(2)
		expect("a key frame of one", s.shootSize(3, w, h), [3]int{3, 0, 3}, [3][]int{nil, nil, {0}})
		s.want(0b010)
		s.KeyFrame(1)
		expect("the middle alone", s.shootSize(3, w, h), [3]int{0, 3, 0}, [3][]int{nil, {0}})
		s.want(0b111)
		expect("all", s.shootSize(3, w, h), [3]int{3, 3, 3}, [3][]int{{0}, nil, {0}})
		for i, r := range s.Stats().Rungs {
			if want := []uint64{12, 6, 9}[i]; r.Encoded != want || !r.Wanted || r.Layered {
				t.Errorf("rung %d: %+v, want %d frames", i, r, want)
			}
		}
	})
}

func TestRungsAreWhatTheirPictureShows(t *testing.T) {
	inStudio(t, LadderConfig{}, func(s *studio) {
		s.want(0b111)
		got := s.shootSize(8, 384, 368)
		want := copyFrame(s.given[len(s.given)-1]).YCbCr
		for i, frames := range got {
			v := newViewer(t)
			var shown *image.YCbCr
			for _, f := range frames {
				shown = v.show(f.Data)
			}
			if db := psnr(want, shown); db < 30 {
				t.Errorf("rung %d shows the picture with %.1f dB", i, db)
			}
			want = halve(nil, want)
		}
	})
}

func TestRungsInLayers(t *testing.T) {
	inStudio(t, LadderConfig{}, func(s *studio) {
		layers := func(frames []*Frame) (out []int) {
			for _, f := range frames {
				out = append(out, f.Layer)
			}
			return out
		}
		s.wantLayered(0b011, 0b010)
		got := s.shootSize(9, 384, 368)
		if l := layers(got[0]); slices.Max(l) != 0 {
			t.Errorf("layers %v of a rung that is wanted in one", l)
		}
		if l := layers(got[1]); !slices.Equal(l, []int{0, 2, 1, 2, 0, 2, 1, 2, 0}) {
			t.Errorf("layers %v", l)
		}
		if !s.Stats().Rungs[1].Layered || s.Stats().Rungs[0].Layered {
			t.Error("Stats has the layers wrong")
		}
		s.wantLayered(0b011, 0b001)
		got = s.shootSize(5, 384, 368)
		if a, b := layers(got[0]), layers(got[1]); !slices.Equal(a, []int{0, 2, 1, 2, 0}) || slices.Max(b) != 0 {
			t.Errorf("the other way round: layers %v and %v", a, b)
		}
		if k := append(keys(got[0]), keys(got[1])...); len(k) != 0 {
			t.Errorf("key frames %v for a change of layers", k)
		}
		s.KeyFrame(0)
		if got = s.shootSize(5, 384, 368); !slices.Equal(layers(got[0]), []int{0, 2, 1, 2, 0}) || !got[0][0].Key {
			t.Errorf("layers %v after a key frame in the middle", layers(got[0]))
		}
	})
}

func TestRungsFollowTheSource(t *testing.T) {
	inStudio(t, LadderConfig{Want: capture.Format{Width: 1280, Height: 720, FPS: 30}}, func(s *studio) {
		expect := func(want ...Size) {
			t.Helper()
			if got := s.Rungs(); !slices.Equal(got, want) {
				t.Errorf("rungs %v, want %v", got, want)
			}
		}
		expect(Size{1280, 720}, Size{640, 360}, Size{320, 180})
		s.want(0b100)
		if got := s.shootSize(2, 184, 200); len(got[0])+len(got[1])+len(got[2]) != 0 {
			t.Error("a rung that is not there was encoded")
		}
		expect(Size{184, 200}, Size{92, 100})
		s.expect(1, true) // somebody does watch, and will want what there is
		s.want(0b010)
		if got := s.shootSize(2, 184, 200); len(got[1]) != 2 {
			t.Errorf("%d frames", len(got[1]))
		}
		got := s.shootSize(2, 368, 400)
		expect(Size{368, 400}, Size{184, 200}, Size{92, 100})
		if len(got[1]) != 2 || !got[1][0].Key || got[1][0].Width != 184 {
			t.Error("the rung does not follow the source at once, by a key frame")
		}
	})
}

func TestBitratesOfRungs(t *testing.T) {
	l := NewLadder(LadderConfig{Source: &fakeCamera{}, Bitrate: 2_000_000})
	l.SetBitrate(1, 300_000)
	var got []int
	for _, r := range l.Stats().Rungs {
		got = append(got, r.Bitrate)
	}
	if want := []int{2_000_000, 300_000, 200_000}; !slices.Equal(got, want) {
		t.Errorf("bit rates %v, want %v", got, want)
	}
}

// standing is a run whose pictures the caller hands over.
func standing(tb testing.TB, rungs, layered uint32) *ladderRun {
	l := NewLadder(LadderConfig{Source: &fakeCamera{}, Bitrate: 1_500_000})
	l.Want(rungs, layered)
	r := &ladderRun{Ladder: l, sink: func(*Frame) {}}
	tb.Cleanup(func() {
		for _, rung := range r.rungs {
			rung.stop()
		}
	})
	return r
}

// BenchmarkLadder encodes a camera-like 1280x720 at 30 Hz. cpu-ms/frame is the
// processor time of a picture on all rungs; x-top is its ratio to the top rung
// alone in one layer, which runs in turn with it.
func BenchmarkLadder(b *testing.B) {
	const n, fps = 150, 30
	pictures := newScene(1280, 720).frames(n, fps)
	for _, c := range []struct {
		name           string
		rungs, layered uint32
	}{{"top,layered", 1, 1}, {"three", 7, 0}, {"three,layered", 7, 7}} {
		b.Run(c.name, func(b *testing.B) {
			top, all := standing(b, 1, 0), standing(b, c.rungs, c.layered)
			var i int
			encode := func(r *ladderRun) time.Duration {
				k := i % (2 * (n - 1)) // to and fro, so that the scene never jumps
				if k >= n {
					k = 2*(n-1) - k
				}
				f := capture.Frame{YCbCr: pictures[k], Time: at(i, fps)}
				r.guard = guard{} // however slow this machine is
				start := cpuTime(b)
				r.picture(&f)
				return cpuTime(b) - start
			}
			var spent, alone time.Duration
			for i = 0; i < 10; i++ {
				encode(top)
				encode(all)
			}
			b.ReportAllocs()
			for b.Loop() {
				alone += encode(top)
				spent += encode(all)
				i++
			}
			b.ReportMetric(spent.Seconds()*1000/float64(b.N), "cpu-ms/frame")
			b.ReportMetric(alone.Seconds()*1000/float64(b.N), "top-cpu-ms/frame")
			b.ReportMetric(float64(spent)/float64(alone), "x-top")
		})
	}
}
