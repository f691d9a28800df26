package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// vividCamera is a camera that the kernel's vivid driver plays: it can be
// pulled out, and told to fail.
type vividCamera struct {
	Device
	t      *testing.T
	device string // its name on the platform bus
}

const vividDriver = "/sys/bus/platform/drivers/vivid"

func aVivid(t *testing.T) vividCamera {
	t.Helper()
	cams, err := scanCameras(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cams {
		dev, err := filepath.EvalSymlinks("/sys/class/video4linux/" + filepath.Base(c.dev.Path) + "/device")
		if err == nil && strings.HasPrefix(filepath.Base(dev), "vivid") {
			return vividCamera{c.dev, t, filepath.Base(dev)}
		}
	}
	t.Skip("SKIPPED: no camera of vivid (modprobe vivid; make test-devices has some)")
	return vividCamera{}
}

// plug and unplug concern all cameras of the driver's device.
func (v vividCamera) plug()   { v.write("bind") }
func (v vividCamera) unplug() { v.write("unbind") }

func (v vividCamera) write(what string) {
	v.t.Helper()
	if err := os.WriteFile(filepath.Join(vividDriver, what), []byte(v.device), 0); err != nil {
		v.t.Fatal(err)
	}
}

// comesBack plugs the cameras in again when the test is over, however it ends.
func (v vividCamera) comesBack() {
	v.t.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(vividDriver, v.device)); err != nil {
			v.plug()
		}
	})
}

func testLog(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// isBars tells vivid's colour bars from a slate: the first bar is white, the
// slate dark. The middle is free of text.
func isBars(f *Frame) bool { return f.Y[f.Rect.Dy()/2*f.YStride+8] > 100 }

// awaitPicture reads until bars, or a slate, come.
func awaitPicture(t *testing.T, r VideoReader, bars bool) {
	t.Helper()
	began := time.Now()
	for {
		f, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		got := isBars(f)
		f.Release()
		if got == bars {
			t.Logf("waited %v", time.Since(began).Round(time.Millisecond))
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("a minute without what is waited for (bars: %v)", bars)
		}
	}
}

// Every pixel format that the camera has, in one memory or several (vivid's
// parameter multiplanar=2), shows the same bars.
func TestVividFormats(t *testing.T) {
	cam := aVivid(t)
	node, err := openV4L2(cam.Path)
	if err != nil {
		t.Fatal(err)
	}
	all := node.fourccs()
	if err := node.close(); err != nil {
		t.Fatal(err)
	}
	var ref *Frame
	seen := 0
	for _, cc := range all {
		if pixelFormats[cc] == "" {
			continue
		}
		t.Run(fourccName(cc), func(t *testing.T) {
			f, planes := onePicture(t, cam.Path, cc)
			t.Logf("%v, %d planes of the multi-planar API", f.Rect, planes)
			seen++
			if ref == nil && pixelFormats[cc] != formatGrey {
				ref = f
			}
			if ref != nil {
				compareBars(t, f, ref, pixelFormats[cc] == formatGrey)
			}
		})
	}
	if seen < 4 {
		t.Errorf("only %d formats were tried", seen)
	}
	if _, err := newCamera(cam.Path, Options{PixelFormat: "mjpeg"}); err == nil || !strings.Contains(err.Error(), "it does not offer MJPEG; it has ") {
		t.Errorf("a format that it has not: %v", err)
	}
	src, err := newCamera(cam.Path, Options{PixelFormat: "NV21"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Open(t.Context(), Format{640, 480, 0})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := r.(*cameraReader).cam.cameraDriver.(*v4l2Camera).pixels; got != "NV21" {
		t.Errorf("asked for NV21, took %s", got)
	}
}

func TestVividContract(t *testing.T) {
	cam := aVivid(t)
	for _, spec := range []string{"auto", cam.Name, cam.Path, cam.ID} {
		src, err := ParseVideo(spec, Options{Log: testLog(t)})
		if err != nil {
			t.Fatal(err)
		}
		videoContract(t, src, Format{640, 480, 25})
		videoContract(t, Steady(Oriented(src, new(Orientation)), SteadyOptions{}), Format{640, 480, 25})
	}
}

// After the machine slept the camera is opened again.
func TestVividSleep(t *testing.T) {
	r := openFor(t, aVivid(t).Path, Format{640, 480, 0})
	f, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	f.Release()
	// as if it had been an hour less behind at the last picture
	r.(*cameraReader).cam.cameraDriver.(*v4l2Camera).asleep.behind -= time.Hour
	if _, err := r.Read(); !errors.Is(err, errAgain) {
		t.Errorf("after a sleep: %v", err)
	}
	f, err = r.Read()
	if err != nil {
		t.Fatal(err)
	}
	f.Release()
}

func onePicture(t *testing.T, path string, cc uint32) (f *Frame, planes int) {
	t.Helper()
	c := &v4l2Camera{path: path, log: testLog(t), stop: -1, counts: new(cameraCounts)}
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	r, err := c.record(v4l2Format{fourcc: cc, width: 640, height: 480})
	if err != nil {
		t.Fatal(err)
	}
	img, _, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	f = img.(*Frame)
	if f.Rect.Dx() != 640 || f.Rect.Dy() != 480 {
		t.Fatalf("a picture of %v", f.Rect)
	}
	return f, c.node.planes
}

// compareBars compares the middle of each of the eight bars.
func compareBars(t *testing.T, f, ref *Frame, grey bool) {
	t.Helper()
	for x := 40; x < 640; x += 80 {
		for _, plane := range []struct {
			name      string
			got, want byte
		}{
			{"Y", f.Y[240*f.YStride+x], ref.Y[240*ref.YStride+x]},
			{"Cb", f.Cb[120*f.CStride+x/2], ref.Cb[120*ref.CStride+x/2]},
			{"Cr", f.Cr[120*f.CStride+x/2], ref.Cr[120*ref.CStride+x/2]},
		} {
			tolerance := 3
			switch {
			case grey && plane.name == "Y":
				tolerance = 30 // vivid's grey goes from 0 to 255
			case grey:
				plane.want = 128
			}
			if d := int(plane.got) - int(plane.want); d > tolerance || d < -tolerance {
				t.Errorf("%s at column %d is %d, want %d", plane.name, x, plane.got, plane.want)
			}
		}
	}
}

// A camera that is pulled out becomes a slate at once, and the picture comes
// back by itself: also under another name in /dev.
func TestVividReplug(t *testing.T) {
	cam := aVivid(t)
	cam.comesBack()
	src, err := newCamera(cam.Name, Options{Log: testLog(t), Controls: []ControlSetting{{"brightness", "150"}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Steady(src, SteadyOptions{Log: testLog(t)}).Open(t.Context(), Format{640, 480, 0})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	awaitPicture(t, r, true)
	for range 3 {
		unplugged := time.Now()
		cam.unplug()
		awaitPicture(t, r, false)
		slated := time.Now()
		cam.plug()
		plugged := time.Now()
		awaitPicture(t, r, true)
		t.Logf("unplug to slate %v, plug to picture %v", slated.Sub(unplugged).Round(time.Millisecond), time.Since(plugged).Round(time.Millisecond))
	}
	// what it was set to is set again, although the driver forgot
	if got := controlOf(t, src, "brightness"); got.Value != 150 {
		t.Errorf("brightness is %d after the replug, want 150", got.Value)
	}
}

func controlOf(t *testing.T, src VideoSource, name string) Control {
	t.Helper()
	c, ok := ControllerOf(src)
	if !ok {
		t.Fatalf("%v has no controls", src)
	}
	all, err := c.Controls()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(c Control) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no control %s", name)
	}
	return all[i]
}

// Who starts without a camera sees it as soon as it is plugged in.
func TestVividPluggedInLater(t *testing.T) {
	cam := aVivid(t)
	cam.comesBack()
	cam.unplug()
	src, err := ParseVideo("auto", Options{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Steady(src, SteadyOptions{Log: testLog(t)}).Open(t.Context(), Format{640, 480, 30})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := ReadBarcode(f.YCbCr); !ok {
		t.Error("without a camera there is no test picture")
	}
	f.Release()
	cam.plug()
	for plugged, test := time.Now(), true; test; {
		f, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if !isBars(f) && f.Rect.Dx() == 640 {
			t.Log("a slate in between") // udev may not be ready
		}
		_, test = ReadBarcode(f.YCbCr)
		f.Release()
		if !test {
			t.Logf("the camera is there after %v", time.Since(plugged).Round(time.Millisecond))
		}
	}
	awaitPicture(t, r, true)
}

// A camera that goes on without pictures, one that says that its pictures are
// damaged, and one that fails come back.
func TestVividTrouble(t *testing.T) {
	cam := aVivid(t)
	src, err := newCamera(cam.Path, Options{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	control, _ := ControllerOf(src)
	set := func(name string, value int) {
		t.Helper()
		if err := control.SetControl(name, value); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Steady(src, SteadyOptions{Log: testLog(t)}).Open(t.Context(), Format{640, 480, 0})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	awaitPicture(t, r, true)

	set("percentage_of_dropped_buffers", 100)
	awaitPicture(t, r, false)
	set("percentage_of_dropped_buffers", 0)
	awaitPicture(t, r, true)

	before, _ := StatsOf(src)
	set("inject_v4l2_buf_flag_error", 1)
	for {
		f, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if !isBars(f) {
			t.Error("one damaged picture takes the others away")
		}
		f.Release()
		if now, _ := StatsOf(src); now.Corrupt > before.Corrupt {
			break
		}
	}

	set("inject_fatal_streaming_error", 1)
	awaitPicture(t, r, false)
	awaitPicture(t, r, true)
}

func TestVividControls(t *testing.T) {
	cam := aVivid(t)
	src, err := newCamera(cam.Path, Options{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := ControllerOf(src)
	all, err := c.Controls()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		t.Log(one, "is", one.Value)
		if one.Name == "" || one.Kind == ControlMenu && len(one.Menu) == 0 {
			t.Errorf("something is missing: %+v", one)
		}
	}
	b := controlOf(t, src, "brightness")
	if b.Kind != ControlInteger || b.Max != 255 {
		t.Errorf("brightness is %+v", b)
	}
	for _, open := range []bool{false, true} {
		if open {
			r, err := src.Open(t.Context(), Format{640, 480, 0})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
		}
		for _, v := range []int{10, 200, b.Default} {
			if err := c.SetControl("brightness", v); err != nil {
				t.Fatal(err)
			}
			if got := controlOf(t, src, "brightness").Value; got != v {
				t.Errorf("brightness is %d, set %d (open: %v)", got, v, open)
			}
		}
	}
	if err := c.SetControl("brightness", 999); err == nil || !strings.Contains(err.Error(), "0..255") {
		t.Errorf("out of range: %v", err)
	}
	if err := c.SetControl("warp", 1); err == nil || !strings.Contains(err.Error(), "brightness") {
		t.Errorf("unknown control: %v", err)
	}
	if _, err := newCamera(cam.Path, Options{Controls: []ControlSetting{{"warp", "1"}}}); err == nil || !strings.Contains(err.Error(), "warp") {
		t.Errorf("unknown control from the beginning: %v", err)
	}
}

// The error names the program that has the camera.
func TestVividBusy(t *testing.T) {
	cam := aVivid(t)
	holder := exec.Command(os.Args[0], "-test.run", "^TestHoldCamera$")
	holder.Env = append(os.Environ(), "PEERCAM_TEST_HOLD="+cam.Path)
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer holder.Wait()
	defer in.Close()
	for s := bufio.NewScanner(out); ; {
		if !s.Scan() {
			t.Fatal("the other program does not get the camera")
		}
		if s.Text() == "held" {
			break
		}
	}
	src, err := newCamera(cam.Path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = src.Open(t.Context(), Format{})
	name := filepath.Base(os.Args[0])
	want := fmt.Sprintf("in use by %s (process %d)", name[:min(15, len(name))], holder.Process.Pid)
	if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q in it", err, want)
	}
	if got := brief(err); !strings.Contains(got, want) || strings.Contains(got, "end that program") {
		t.Errorf("the slate says %q", got)
	}
}

// TestHoldCamera is the other program of TestVividBusy.
func TestHoldCamera(t *testing.T) {
	path := os.Getenv("PEERCAM_TEST_HOLD")
	if path == "" {
		return
	}
	r := openFor(t, path, Format{640, 480, 0})
	f, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	f.Release()
	fmt.Println("held")
	io.Copy(io.Discard, os.Stdin)
}

// Who may not use the camera hears which group may.
func TestVividDenied(t *testing.T) {
	cam := aVivid(t)
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs to be root, to become somebody else")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	setfsuid(65534) // of this thread, with which its right to open everything goes
	defer setfsuid(0)
	all, err := listCameras(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if d.Path == cam.Path && !strings.Contains(d.Err, "sudo usermod -aG video") {
			t.Errorf("listed as %+v", d)
		}
	}
	src, err := newCamera(cam.Path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = src.Open(t.Context(), Format{})
	if !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "no permission; add yourself to the group video") {
		t.Errorf("opened by somebody else: %v", err)
	}
	t.Log(err)
}

func setfsuid(uid int) { unix.RawSyscall(unix.SYS_SETFSUID, uintptr(uid), 0, 0) }

// The camera stays closed while it is covered: another program can have it.
func TestVividPrivacy(t *testing.T) {
	cam := aVivid(t)
	src, err := newCamera(cam.Path, Options{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	var private Privacy
	r, err := Steady(src, SteadyOptions{Log: testLog(t), Privacy: &private}).Open(t.Context(), Format{640, 480, 0})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	awaitPicture(t, r, true)
	private.Set(true)
	f, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	if isBars(f) {
		t.Error("a picture after the camera was covered")
	}
	f.Release()
	for end := time.Now().Add(time.Minute); ; {
		other, err := newCamera(cam.Path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		o, err := other.Open(t.Context(), Format{640, 480, 0})
		if err == nil {
			o.Close()
			break
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			t.Fatal(err)
		}
	}
	private.Set(false)
	awaitPicture(t, r, true)
}
