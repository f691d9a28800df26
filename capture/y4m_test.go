package capture

import (
	"bytes"
	"fmt"
	"image"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// A layout's chroma becomes the mean of what it stands for, and odd sizes lose
// their last column and row.
func TestY4MChroma(t *testing.T) {
	for _, c := range []struct {
		header string
		w, h   int // of the file
		chroma string
		want   string
	}{
		{"", 4, 2, "\x10\x20|\x30\x40", "\x10\x20|\x30\x40"},
		{"C420jpeg", 4, 2, "\x10\x20|\x30\x40", "\x10\x20|\x30\x40"},
		{"C420mpeg2", 5, 3, "\x10\x20\x99\x99\x99\x99|\x30\x40\x99\x99\x99\x99", "\x10\x20|\x30\x40"},
		{"C420paldv", 4, 3, "\x10\x20\x99\x99|\x30\x40\x99\x99", "\x10\x20|\x30\x40"},
		{"C422", 4, 2, "\x10\x20\x12\x24|\x30\x40\x30\x41", "\x11\x22|\x30\x41"},
		{"C422", 5, 3, "\x10\x20\x99\x12\x24\x99\x99\x99\x99|\x30\x40\x99\x30\x41\x99\x99\x99\x99", "\x11\x22|\x30\x41"},
		{"C444", 4, 2, "\x10\x12\x20\x20\x10\x12\x20\x24|\x30\x30\x40\x40\x30\x30\x40\x40", "\x11\x21|\x30\x40"},
		{"C444alpha", 4, 2, "\x10\x10\x20\x20\x10\x10\x20\x20|\x30\x30\x40\x40\x30\x30\x40\x40|AAAAAAAA", "\x10\x20|\x30\x40"},
		{"Cmono", 4, 2, "", "\x80\x80|\x80\x80"},
	} {
		t.Run(fmt.Sprintf("%s %dx%d", c.header, c.w, c.h), func(t *testing.T) {
			var stream bytes.Buffer
			fmt.Fprintf(&stream, "YUV4MPEG2 W%d H%d F30000:1001 It A0:0 %s XANY\n", c.w, c.h, c.header)
			for range 2 { // the second shows that the first took what was its own
				stream.WriteString("FRAME Ixyz\n")
				for y := range c.h {
					for x := range c.w {
						stream.WriteByte(byte(16 + 16*y + x))
					}
				}
				stream.WriteString(strings.ReplaceAll(c.chroma, "|", ""))
			}
			for name, r := range map[string]io.Reader{
				"whole":        bytes.NewReader(stream.Bytes()),
				"byte by byte": iotest.OneByteReader(bytes.NewReader(stream.Bytes())),
			} {
				y, err := newY4MReader(r)
				if err != nil {
					t.Fatal(err)
				}
				if f := y.format(); f.Width != 4 || f.Height != 2 || f.FPS < 29.97 || f.FPS > 29.98 {
					t.Errorf("format %v, want 4x2 at 29.97", f)
				}
				var pool framePool
				for range 2 {
					f := nextFrame(t, y, &pool)
					if got := string(f.Y); got != "\x10\x11\x12\x13\x20\x21\x22\x23" {
						t.Errorf("%s: luma %x", name, got)
					}
					if got := string(f.Cb) + "|" + string(f.Cr); got != c.want {
						t.Errorf("%s: chroma %x, want %x", name, got, c.want)
					}
				}
				if _, err := y.begin(); err != io.EOF {
					t.Errorf("%s: at the end: %v, want EOF", name, err)
				}
			}
		})
	}
}

func nextFrame(t testing.TB, y *y4mReader, p *framePool) *Frame {
	t.Helper()
	if _, err := y.begin(); err != nil {
		t.Fatal(err)
	}
	f, err := y.frame(p)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A stream may begin anew with another size, as when a producer restarts.
func TestY4MNewHeader(t *testing.T) {
	one := "YUV4MPEG2 W4 H2 F30:1\nFRAME\n" + strings.Repeat("a", 12)
	two := "YUV4MPEG2 W2 H2 F15:1\nFRAME\n" + strings.Repeat("b", 6)
	y, err := newY4MReader(strings.NewReader(one + two))
	if err != nil {
		t.Fatal(err)
	}
	var pool framePool
	if f := nextFrame(t, y, &pool); f.Rect != image.Rect(0, 0, 4, 2) {
		t.Errorf("first frame %v", f.Rect)
	}
	if f := nextFrame(t, y, &pool); f.Rect != image.Rect(0, 0, 2, 2) || f.Cr[0] != 'b' {
		t.Errorf("second frame %v, %q", f.Rect, f.Cr)
	}
}

func TestY4MSkip(t *testing.T) {
	y, err := newY4MReader(bytes.NewReader(y4mFile64(t)))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := y.begin(); err != nil {
			t.Fatal(err)
		}
		if err := y.skip(); err != nil {
			t.Fatal(err)
		}
	}
	if f := nextFrame(t, y, new(framePool)); f.Y[0] != 70 {
		t.Errorf("after two frames skipped, luma is %d, want 70", f.Y[0])
	}
}

func FuzzY4M(f *testing.F) {
	f.Add([]byte("YUV4MPEG2 W4 H2 F30:1\nFRAME\nabcdefghijkl"))
	f.Add([]byte("YUV4MPEG2 W3 H3 C444 F1:0\nFRAME Ip\nabcdefghijklmnopqrstuvwxyzaFRAME\n"))
	f.Add([]byte("YUV4MPEG2 H2 W2 C422\nFRAME\nabcdefghYUV4MPEG2 W2 H2 Cmono\nFRAME\nabcd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		y, err := newY4MReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		var pool framePool
		for range 100 {
			if _, err := y.begin(); err != nil {
				return
			}
			if y.layout.size() > 1<<20 { // correct, but slow to make here
				return
			}
			fr, err := y.frame(&pool)
			if err != nil {
				return
			}
			if fr.Rect.Dx()%2 != 0 || fr.Rect.Dy()%2 != 0 || fr.Rect.Empty() {
				t.Fatalf("a frame of %v", fr.Rect)
			}
			fr.Release()
		}
	})
}

// One 720p frame through an OS pipe, both ends counted.
func BenchmarkY4MPipe(b *testing.B) {
	frame := append([]byte("FRAME\n"), make([]byte, 1280*720*3/2)...)
	for _, watched := range []bool{true, false} {
		b.Run(map[bool]string{true: "watched", false: "thrown away"}[watched], func(b *testing.B) {
			r, w, err := os.Pipe()
			if err != nil {
				b.Fatal(err)
			}
			growPipe(r)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, err := io.WriteString(w, "YUV4MPEG2 W1280 H720 F30:1\n")
				for err == nil {
					_, err = w.Write(frame)
				}
			}()
			defer func() { r.Close(); <-ended; w.Close() }()
			y, err := newY4MReader(r)
			if err != nil {
				b.Fatal(err)
			}
			var pool framePool
			pool.get(1280, 720).Release()
			reads := &countReads{r: r}
			y.r = reads
			if err := y.skipOne(); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			cpu, n0 := processCPU(), reads.n
			for range b.N {
				if !watched {
					if err := y.skipOne(); err != nil {
						b.Fatal(err)
					}
					continue
				}
				nextFrame(b, y, &pool).Release()
			}
			b.ReportMetric(float64(processCPU()-cpu)/float64(b.N)/float64(time.Microsecond), "cpu-µs/frame")
			b.ReportMetric(float64(reads.n-n0)/float64(b.N), "reads/frame")
		})
	}
}

func (y *y4mReader) skipOne() error {
	if _, err := y.begin(); err != nil {
		return err
	}
	return y.skip()
}

type countReads struct {
	r io.Reader
	n int
}

func (c *countReads) Read(b []byte) (int, error) {
	c.n++
	return c.r.Read(b)
}
