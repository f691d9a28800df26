package capture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func openFile(t *testing.T, path string, o Options) VideoReader {
	t.Helper()
	src, err := ParseVideo("file:"+path, o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Open(t.Context(), Format{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// plays checks that a file's frames come in turn, again and again, exactly as
// far apart as they should.
func plays(t *testing.T, r VideoReader, period time.Duration, lumas ...byte) {
	t.Helper()
	var last time.Time
	for i := range 3 * len(lumas) {
		f, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		want := lumas[i%len(lumas)]
		if got := f.Y[10*f.YStride+10]; got < want-1 || got > want+1 {
			t.Errorf("frame %d has luma %d, want %d", i, got, want)
		}
		if d := f.Time.Sub(last); i > 0 && d != period {
			t.Errorf("frame %d is stamped %v after the one before, want %v", i, d, period)
		}
		last = f.Time
		f.Release()
	}
}

func TestFileLoops(t *testing.T) {
	y4m := y4mFile64(t)
	t.Run("y4m", func(t *testing.T) {
		plays(t, openFile(t, writeFile(t, "a", y4m), Options{}), 10*time.Millisecond, 50, 60, 70)
	})
	t.Run("y4m, cut off", func(t *testing.T) {
		var log bytes.Buffer
		o := Options{Log: slog.New(slog.NewTextHandler(&log, nil))}
		plays(t, openFile(t, writeFile(t, "a", y4m[:len(y4m)-1]), o), 10*time.Millisecond, 50, 60)
		if n := strings.Count(log.String(), "incomplete"); n != 1 {
			t.Errorf("said %d times that the last picture is incomplete, want 1", n)
		}
	})
	t.Run("mjpeg", func(t *testing.T) {
		r := openFile(t, writeFile(t, "a", mjpegClip(t, 3)), Options{Want: Format{FPS: 200}})
		plays(t, r, 5*time.Millisecond, jpegLuma(t, 0), jpegLuma(t, 1), jpegLuma(t, 2))
	})
}

// jpegLuma is the luma of mjpegClip's frame i as the decoder gives it.
func jpegLuma(t *testing.T, i int) byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, plain(64, 48, byte(50+10*i)), &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	d := newJPEGDecoder()
	defer d.close()
	f, err := d.Decode(b.Bytes(), new(framePool).get)
	if err != nil {
		t.Fatal(err)
	}
	return f.Y[10*f.YStride+10]
}

// A rate that changes within a file holds from there on.
func TestY4MFileNewRate(t *testing.T) {
	frame := "FRAME\n" + strings.Repeat("a", 6)
	f, err := newY4MFile(strings.NewReader("YUV4MPEG2 W2 H2 F100:1\n" + frame + frame + "YUV4MPEG2 W2 H2 F50:1\n" + frame + frame))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 10, 20, 40} {
		got, err := f.next(new(framePool))
		if err != nil {
			t.Fatal(err)
		}
		if got.due != time.Duration(want)*time.Millisecond {
			t.Errorf("frame %d is due at %v, want %d ms", i, got.due, want)
		}
	}
}

func TestIVF(t *testing.T) {
	r := openFile(t, "testdata/clip.ivf", Options{})
	if f := r.Format(); f != (Format{64, 48, 30}) {
		t.Errorf("format %v, want 64x48 at 30", f)
	}
	var first []byte
	for i := range 13 { // the clip has 6
		f, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case i == 0:
			first = bytes.Clone(f.Y)
		case i%6 == 0 && !bytes.Equal(f.Y, first):
			t.Error("the second pass begins with another picture than the first")
		case i == 5 && bytes.Equal(f.Y, first):
			t.Error("the picture does not move")
		}
		f.Release()
	}
}

// Timestamps are kept; those that fall or jump are one step further.
func TestIVFTimestamps(t *testing.T) {
	f := ivfFile{ivf: &ivfReader{rate: 1000, unit: 1}, step: time.Millisecond}
	for i, c := range []struct {
		stamp uint64
		due   time.Duration
	}{{100, 0}, {133, 33}, {166, 66}, {166, 99}, {50, 132}, {90, 172}, {1 << 63, 212}, {1<<63 + 20, 232}} {
		f.advance(c.stamp)
		if f.due != c.due*time.Millisecond {
			t.Errorf("stamp %d (%d) is due at %v, want %v", i, c.stamp, f.due, c.due*time.Millisecond)
		}
	}
}

func TestJPEGSplitter(t *testing.T) {
	one, two := mjpegClip(t, 1), mjpegClip(t, 2)
	two = two[len(one):]
	// A thumbnail in an APP1 segment holds an end marker of its own.
	thumb := append([]byte{0xff, 0xd8, 0xff, 0xe1, byte((len(two) + 2) >> 8), byte(len(two) + 2)}, two...)
	thumb = append(thumb, one[2:]...)
	stream := bytes.Join([][]byte{[]byte("junk"), one, {0, 0, 0xff}, thumb, {0xff, 0xd8, 0xff, 0x00}, two}, nil)
	for name, r := range map[string]io.Reader{
		"whole":        bytes.NewReader(stream),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		s := jpegSplitter{r: r}
		var broken int
		for _, want := range [][]byte{one, thumb, two} {
			got, off, err := s.next()
			for err != nil && broken < 1 {
				broken++
				got, off, err = s.next()
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !bytes.Equal(got, want) || !bytes.HasPrefix(stream[off:], want) {
				t.Errorf("%s: %d bytes at %d, want %d", name, len(got), off, len(want))
			}
		}
		if _, _, err := s.next(); err != io.EOF {
			t.Errorf("%s: at the end: %v, want EOF", name, err)
		}
		if broken != 1 {
			t.Errorf("%s: %d pictures were broken, want 1", name, broken)
		}
	}
}

// One broken picture is left out, keeps its time, and is logged once.
func TestMJPEGBrokenPicture(t *testing.T) {
	clip := mjpegClip(t, 1)
	broken := bytes.Clone(clip)
	sof := bytes.Index(broken, []byte{0xff, 0xc0})
	broken[sof+9] = 77 // components
	var log bytes.Buffer
	f := newMJPEGFile(bytes.NewReader(bytes.Join([][]byte{clip, broken, broken, clip}, nil)), 10, slog.New(slog.NewTextHandler(&log, nil)))
	defer f.close()
	for i, want := range []time.Duration{0, 300 * time.Millisecond} {
		got, err := f.next(new(framePool))
		if err != nil {
			t.Fatal(err)
		}
		if got.due != want {
			t.Errorf("picture %d is due at %v, want %v", i, got.due, want)
		}
	}
	if _, err := f.next(new(framePool)); err != io.EOF {
		t.Errorf("at the end: %v, want EOF", err)
	}
	if n := strings.Count(log.String(), "broken"); n != 1 {
		t.Errorf("%d lines in the log, want 1: %s", n, log.String())
	}
}

func FuzzMJPEG(f *testing.F) {
	var small bytes.Buffer
	if err := jpeg.Encode(&small, image.NewGray(image.Rect(0, 0, 8, 8)), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(small.Bytes())
	f.Add([]byte("\xff\xd8\xff\xe0\x00\x04ab\xff\xda\x00\x02a\xff\x00b\xff\xd3c\xff\xd9"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if sof := bytes.Index(b, []byte{0xff, 0xc0}); sof >= 0 && len(b) > sof+9 &&
			int(binary.BigEndian.Uint16(b[sof+5:]))*int(binary.BigEndian.Uint16(b[sof+7:])) > 1<<20 {
			return // correct, but slow to make here
		}
		d := newMJPEGFile(bytes.NewReader(b), 30, slog.New(slog.DiscardHandler))
		defer d.close()
		drainDecoder(t, d)
	})
}

func FuzzIVF(f *testing.F) {
	clip, err := os.ReadFile("testdata/clip.ivf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(clip)
	f.Add(clip[:44])
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := newIVFFile(bytes.NewReader(b), slog.New(slog.DiscardHandler))
		if err != nil {
			return
		}
		defer d.close()
		drainDecoder(t, d)
	})
}

// drainDecoder takes what there is; due times must rise.
func drainDecoder(t *testing.T, d videoDecoder) {
	var pool framePool
	last := time.Duration(-1)
	for range 50 {
		f, err := d.next(&pool)
		if err != nil {
			return
		}
		if f.due <= last || f.length <= 0 {
			t.Fatalf("due at %v for %v after %v", f.due, f.length, last)
		}
		last = f.due
		f.Release()
	}
}
