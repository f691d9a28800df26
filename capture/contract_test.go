package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The contract of every source, whatever it is made of.

func TestVideoContract(t *testing.T) {
	clip := y4mFile64(t)
	for name, spec := range map[string]string{
		"test":      "test",
		"no camera": "auto",
		"y4m":       "file:" + writeFile(t, "clip.y4m", clip),
		"mjpeg":     "file:" + writeFile(t, "clip.mjpeg", mjpegClip(t, 3)),
		"ivf":       "file:testdata/clip.ivf",
		"exec":      "exec:" + forever("cat "+writeFile(t, "head.y4m", clip)),
		"exec jpeg": "exec:" + forever("cat "+writeFile(t, "head.mjpeg", mjpegClip(t, 3))),
		"stdin":     "-",
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Want: Format{64, 48, 100}}
			if spec == "-" {
				o.Stdin = livePipe(t, clip[:bytes.IndexByte(clip, '\n')+1], clip[bytes.IndexByte(clip, '\n')+1:])
			}
			src, err := ParseVideo(spec, o)
			if name == "no camera" {
				src, err = &autoVideo{camera: noCamera{}, standIn: Captioned(&testVideo{want: o.Want}, NoCamera), log: o.log()}, nil
			}
			if err != nil {
				t.Fatal(err)
			}
			if c, ok := src.(io.Closer); ok {
				t.Cleanup(func() { c.Close() })
			}
			videoContract(t, src, o.Want)
			videoContract(t, Steady(src, SteadyOptions{}), o.Want)
		})
	}
}

// videoContract wants a source that gives what it is asked for.
func videoContract(t *testing.T, src VideoSource, want Format) {
	t.Helper()
	if src.String() == "" {
		t.Error("the source has no name")
	}
	for range 2 { // opens again
		r, err := src.Open(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		w, h := want.Width, want.Height
		if f := r.Format(); f.Width != w || f.Height != h {
			t.Errorf("promises %v, want %dx%d", f, w, h)
		}
		var last time.Time
		for range 5 {
			f, err := r.Read()
			if err != nil {
				t.Fatal(err)
			}
			if f.Rect != image.Rect(0, 0, w, h) || f.SubsampleRatio != image.YCbCrSubsampleRatio420 ||
				len(f.Y) < (h-1)*f.YStride+w || len(f.Cb) < (h/2-1)*f.CStride+w/2 || len(f.Cr) < (h/2-1)*f.CStride+w/2 {
				t.Errorf("a frame is %v %v, want %dx%d 4:2:0", f.Rect, f.SubsampleRatio, w, h)
			}
			if !f.Time.After(last) {
				t.Errorf("stamp %v after %v", f.Time, last)
			}
			if age := time.Since(f.Time); age < -time.Second || age > 5*time.Second {
				t.Errorf("stamped %v ago", age)
			}
			last = f.Time
			f.Release()
		}
		closesWhileReading(t, func() error {
			f, err := r.Read()
			if err == nil {
				f.Release()
			}
			return err
		}, r)
	}
}

// A source that ends or fails says so with its name, and says it again; under
// Steady an end is an end, and a failure a slate.
func TestVideoContractEnds(t *testing.T) {
	clip := y4mFile64(t)
	for name, c := range map[string]struct {
		spec  string
		stdin []byte
		want  string // in the error; "" for io.EOF
	}{
		"stdin":           {"-", clip, ""},
		"stdin, jpeg":     {"-", mjpegClip(t, 3), ""},
		"stdin, cut off":  {"-", clip[:len(clip)-5], "stdin: ends within a frame"},
		"command":         {"exec:cat " + writeFile(t, "a.y4m", clip), nil, "exec:cat: the command ended"},
		"command, jpeg":   {"exec:cat " + writeFile(t, "a.mjpeg", mjpegClip(t, 3)), nil, "exec:cat: the command ended"},
		"command, broken": {"exec:cat " + writeFile(t, "b.y4m", append(bytes.Clone(clip), "HELLO\n"...)), nil, "exec:cat: broken Y4M"},
	} {
		t.Run(name, func(t *testing.T) {
			opened := make(chan struct{})
			src, err := ParseVideo(c.spec, Options{Stdin: &gated{bytes.NewReader(c.stdin), 1000, opened}})
			if err != nil {
				t.Fatal(err)
			}
			if in, ok := src.(io.Closer); ok {
				defer in.Close()
			}
			r, err := src.Open(t.Context(), Format{64, 48, 100})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			close(opened)
			for err == nil {
				var f *Frame
				if f, err = r.Read(); err == nil {
					f.Release()
				}
			}
			for range 2 {
				if c.want == "" && err != io.EOF || !strings.Contains(err.Error(), c.want) {
					t.Errorf("ends with %q, want %q", err, c.want)
				}
				_, err = r.Read()
			}
		})
	}
}

// gated holds back all but the first bytes until somebody watches.
type gated struct {
	r      io.Reader
	head   int
	opened chan struct{}
}

func (g *gated) Read(b []byte) (int, error) {
	if g.head == 0 {
		<-g.opened
		return g.r.Read(b)
	}
	n, err := g.r.Read(b[:min(len(b), g.head)])
	g.head -= n
	return n, err
}

// closesWhileReading checks that Close ends a Read that waits, for good.
func closesWhileReading(t *testing.T, read func() error, c io.Closer) {
	t.Helper()
	ended, reading := make(chan error), make(chan struct{}, 1)
	go func() {
		for {
			err := read()
			select {
			case reading <- struct{}{}:
			default:
			}
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	<-reading
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("Read while Close: %v, want ErrClosed", err)
	}
	if err := read(); !errors.Is(err, ErrClosed) {
		t.Errorf("Read after Close: %v, want ErrClosed", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// Whatever cannot be had is refused with an error that names it.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	file := func(content string) string { return "file:" + writeFile(t, "bad", []byte(content)) }
	header := "YUV4MPEG2 W64 H48 F30:1\n"
	for name, c := range map[string]struct{ spec, want string }{
		"empty spec":    {"", "--camera is empty"},
		"missing":       {"file:" + dir + "/no.y4m", "no.y4m"},
		"no path":       {"file:", "needs a path"},
		"directory":     {"file:" + dir, "is a directory"},
		"fifo":          {"file:/dev/null", "exec:"},
		"empty file":    {file(""), "is empty"},
		"bare path":     {writeFile(t, "clip.y4m", []byte(header)), "write --camera file:"},
		"no command":    {"exec: ", "needs a command"},
		"other format":  {file("\x00\x00\x00\x20ftypisom"), "is not Y4M, MJPEG or IVF"},
		"header only":   {file(header), "holds no picture"},
		"cut frame":     {file(header + "FRAME\nabc"), "byte 33"},
		"no frame":      {file(header + "HELLO\n"), "byte 24"},
		"zero size":     {file("YUV4MPEG2 W0 H48\n"), "0x48"},
		"huge":          {file("YUV4MPEG2 W9000 H48\n"), "9000x48"},
		"ten bit":       {file("YUV4MPEG2 W64 H48 C420p10\n"), "yuv420p"},
		"bad rate":      {file("YUV4MPEG2 W64 H48 Fx:y\n"), "Fx:y"},
		"endless line":  {file("YUV4MPEG2 " + strings.Repeat("X", 5000)), "1 KiB"},
		"VP9":           {file("DKIF\x00\x00\x20\x00VP90" + strings.Repeat("\x00", 20)), "VP90"},
		"cut IVF":       {file("DKIF\x00\x00\x20\x00VP80"), "byte 12"},
		"broken JPEG":   {file("\xff\xd8\xff\xd9"), "byte 0"},
		"cut JPEG":      {file("\xff\xd8\xff\xe0\x00\x10"), "byte 0"},
		"command fails": {"exec:echo no https://me:secret@host >&2; exit 3", "exec:echo: the command ended (exit status 3); it said: no https://***@host"},
		"not Y4M":       {"exec:echo hello", "begins with"},
		"broken jpegs":  {`exec:printf '\377\330\377\331\377\330\377\331'`, "exec:printf: reading Motion JPEG"},
	} {
		t.Run(name, func(t *testing.T) {
			src, err := ParseVideo(c.spec, Options{})
			if err == nil {
				_, err = src.Open(t.Context(), Format{})
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
			if errors.Is(err, io.EOF) {
				t.Errorf("%q passes for an end", err)
			}
		})
	}
}

func TestNone(t *testing.T) {
	if v, err := ParseVideo("none", Options{}); v != nil || err != nil {
		t.Errorf("video none: %v, %v", v, err)
	}
	if a, err := ParseAudio("none", Options{}); a != nil || err != nil {
		t.Errorf("audio none: %v, %v", a, err)
	}
}

// noCamera is a machine without one.
type noCamera struct{}

func (noCamera) String() string { return "camera" }
func (noCamera) Open(context.Context, Format) (VideoReader, error) {
	return nil, fmt.Errorf("camera auto: %w", ErrNoDevice)
}

func TestAutoWithoutCameraSaysWhatToDo(t *testing.T) {
	var log bytes.Buffer
	src := &autoVideo{camera: noCamera{}, standIn: Captioned(&testVideo{}, NoCamera), log: slog.New(slog.NewTextHandler(&log, nil))}
	r, err := src.Open(t.Context(), Format{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release()
	if _, ok := ReadBarcode(f.YCbCr); !ok {
		t.Error("what stands in for the camera is not the test picture")
	}
	plain := newI420(1280, 720)
	newTestCard(1280, 720).background(plain)
	if bytes.Equal(plain.Y[240*1280:241*1280], f.Y[240*f.YStride:][:1280]) {
		t.Error("the test picture has no caption")
	}
	if n := strings.Count(log.String(), "--camera test"); n != 1 {
		t.Errorf("%d lines say what to do, want 1: %s", n, log.String())
	}
}

// The rest makes files and streams.

func writeFile(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// y4mFile64 is three frames of 64x48 at 100 fps, whose luma is 50, 60, 70.
func y4mFile64(testing.TB) []byte {
	b := []byte("YUV4MPEG2 W64 H48 F100:1 Ip A1:1 C420jpeg XYSCSS=420JPEG\n")
	for i := range 3 {
		b = append(b, "FRAME\n"...)
		b = append(b, bytes.Repeat([]byte{byte(50 + 10*i)}, 64*48)...)
		b = append(b, bytes.Repeat([]byte{100}, 32*24)...)
		b = append(b, bytes.Repeat([]byte{150}, 32*24)...)
	}
	return b
}

// mjpegClip is n JPEGs of 64x48, luma 50, 60 and so on.
func mjpegClip(t testing.TB, n int) []byte {
	var b bytes.Buffer
	for i := range n {
		if err := jpeg.Encode(&b, plain(64, 48, byte(50+10*i)), &jpeg.Options{Quality: 95}); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func plain(w, h int, luma byte) *image.YCbCr {
	img := newI420(w, h)
	fill(img, img.Rect, colour{luma, 100, 150})
	return img
}

// forever is a command that repeats another one's output after the first.
// The 1000 repetitions are more than any test reads.
func forever(command string) string {
	return "for i in $(seq 1000); do " + command + "; done"
}

// livePipe is an OS pipe that somebody writes to without end.
func livePipe(t *testing.T, head, body []byte) *os.File {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, err := w.Write(head)
		for err == nil {
			_, err = w.Write(body)
		}
	}()
	t.Cleanup(func() { r.Close(); <-ended; w.Close() })
	return r
}
