package encode

import (
	"errors"
	"image"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pion/mediadevices/pkg/codec"
	"github.com/pion/mediadevices/pkg/io/video"
	"github.com/pion/mediadevices/pkg/prop"

	"github.com/peercam/peercam/capture"
)

// videoUnderTest is what the contract asks of every VP8 encoder. No data and
// no error: the rate control left the picture out.
type videoUnderTest interface {
	encode(img *image.YCbCr, t time.Time, key bool) ([]byte, error)
	setBitrate(bps int) error
	close() error
}

type ownEncoder struct {
	*VP8Encoder
	frame Frame
}

func (e *ownEncoder) encode(img *image.YCbCr, t time.Time, key bool) ([]byte, error) {
	err := e.Encode(img, t, key, &e.frame)
	return e.frame.Data, err
}
func (e *ownEncoder) setBitrate(bps int) error { return e.SetBitrate(bps) }
func (e *ownEncoder) close() error             { return e.Close() }

var errNoPicture = errors.New("no picture yet")

type mediadevicesEncoder struct {
	codec.ReadCloser
	next *capture.Frame
	last []byte
}

func (e *mediadevicesEncoder) encode(img *image.YCbCr, t time.Time, key bool) ([]byte, error) {
	if key {
		if err := e.Controller().(codec.KeyFrameController).ForceKeyFrame(); err != nil {
			return nil, err
		}
	}
	e.next = &capture.Frame{YCbCr: img, Time: t}
	b, release, err := e.Read()
	if errors.Is(err, errNoPicture) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e.last = append(e.last[:0], b...)
	release()
	return e.last, nil
}
func (e *mediadevicesEncoder) setBitrate(bps int) error {
	return e.Controller().(codec.BitRateController).SetBitRate(bps)
}
func (e *mediadevicesEncoder) close() error { return e.Close() }

var videoEncoders = map[string]func(t testing.TB, width, height, bitrate int, fps float64) videoUnderTest{
	"VP8Encoder": func(t testing.TB, width, height, bitrate int, fps float64) videoUnderTest {
		e, err := NewVP8(VP8Config{Width: width, Height: height, Bitrate: bitrate, FPS: fps})
		if err != nil {
			t.Fatal(err)
		}
		return &ownEncoder{VP8Encoder: e}
	},
	"VP8Params": func(t testing.TB, width, height, bitrate int, fps float64) videoUnderTest {
		var builder codec.VideoEncoderBuilder
		p, err := NewVP8Params()
		if err != nil {
			t.Fatal(err)
		}
		p.BitRate = bitrate
		builder = p
		e := &mediadevicesEncoder{}
		e.ReadCloser, err = builder.BuildVideoEncoder(video.ReaderFunc(func() (image.Image, func(), error) {
			if e.next == nil {
				return nil, nil, errNoPicture
			}
			f := e.next
			e.next = nil
			return f, f.Release, nil
		}), prop.Media{Video: prop.Video{Width: width, Height: height, FrameRate: float32(fps)}})
		if err != nil {
			t.Fatal(err)
		}
		return e
	},
}

func eachEncoder(t *testing.T, test func(t *testing.T, build func(width, height, bitrate int, fps float64) videoUnderTest)) {
	for name, build := range videoEncoders {
		t.Run(name, func(t *testing.T) {
			test(t, func(width, height, bitrate int, fps float64) videoUnderTest {
				e := build(t, width, height, bitrate, fps)
				t.Cleanup(func() { e.close() })
				return e
			})
		})
	}
}

// isKey reads the frame tag (RFC 6386, 9.1).
func isKey(data []byte) bool { return len(data) > 0 && data[0]&1 == 0 }

func TestPictureIsTheOneTaken(t *testing.T) {
	scene := newScene(320, 240)
	pictures := scene.frames(60, 30)
	eachEncoder(t, func(t *testing.T, build func(int, int, int, float64) videoUnderTest) {
		e, v := build(320, 240, 1_000_000, 30), newViewer(t)
		shown, sum := 0, 0.0
		for i, p := range pictures {
			data, err := e.encode(p, at(i, 30), false)
			if err != nil {
				t.Fatal(err)
			}
			if len(data) == 0 {
				continue
			}
			db := psnr(p, v.show(data))
			if db < 30 {
				t.Errorf("picture %d is shown with %.1f dB, want 30 at least", i, db)
			}
			shown++
			sum += db
		}
		if shown < 58 {
			t.Errorf("%d of 60 pictures shown: the bit rate is ample for all", shown)
		}
		if mean := sum / float64(shown); mean < 35 {
			t.Errorf("mean PSNR %.1f dB, want 35 at least", mean)
		}
	})
}

func TestBitrateIsMet(t *testing.T) {
	all := newScene(320, 240).frames(8*30, 30)
	var half []*image.YCbCr
	for i := 0; i < len(all); i += 2 {
		half = append(half, all[i])
	}
	for fps, pictures := range map[float64][]*image.YCbCr{15: half, 30: all} {
		eachEncoder(t, func(t *testing.T, build func(int, int, int, float64) videoUnderTest) {
			for _, told := range []float64{15, 30} { // the rate promised may be wrong
				t.Run(name("fps=", fps, ",promised=", told), func(t *testing.T) {
					e := build(320, 240, 700_000, told)
					// Each half after its first two seconds, which end what the change began.
					for half, bps := range []int{700_000, 300_000} {
						if err := e.setBitrate(bps); err != nil {
							t.Fatal(err)
						}
						bytes, seconds := 0, 0.0
						for i := range pictures {
							data, err := e.encode(pictures[i], at(half*len(pictures)+i, fps), false)
							if err != nil {
								t.Fatal(err)
							}
							if float64(i) >= 2*fps {
								bytes += len(data)
								seconds += 1 / fps
							}
						}
						got := float64(bytes) * 8 / seconds
						if got < 0.9*float64(bps) || got > 1.1*float64(bps) {
							t.Errorf("%.0f kbit/s for a target of %d", got/1000, bps/1000)
						}
					}
				})
			}
		})
	}
}

func TestKeyFrameOnRequestOnly(t *testing.T) {
	pictures := newScene(320, 240).frames(40, 30)
	eachEncoder(t, func(t *testing.T, build func(int, int, int, float64) videoUnderTest) {
		e := build(320, 240, 500_000, 30)
		for i, p := range pictures {
			data, err := e.encode(p, at(i, 30), i == 17)
			if err != nil {
				t.Fatal(err)
			}
			if want := i == 0 || i == 17; isKey(data) != want {
				t.Errorf("frame %d: key frame is %v, want %v", i, isKey(data), want)
			}
		}
		// A new viewer can begin with the requested one.
		data, err := e.encode(pictures[0], at(40, 30), true)
		if err != nil {
			t.Fatal(err)
		}
		if db := psnr(pictures[0], newViewer(t).show(data)); db < 25 {
			t.Errorf("the key frame alone is shown with %.1f dB", db)
		}
	})
}

func TestSizeChange(t *testing.T) {
	sizes := []image.Point{{320, 240}, {160, 120}, {640, 360}, {322, 242}, {320, 240}}
	var scenes [][]*image.YCbCr
	for _, size := range sizes {
		scenes = append(scenes, newScene(size.X, size.Y).frames(5, 30))
	}
	eachEncoder(t, func(t *testing.T, build func(int, int, int, float64) videoUnderTest) {
		e, v := build(320, 240, 1_000_000, 30), newViewer(t)
		n := 0
		for k, size := range sizes {
			for i, p := range scenes[k] {
				data, err := e.encode(p, at(n, 30), false)
				n++
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 && !isKey(data) {
					t.Errorf("the first frame of %v is no key frame", size)
				}
				if len(data) == 0 {
					continue
				}
				if db := psnr(p, v.show(data)); db < 25 {
					t.Errorf("frame %d of %v is shown with %.1f dB", i, size, db)
				}
			}
		}
	})
}

func TestSizeChangeFreesMemory(t *testing.T) {
	eachEncoder(t, func(t *testing.T, build func(int, int, int, float64) videoUnderTest) {
		pictures := []*image.YCbCr{newScene(640, 480).frame(0), newScene(320, 240).frame(0)}
		e := build(640, 480, 1_000_000, 30)
		n := 0
		change := func(times int) {
			for range times {
				if _, err := e.encode(pictures[n%2], at(n, 30), false); err != nil {
					t.Fatal(err)
				}
				n++
			}
		}
		change(20)
		before := peakMemory(t)
		change(100) // an encoder of this size has some 8 MB
		if grown := peakMemory(t) - before; grown > 64<<20 {
			t.Errorf("100 changes of size took %d MB for good", grown>>20)
		}
	})
}

func TestStrangeTimesAreNoError(t *testing.T) {
	picture := newScene(160, 120).frame(0)
	eachEncoder(t, func(t *testing.T, build func(int, int, int, float64) videoUnderTest) {
		e, v := build(160, 120, 500_000, 30), newViewer(t)
		now := at(0, 30)
		for _, step := range []time.Duration{0, 0, time.Nanosecond, -time.Hour, 33 * time.Millisecond, 24 * time.Hour, 33 * time.Millisecond, -1, 1 << 62} {
			now = now.Add(step)
			data, err := e.encode(picture, now, true)
			if err != nil {
				t.Fatalf("after a step of %v: %v", step, err)
			}
			if db := psnr(picture, v.show(data)); db < 25 {
				t.Errorf("after a step of %v: %.1f dB", step, db)
			}
		}
	})
}

func TestAStallEarnsNoBits(t *testing.T) {
	pictures := newScene(320, 240).frames(91, 30)
	eachEncoder(t, func(t *testing.T, build func(int, int, int, float64) videoUnderTest) {
		e := build(320, 240, 500_000, 30)
		for i, p := range pictures[:90] {
			if _, err := e.encode(p, at(i, 30), false); err != nil {
				t.Fatal(err)
			}
		}
		data, err := e.encode(pictures[90], at(90, 30).Add(30*time.Second), false)
		if err != nil {
			t.Fatal(err)
		}
		if most := 500_000 / 8 / 4; len(data) > most {
			t.Errorf("the frame after a pause of 30 s has %d bytes: more than a quarter second of the link", len(data))
		}
	})
}

func TestBadPicturesAreRefused(t *testing.T) {
	good := newScene(64, 48).frame(0)
	with := func(change func(p *image.YCbCr)) *image.YCbCr {
		p := *good
		change(&p)
		return &p
	}
	e, err := NewVP8(VP8Config{Width: 64, Height: 48, Bitrate: 300_000})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for want, p := range map[string]*image.YCbCr{
		"no picture":   nil,
		"4:4:4":        image.NewYCbCr(image.Rect(0, 0, 64, 48), image.YCbCrSubsampleRatio444),
		"0x0":          image.NewYCbCr(image.Rectangle{}, image.YCbCrSubsampleRatio420),
		"odd pixel":    with(func(p *image.YCbCr) { p.Rect.Min.X = 1 }),
		"planes of":    with(func(p *image.YCbCr) { p.Y = p.Y[:100] }),
		"strides":      with(func(p *image.YCbCr) { p.CStride = 2 }),
		"1 to 16383":   {Y: make([]byte, 17000), Cb: make([]byte, 8500), Cr: make([]byte, 8500), YStride: 17000, CStride: 8500, SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, 17000, 1)},
		"of only 3072": with(func(p *image.YCbCr) { p.Cr = nil }),
	} {
		var f Frame
		err := e.Encode(p, at(0, 30), false, &f)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	var f Frame
	if err := e.Encode(good, at(1, 30), false, &f); err != nil || !f.Key {
		t.Errorf("after the bad ones: %v, key frame %v", err, f.Key)
	}
}

func TestPartOfAPicture(t *testing.T) {
	whole := newScene(320, 240).frame(0)
	part := whole.SubImage(image.Rect(64, 32, 64+160, 32+120)).(*image.YCbCr)
	eachEncoder(t, func(t *testing.T, build func(int, int, int, float64) videoUnderTest) {
		data, err := build(320, 240, 1_000_000, 30).encode(part, at(0, 30), false)
		if err != nil {
			t.Fatal(err)
		}
		shown := newViewer(t).show(data)
		want := copyFrame(&capture.Frame{YCbCr: part}).YCbCr
		if db := psnr(want, shown); db < 30 {
			t.Errorf("%.1f dB", db)
		}
	})
}

func TestEncodeAfterClose(t *testing.T) {
	picture := newScene(64, 48).frame(0)
	for name, want := range map[string]error{"VP8Encoder": io.ErrClosedPipe, "VP8Params": io.EOF} {
		e := videoEncoders[name](t, 64, 48, 300_000, 30)
		for range 2 {
			if err := e.close(); err != nil {
				t.Errorf("%s: close: %v", name, err)
			}
		}
		if _, err := e.encode(picture, at(0, 30), false); !errors.Is(err, want) {
			t.Errorf("%s: after Close: %v, want %v", name, err, want)
		}
	}
}

func TestImpossibleEncoders(t *testing.T) {
	for want, c := range map[string]VP8Config{
		"0x0":              {Bitrate: 1},
		"20000x2":          {Width: 20000, Height: 2, Bitrate: 1},
		"and 1000 threads": {Width: 64, Height: 48, Bitrate: 300_000, Threads: 1000},
	} {
		e, err := NewVP8(c)
		if err == nil {
			e.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", c, err, want)
		}
	}
}

func TestMediadevicesReadersOfOtherPictures(t *testing.T) {
	p, err := NewVP8Params()
	if err != nil {
		t.Fatal(err)
	}
	p.BitRate = 1_000_000
	if got := p.RTPCodec().MimeType; got != "video/VP8" {
		t.Errorf("codec is %s", got)
	}
	scene := newScene(64, 48)
	ycbcr := scene.frame(0)
	rgba := image.NewRGBA(ycbcr.Rect)
	for y := range 48 {
		for x := range 64 {
			rgba.Set(x, y, ycbcr.At(x, y))
		}
	}
	for _, img := range []image.Image{ycbcr, rgba, &capture.Frame{YCbCr: ycbcr, Time: at(0, 30)}} {
		e, err := p.BuildVideoEncoder(video.ReaderFunc(func() (image.Image, func(), error) {
			return img, func() {}, nil
		}), prop.Media{Video: prop.Video{Width: 64, Height: 48}})
		if err != nil {
			t.Fatal(err)
		}
		data, release, err := e.Read()
		if err != nil {
			t.Fatal(err)
		}
		if db := psnr(ycbcr, newViewer(t).show(data)); db < 28 {
			t.Errorf("%T is shown with %.1f dB", img, db)
		}
		release()
		if err := e.Controller().(codec.BitRateController).SetBitRate(0); err == nil {
			t.Error("a bit rate of nothing is taken")
		}
		e.Close()
	}
}
