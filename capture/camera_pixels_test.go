package capture

import (
	"fmt"
	"testing"

	"github.com/pion/mediadevices/pkg/frame"
)

// layOutRaw lays out a w x h picture whose luma is 10*row+column and whose
// chroma, a pair of it every two columns, differs from row to row; bytes
// between rows are 255.
func layOutRaw(f frame.Format, stride, w, h int) []byte {
	luma := func(x, y int) byte { return byte(10*y + x) }
	cb := func(x, y int) byte { return byte(100 + 4*y + x) }
	cr := func(x, y int) byte { return byte(200 + 4*y - x) }
	b := make([]byte, stride*h*2)
	for i := range b {
		b[i] = 255
	}
	for y := range h {
		for x := range w {
			switch f {
			case frame.FormatYUYV, frame.FormatUYVY, formatYVYU:
				o := 0
				if f == frame.FormatUYVY {
					o = 1
				}
				b[y*stride+2*x+o] = luma(x, y)
				c := cb
				if (x%2 == 1) != (f == formatYVYU) {
					c = cr
				}
				b[y*stride+2*x+1-o] = c(x/2, y)
			default:
				b[y*stride+x] = luma(x, y)
			}
		}
	}
	for y := range h / 2 {
		for x := range w / 2 {
			u, v := cb(x, 2*y)+2, cr(x, 2*y)+2 // what averaging makes of two rows that differ by 4
			plane := b[stride*h:]
			switch f {
			case frame.FormatNV12:
				plane[y*stride+2*x], plane[y*stride+2*x+1] = u, v
			case frame.FormatNV21:
				plane[y*stride+2*x], plane[y*stride+2*x+1] = v, u
			case frame.FormatI420, formatYV12:
				if f == formatYV12 {
					u, v = v, u
				}
				plane[y*stride/2+x] = u
				plane[stride/2*(h/2)+y*stride/2+x] = v
			}
		}
	}
	return b[:rawSize(f, stride, w, h)]
}

// rawSize is the least that a picture of which all planes follow each other
// can have.
func rawSize(f frame.Format, stride, w, h int) int {
	n := 0
	for i, p := range rawPlanes(f, w, h) {
		if p.rows > 0 {
			s := stride
			if i > 0 && p.width < w {
				s /= 2
			}
			n = s*(p.rows-1) + p.width
			if i > 0 {
				n += stride * h
			}
			if i == 2 {
				n += s * p.rows
			}
		}
	}
	return n
}

func raw(b []byte, stride int) rawPicture {
	return rawPicture{planes: [3][]byte{b}, strides: [3]int{stride}}
}

var rawFormats = []frame.Format{frame.FormatI420, formatYV12, frame.FormatNV12, frame.FormatNV21, frame.FormatYUYV, frame.FormatUYVY, formatYVYU, formatGrey}

func bytesPerPixel(f frame.Format) int {
	if f == frame.FormatYUYV || f == frame.FormatUYVY || f == formatYVYU {
		return 2
	}
	return 1
}

func TestUnpack(t *testing.T) {
	for _, f := range rawFormats {
		for _, s := range []struct{ w, h, pad int }{{2, 2, 0}, {4, 2, 0}, {6, 4, 0}, {6, 4, 6}, {34, 6, 2}, {70, 4, 58}} {
			t.Run(fmt.Sprintf("%s/%dx%d+%d", f, s.w, s.h, s.pad), func(t *testing.T) {
				stride := s.w*bytesPerPixel(f) + s.pad
				src := layOutRaw(f, stride, s.w, s.h)
				dst := new(framePool).get(s.w, s.h)
				if err := unpack(dst, f, raw(src, stride), s.w, s.h); err != nil {
					t.Fatal(err)
				}
				for y := range s.h {
					for x := range s.w {
						if got := dst.Y[y*dst.YStride+x]; got != byte(10*y+x) {
							t.Fatalf("Y at %d,%d is %d, want %d", x, y, got, byte(10*y+x))
						}
					}
				}
				for y := range s.h / 2 {
					for x := range s.w / 2 {
						cb, cr := byte(100+8*y+x+2), byte(200+8*y-x+2)
						if f == formatGrey {
							cb, cr = 128, 128
						}
						if u, v := dst.Cb[y*dst.CStride+x], dst.Cr[y*dst.CStride+x]; u != cb || v != cr {
							t.Fatalf("chroma at %d,%d is %d,%d, want %d,%d", x, y, u, v, cb, cr)
						}
					}
				}
			})
		}
	}
}

func TestUnpackTooShort(t *testing.T) {
	for _, f := range rawFormats {
		stride := 8 * bytesPerPixel(f)
		src := layOutRaw(f, stride, 8, 4)
		dst := new(framePool).get(8, 4)
		for _, bad := range []struct {
			src    []byte
			stride int
		}{{src[:len(src)-1], stride}, {nil, stride}, {src, stride - 1}} {
			if unpack(dst, f, raw(bad.src, bad.stride), 8, 4) == nil {
				t.Errorf("%s: %d bytes with stride %d pass for 8x4", f, len(bad.src), bad.stride)
			}
		}
	}
	if unpack(new(framePool).get(4, 4), frame.FormatZ16, raw(make([]byte, 99), 8), 4, 4) == nil {
		t.Error("depth passes for a picture")
	}
}

// An odd size loses its last column and row.
func TestUnpackOddSize(t *testing.T) {
	for _, f := range []frame.Format{frame.FormatYUYV, frame.FormatUYVY} {
		dst := new(framePool).get(5, 3)
		if err := unpack(dst, f, raw(layOutRaw(f, 12, 6, 3), 12), 5, 3); err != nil {
			t.Fatal(err)
		}
		if dst.Rect.Dx() != 4 || dst.Rect.Dy() != 2 || dst.Y[dst.YStride+3] != 13 || dst.Cb[1] != 103 {
			t.Errorf("%s: %v, Y %v, Cb %v", f, dst.Rect, dst.Y, dst.Cb)
		}
	}
}

func BenchmarkUnpack(b *testing.B) {
	for _, f := range rawFormats {
		b.Run(string(f), func(b *testing.B) {
			stride := 1280 * bytesPerPixel(f)
			src := layOutRaw(f, stride, 1280, 720)
			dst := new(framePool).get(1280, 720)
			b.ReportAllocs()
			for b.Loop() {
				if err := unpack(dst, f, raw(src, stride), 1280, 720); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
