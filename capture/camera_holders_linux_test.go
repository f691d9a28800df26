package capture

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHolders(t *testing.T) {
	proc := t.TempDir()
	process := func(pid, name string, opens ...string) {
		dir := filepath.Join(proc, pid, "fd")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "comm"), []byte(name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for i, to := range opens {
			if err := os.Symlink(to, filepath.Join(dir, strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	process("7", "zoom", "/dev/null", "/dev/video0", "/dev/video0")
	process("12", "ffmpeg", "/dev/video1", "socket:[1]")
	process("999", "cheese", "/dev/video0")
	process("self", "zoom", "/dev/video0") // a link in the real one
	process(strconv.Itoa(os.Getpid()), "peercam", "/dev/video2")
	for node, want := range map[string][]string{
		"/dev/video0": {"zoom (process 7)", "cheese (process 999)"},
		"/dev/video1": {"ffmpeg (process 12)"},
		"/dev/video2": {"this program itself"},
		"/dev/video3": nil,
	} {
		got := holders(proc, node)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s is held by %q, want %q", node, got, want)
		}
	}
	if got := holders(filepath.Join(proc, "none"), "/dev/video0"); got != nil {
		t.Errorf("without /proc: %q", got)
	}
}

// Every error names the camera and the way out, and is brief on the slate.
func TestCameraErrors(t *testing.T) {
	cam := Device{Name: "HD Webcam", Path: "/dev/video99"}
	for _, c := range []struct {
		err          error
		slate, whole string
	}{
		{unix.EBUSY, "HD Webcam: another program uses it", "end that program"},
		{unix.EACCES, "HD Webcam: no permission", "the group video"},
		{unix.ENODEV, "HD Webcam: unplugged", "plug it in again"},
		{unix.ENOSPC, "HD Webcam: the USB bus has no room for it", "smaller size"},
		{unix.EPROTO, "HD Webcam: it does not answer", "without a hub"},
		{errNoFormat, "HD Webcam: no usable pixel format", "--camera rpi"},
		{unix.EINVAL, `start camera "HD Webcam" (video99): invalid argument`, "invalid argument"},
	} {
		err := cameraError("start", cam, fmt.Errorf("setting 640x480: %w", c.err))
		if c.err == unix.EINVAL {
			err = cameraError("start", cam, c.err)
		}
		if got := brief(err); got != c.slate {
			t.Errorf("the slate says %q, want %q", got, c.slate)
		}
		for _, part := range []string{c.whole, `"HD Webcam" (/dev/video99)`, c.err.Error()} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in %q", part, err)
			}
		}
	}
}

func TestWatchNodes(t *testing.T) {
	dir := t.TempDir()
	w, err := watchNodes(dir, "video")
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	node := filepath.Join(dir, "video0")
	for _, step := range []func() error{
		func() error { return os.WriteFile(node, nil, 0o600) },
		func() error { return os.Chmod(node, 0o660) },
		func() error { return os.Rename(node, filepath.Join(dir, "video1")) },
		func() error { return os.Remove(filepath.Join(dir, "video1")) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		<-w.C
	}
	w.close()
	w.close()
	if _, err := watchNodes(filepath.Join(dir, "none"), "video"); err == nil {
		t.Error("watches what is not there")
	}
}

func TestInotifyEvents(t *testing.T) {
	event := func(mask uint32, name string) []byte {
		b := make([]byte, unix.SizeofInotifyEvent, 64)
		binary.NativeEndian.PutUint32(b[4:], mask)
		if name != "" {
			binary.NativeEndian.PutUint32(b[12:], 16)
			b = append(b, append([]byte(name), make([]byte, 16-len(name))...)...)
		}
		return b
	}
	for _, c := range []struct {
		name   string
		events []byte
		want   bool
	}{
		{"nothing", nil, false},
		{"another", event(unix.IN_CREATE, "tty1"), false},
		{"a camera", event(unix.IN_CREATE, "video0"), true},
		{"behind another", append(event(unix.IN_CREATE, "tty1"), event(unix.IN_DELETE, "video12")...), true},
		{"lost", event(unix.IN_Q_OVERFLOW, ""), true},
		{"without a name", event(unix.IN_ATTRIB, ""), false},
		{"cut off", event(unix.IN_CREATE, "video0")[:10], false},
	} {
		if got := names(c.events, "video"); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
