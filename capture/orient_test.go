package capture

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Every pixel of every plane goes where it should.
func TestTurn(t *testing.T) {
	for _, size := range [][2]int{{2, 2}, {6, 4}, {16, 16}, {34, 18}, {20, 50}} {
		w, h := size[0], size[1]
		f := new(framePool).get(w, h)
		for i := range f.i420() {
			f.i420()[i] = byte(i*7 + i/w)
		}
		f.Time = time.Now()
		for _, degrees := range []int{0, 90, 180, 270} {
			for _, mirror := range []bool{false, true} {
				t.Run(fmt.Sprintf("%dx%d/%d/%v", w, h, degrees, mirror), func(t *testing.T) {
					got := turn(f, degrees, mirror, new(framePool).get)
					if !got.Time.Equal(f.Time) {
						t.Error("the stamp is lost")
					}
					comparePlane(t, "Y", f.Y, f.YStride, w, h, got.Y, got.YStride, degrees, mirror)
					comparePlane(t, "Cb", f.Cb, f.CStride, w/2, h/2, got.Cb, got.CStride, degrees, mirror)
					comparePlane(t, "Cr", f.Cr, f.CStride, w/2, h/2, got.Cr, got.CStride, degrees, mirror)
				})
			}
		}
	}
}

func comparePlane(t *testing.T, name string, s []byte, ss, w, h int, d []byte, ds, degrees int, mirror bool) {
	t.Helper()
	for y := range h {
		for x := range w {
			tx, ty, tw := x, y, w // where it goes
			switch degrees {
			case 90:
				tx, ty, tw = h-1-y, x, h
			case 180:
				tx, ty = w-1-x, h-1-y
			case 270:
				tx, ty, tw = y, w-1-x, h
			}
			if mirror {
				tx = tw - 1 - tx
			}
			if got, want := d[ty*ds+tx], s[y*ss+x]; got != want {
				t.Fatalf("%s: %d,%d should go to %d,%d", name, x, y, tx, ty)
			}
		}
	}
}

func TestOriented(t *testing.T) {
	var o Orientation
	src := Oriented(&testVideo{}, &o)
	videoContract(t, src, Format{64, 48, 100})
	if err := o.Set(90, true); err != nil {
		t.Fatal(err)
	}
	videoContract(t, src, Format{64, 64, 100})
	r, err := src.Open(t.Context(), Format{64, 48, 100})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, c := range []struct{ degrees, w, h int }{{90, 48, 64}, {180, 64, 48}, {0, 64, 48}, {270, 48, 64}} {
		if err := o.Set(c.degrees, false); err != nil { // while it is read
			t.Fatal(err)
		}
		if f := r.Format(); f.Width != c.w || f.Height != c.h {
			t.Errorf("turned by %d it promises %v, want %dx%d", c.degrees, f, c.w, c.h)
		}
		f, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if f.Rect.Dx() != c.w || f.Rect.Dy() != c.h {
			t.Errorf("turned by %d the picture is %v, want %dx%d", c.degrees, f.Rect, c.w, c.h)
		}
		f.Release()
	}
	for _, bad := range []int{45, -90, 360} {
		if o.Set(bad, false) == nil {
			t.Errorf("turned by %d", bad)
		}
	}
}

// What a camera can do is found through everything that is wrapped around it.
func TestWrapped(t *testing.T) {
	cam := &cameraSource{spec: autoDevice, log: Options{}.log()}
	src := Steady(Oriented(&autoVideo{camera: cam, standIn: &testVideo{}, log: cam.log}, new(Orientation)), SteadyOptions{})
	if c, ok := ControllerOf(src); !ok || c != cam {
		t.Errorf("controller %v", c)
	}
	cam.counts.corrupt.Add(3)
	if s, ok := StatsOf(src); !ok || s.Corrupt != 3 {
		t.Errorf("stats %+v, %v", s, ok)
	}
	if _, ok := as[notifier](src); !ok {
		t.Error("nobody tells when a camera comes")
	}
	if _, ok := ControllerOf(Steady(&testVideo{}, SteadyOptions{})); ok {
		t.Error("the test picture has controls")
	}
	closed := false
	in := Steady(Oriented(&closable{closed: &closed}, new(Orientation)), SteadyOptions{})
	if err := closeOf(in); err != nil || !closed {
		t.Errorf("the source was not closed: %v", err)
	}
}

type closable struct{ closed *bool }

func (*closable) String() string { return "closable" }
func (*closable) Open(context.Context, Format) (VideoReader, error) {
	return nil, ErrNoDevice
}
func (c *closable) Close() error { *c.closed = true; return nil }

func closeOf(src VideoSource) error {
	c, ok := src.(interface{ Close() error })
	if !ok {
		return fmt.Errorf("%T cannot be closed", src)
	}
	return c.Close()
}

func BenchmarkTurn720p(b *testing.B) {
	f := new(framePool).get(1280, 720)
	for _, c := range []struct {
		name    string
		degrees int
		mirror  bool
	}{{"90", 90, false}, {"180", 180, false}, {"270", 270, false}, {"mirror", 0, true}} {
		b.Run(c.name, func(b *testing.B) {
			var pool framePool
			b.ReportAllocs()
			for b.Loop() {
				turn(f, c.degrees, c.mirror, pool.get).Release()
			}
		})
	}
}
