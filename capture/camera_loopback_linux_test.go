//go:build linux && amd64

package capture

import (
	"bytes"
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

// feedCamera writes pictures to it, again and again, ten a second, until stop.
func feedCamera(t *testing.T, path string, w, h int, pictures [][]byte) (stop func()) {
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
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer f.Close()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			if _, err := f.Write(pictures[i%len(pictures)]); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-tick.C:
			case <-done:
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
	stop := feedCamera(t, path, 1280, 720, [][]byte{
		good, halfOf(good), good, overwritten(good), bytes.Repeat([]byte("noise"), 1000),
		readFile(t, "jpeg422.jpg"), // of another size
		append(bytes.Clone(good), make([]byte, 500)...), good[:len(good)-2],
	})
	src, err := newCamera(path, Options{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Open(t.Context(), Format{1280, 720, 30})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		f, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if f.Rect != ref.Rect || !bytes.Equal(f.i420(), ref.i420()) {
			t.Errorf("a picture of %v is not the one that was sent", f.Rect)
		}
		f.Release()
	}
	if s, _ := StatsOf(src); s.Corrupt == 0 || s.Frames != 20 {
		t.Errorf("stats %+v", s)
	} else {
		t.Logf("%+v", s)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	stop()
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
	stop := feedCamera(t, path, 1280, 720, [][]byte{good})
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
	stop = feedCamera(t, path, 1280, 720, [][]byte{good})
	await(true)
	stop()
}
