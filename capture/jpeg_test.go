package capture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// encodeJPEG makes a baseline JPEG, 4:2:0 or grey, of smooth colours.
func encodeJPEG(t testing.TB, w, h int, grey bool) []byte {
	t.Helper()
	var img image.Image
	if grey {
		g := image.NewGray(image.Rect(0, 0, w, h))
		for i := range g.Pix {
			g.Pix[i] = byte(i % w * 3)
		}
		img = g
	} else {
		c := image.NewRGBA(image.Rect(0, 0, w, h))
		for y := range h {
			for x := range w {
				c.Set(x, y, color.RGBA{byte(x * 4), byte(y * 5), byte(200 - x - y), 255})
			}
		}
		img = c
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withoutTables removes the Huffman tables, as Motion JPEG cameras do.
func withoutTables(t testing.TB, b []byte) []byte {
	t.Helper()
	i := bytes.Index(b, []byte{0xff, 0xc4})
	for i >= 0 {
		n := 2 + int(b[i+2])<<8 + int(b[i+3])
		b = append(bytes.Clone(b[:i]), b[i+n:]...)
		i = bytes.Index(b, []byte{0xff, 0xc4})
	}
	return b
}

func TestJPEG(t *testing.T) {
	tests := []struct {
		name string
		data []byte
	}{
		{"4:2:0", readFile(t, "jpeg420.jpg")},
		{"4:2:2", readFile(t, "jpeg422.jpg")},
		{"4:4:4", readFile(t, "jpeg444.jpg")},
		{"4:4:0", readFile(t, "jpeg440.jpg")},
		{"4:1:1", readFile(t, "jpeg411.jpg")},
		{"grey", encodeJPEG(t, 40, 24, true)},
		{"4:2:0 odd", encodeJPEG(t, 37, 23, false)},
		{"grey odd", encodeJPEG(t, 37, 23, true)},
		{"no end", bytes.TrimSuffix(readFile(t, "jpeg422.jpg"), []byte{0xff, 0xd9})},
		{"padded", append(bytes.Clone(readFile(t, "jpeg422.jpg")), make([]byte, 1000)...)},
		{"no end, padded", append(bytes.TrimSuffix(readFile(t, "jpeg422.jpg"), []byte{0xff, 0xd9}), make([]byte, 1000)...)},
		{"stray bytes", append([]byte{0xff, 0xd8, 0, 0, 0}, readFile(t, "jpeg422.jpg")[2:]...)},
	}
	d := newJPEGDecoder()
	defer d.close()
	var pool framePool
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ref, err := jpeg.Decode(bytes.NewReader(tt.data))
			if err != nil && !strings.HasPrefix(tt.name, "no end") && tt.name != "stray bytes" {
				t.Fatal(err)
			}
			if ref == nil {
				if ref, err = jpeg.Decode(bytes.NewReader(readFile(t, "jpeg422.jpg"))); err != nil {
					t.Fatal(err)
				}
			}
			f, err := d.Decode(tt.data, pool.get)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Release()
			comparePictures(t, f, ref)
		})
	}
}

// comparePictures wants f to be ref brought to 4:2:0, but for rounding.
func comparePictures(t *testing.T, f *Frame, ref image.Image) {
	t.Helper()
	w, h := ref.Bounds().Dx()&^1, ref.Bounds().Dy()&^1
	if f.Rect != image.Rect(0, 0, w, h) {
		t.Fatalf("frame is %v, picture %dx%d", f.Rect, w, h)
	}
	at := func(x, y int) (int, int, int) {
		switch p := ref.(type) {
		case *image.YCbCr:
			c := p.YCbCrAt(x, y)
			return int(c.Y), int(c.Cb), int(c.Cr)
		case *image.Gray:
			return int(p.GrayAt(x, y).Y), 128, 128
		}
		t.Fatalf("reference is a %T", ref)
		return 0, 0, 0
	}
	const tolerance = 4 // of two different inverse transforms
	differ := func(what string, x, y int, got byte, want int) {
		if d := int(got) - want; d > tolerance || d < -tolerance {
			t.Fatalf("%s at %d,%d is %d, want %d", what, x, y, got, want)
		}
	}
	for y := 0; y < h; y += 2 {
		for x := 0; x < w; x += 2 {
			var cb, cr int
			for i := range 4 {
				yy, b, r := at(x+i%2, y+i/2)
				differ("Y", x+i%2, y+i/2, f.Y[(y+i/2)*f.YStride+x+i%2], yy)
				cb, cr = cb+b, cr+r
			}
			differ("Cb", x, y, f.Cb[y/2*f.CStride+x/2], cb/4)
			differ("Cr", x, y, f.Cr[y/2*f.CStride+x/2], cr/4)
		}
	}
}

// Motion JPEG cameras leave the Huffman tables out (OpenDML AVI file format
// extensions, "AVI1" marker).
func TestJPEGWithoutHuffmanTables(t *testing.T) {
	whole := encodeJPEG(t, 64, 48, false)
	bare := withoutTables(t, whole)
	if len(bare) >= len(whole) {
		t.Fatal("no tables were removed")
	}
	ref, err := jpeg.Decode(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	d := newJPEGDecoder()
	defer d.close()
	f, err := d.Decode(bare, new(framePool).get)
	if err != nil {
		t.Fatal(err)
	}
	comparePictures(t, f, ref)
}

func TestJPEGErrors(t *testing.T) {
	huge := bytes.Clone(readFile(t, "jpeg420.jpg"))
	sof := bytes.Index(huge, []byte{0xff, 0xc0})
	copy(huge[sof+5:], []byte{0xff, 0xff, 0xff, 0xff})
	tests := map[string][]byte{
		"empty":             nil,
		"text":              []byte("no picture"),
		"cut off":           readFile(t, "jpeg422.jpg")[:100],
		"half":              halfOf(readFile(t, "jpeg720p.jpg")),
		"half, with an end": append(halfOf(readFile(t, "jpeg720p.jpg")), 0xff, 0xd9),
		"overwritten":       overwritten(readFile(t, "jpeg720p.jpg")),
		"padded half":       append(halfOf(readFile(t, "jpeg720p.jpg")), make([]byte, 100)...),
		"gigantic":          huge,
		"tiny":              encodeJPEG(t, 1, 1, false),
	}
	d := newJPEGDecoder()
	defer d.close()
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			if f, err := d.Decode(data, new(framePool).get); err == nil {
				t.Fatalf("decoded to %v", f.Rect)
			}
			// the decoder is as good as new
			f, err := d.Decode(readFile(t, "jpeg420.jpg"), new(framePool).get)
			if err != nil {
				t.Fatalf("next picture: %v", err)
			}
			f.Release()
		})
	}
	d.close()
	if _, err := d.Decode(readFile(t, "jpeg420.jpg"), new(framePool).get); err == nil {
		t.Error("a closed decoder decodes")
	}
}

func halfOf(b []byte) []byte { return bytes.Clone(b[:len(b)/2]) }

// overwritten is a picture that a driver wrote over while it was sent.
func overwritten(b []byte) []byte {
	b = bytes.Clone(b)
	copy(b[len(b)/2:len(b)/2+2000], b[len(b)/3:])
	return b
}

func FuzzJPEG(f *testing.F) {
	for _, name := range []string{"jpeg420.jpg", "jpeg422.jpg", "jpeg411.jpg"} {
		f.Add(readFile(f, name))
	}
	f.Add(encodeJPEG(f, 5, 3, true))
	f.Add(withoutTables(f, encodeJPEG(f, 17, 9, false)))
	d := newJPEGDecoder()
	var pool framePool
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := d.Decode(data, func(w, h int) *Frame {
			if w*h > 1<<20 { // legal, but slow to fuzz
				t.Skip()
			}
			return pool.get(w, h)
		})
		if err == nil {
			if frame.Rect.Dx()%2 != 0 || frame.Rect.Dy()%2 != 0 {
				t.Fatalf("frame of %v", frame.Rect)
			}
			frame.Release()
		}
	})
}

// FuzzJPEGStream feeds whole streams: whatever is in them, reading ends.
func FuzzJPEGStream(f *testing.F) {
	clip := mjpegClip(f, 2)
	f.Add(clip)
	f.Add(append(clip[:len(clip)-9], clip...))
	f.Add(append([]byte("\xff\xd8\xff\xd9"), clip...))
	f.Fuzz(func(t *testing.T, data []byte) {
		for rest := data; ; { // sizes that are legal, but slow to fuzz
			i := bytes.Index(rest, []byte{0xff, 0xc0})
			if i < 0 || len(rest) < i+9 {
				break
			}
			rest = rest[i+2:]
			if int(binary.BigEndian.Uint16(rest[3:]))*int(binary.BigEndian.Uint16(rest[5:])) > 1<<16 {
				t.Skip()
			}
		}
		s, err := openJPEGStream(bytes.NewReader(data), slog.New(slog.DiscardHandler))
		for err == nil {
			var at time.Time
			if at, err = s.begin(); err != nil {
				break
			}
			var frame *Frame
			if frame, err = s.take(at); err == nil {
				if frame.Rect.Dx()%2 != 0 || frame.Rect.Dy()%2 != 0 || frame.Time.IsZero() {
					t.Fatalf("frame of %v at %v", frame.Rect, frame.Time)
				}
				frame.Release()
			}
		}
		if s != nil {
			closeStream(s)
		}
	})
}

func BenchmarkJPEG(b *testing.B) {
	data := readFile(b, "jpeg720p.jpg") // 1280x720, 4:2:2, as webcams send it
	b.Run("libjpeg-turbo", func(b *testing.B) {
		b.ReportAllocs()
		d := newJPEGDecoder()
		defer d.close()
		var pool framePool
		for b.Loop() {
			f, err := d.Decode(data, pool.get)
			if err != nil {
				b.Fatal(err)
			}
			f.Release()
		}
	})
	b.Run("tjbench", func(b *testing.B) { // libjpeg-turbo's own decoding to 4:2:2 planes, by its own tool
		tjbench, err := exec.LookPath("tjbench")
		if err != nil {
			b.Skip("SKIPPED: tjbench is not installed (package libjpeg-turbo-progs)")
		}
		for b.Loop() {
			out, err := exec.Command(tjbench, "testdata/jpeg720p.jpg", "-yuv", "-fastdct", "-benchtime", "1", "-warmup", "0.2", "-nowrite").CombinedOutput()
			rate := regexp.MustCompile(`Decomp to YUV --> Frame rate: +([0-9.]+) fps`).FindSubmatch(out)
			if err != nil || rate == nil {
				b.Fatalf("%v: %s", err, out)
			}
			fps, err := strconv.ParseFloat(string(rate[1]), 64)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(1e9/fps, "ns/picture")
		}
		b.ReportMetric(0, "ns/op") // of starting a program
	})
	b.Run("image/jpeg", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := jpeg.Decode(bytes.NewReader(data)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
