//go:build linux && amd64

package capture

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loopbackCamera is a camera of v4l2loopback: it shows what is written to it.
func loopbackCamera(t *testing.T) (path string) {
	t.Helper()
	names, _ := filepath.Glob("/sys/devices/virtual/video4linux/video*/max_openers") // only v4l2loopback has that
	if len(names) == 0 {
		t.Skip("SKIPPED: no camera of v4l2loopback (modprobe v4l2loopback exclusive_caps=1; make test-devices has one)")
	}
	return "/dev/" + filepath.Base(filepath.Dir(names[0]))
}

// fillLoopback opens the end of the camera that pictures of that size are
// written to. It is a camera only from the first picture on.
func fillLoopback(t *testing.T, path string, w, h int) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var format struct { // struct v4l2_format
		kind, _                                                                                               uint32
		width, height, pixels, field, stride, size, colours, private, flags, encoding, quantization, transfer uint32
		_                                                                                                     [152]byte
	}
	const videoOutput, noField, setFormat = 2, 1, 0xc0d05605 // VIDIOC_S_FMT
	format.kind, format.width, format.height, format.pixels = videoOutput, uint32(w), uint32(h), fourcc("MJPG")
	format.field, format.size = noField, uint32(2*w*h)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), setFormat, uintptr(unsafe.Pointer(&format))); errno != 0 {
		t.Fatal(errno)
	}
	return f
}

// feedCamera writes a picture to it, again and again, ten a second, until stop.
// The first one is written when it returns.
func feedCamera(t *testing.T, path string, w, h int, picture []byte) (stop func()) {
	t.Helper()
	f := fillLoopback(t, path, w, h)
	if _, err := f.Write(picture); err != nil {
		t.Fatal(err)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer f.Close()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			if _, err := f.Write(picture); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

// Among good pictures come broken ones: those are left out and counted, and
// nothing of them is seen.
func TestLoopbackBrokenJPEG(t *testing.T) {
	path := loopbackCamera(t)
	good := readFile(t, "jpeg720p.jpg")
	d := newJPEGDecoder()
	defer d.close()
	ref, err := d.Decode(good, new(framePool).get)
	if err != nil {
		t.Fatal(err)
	}
	in := fillLoopback(t, path, 1280, 720)
	defer in.Close()
	write := func(picture []byte) {
		t.Helper()
		if _, err := in.Write(picture); err != nil {
			t.Fatal(err)
		}
	}
	write(good)
	src, err := newCamera(path, Options{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Open(t.Context(), Format{1280, 720, 30})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for {
			f, err := r.Read()
			if err != nil {
				ended <- err
				return
			}
			if f.Rect != ref.Rect || !bytes.Equal(f.i420(), ref.i420()) {
				t.Errorf("a picture of %v is not the one that was sent", f.Rect)
			}
			f.Release()
		}
	}()
	seen := func() uint64 {
		s, _ := StatsOf(src)
		return s.Frames + s.Late + s.Corrupt
	}
	bad := [][]byte{
		halfOf(good), overwritten(good), bytes.Repeat([]byte("noise"), 1000), readFile(t, "jpeg422.jpg"), // the last of another size
	}
	const rounds = 3
	for range rounds {
		for i, b := range bad {
			for _, p := range [][]byte{b, [][]byte{good, append(bytes.Clone(good), make([]byte, 500)...), good[:len(good)-2]}[i%3]} {
				// One by one: the driver would write over what is being read.
				before := seen()
				write(p)
				for seen() == before {
					select {
					case err := <-ended:
						t.Fatal(err)
					case <-time.After(time.Millisecond):
					}
				}
			}
		}
	}
	s, _ := StatsOf(src)
	t.Logf("%+v", s)
	if s.Frames == 0 || s.Corrupt == 0 || s.Corrupt > rounds*uint64(len(bad)) {
		t.Errorf("of %d good and %d broken pictures: %+v", rounds*len(bad), rounds*len(bad), s)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("read ended with %v", err)
	}
}

// A virtual camera whose program ends and starts again comes back.
func TestLoopbackProgramRestarts(t *testing.T) {
	path := loopbackCamera(t)
	good := readFile(t, "jpeg720p.jpg")
	d := newJPEGDecoder()
	defer d.close()
	ref, err := d.Decode(good, new(framePool).get)
	if err != nil {
		t.Fatal(err)
	}
	stop := feedCamera(t, path, 1280, 720, good)
	src, err := newCamera(path, Options{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Steady(src, SteadyOptions{Log: testLog(t)}).Open(t.Context(), Format{1280, 720, 30})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	await := func(picture bool) {
		t.Helper()
		for {
			f, err := r.Read()
			if err != nil {
				t.Fatal(err)
			}
			same := bytes.Equal(f.Y, ref.Y)
			f.Release()
			if same == picture {
				return
			}
		}
	}
	await(true)
	stop()
	await(false)
	stop = feedCamera(t, path, 1280, 720, good)
	await(true)
	stop()
}
