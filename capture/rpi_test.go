//go:build unix

package capture

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeRPi puts a rpicam-vid in the path that writes down its arguments and
// delivers what a real one would.
func fakeRPi(t *testing.T) (arguments string) {
	t.Helper()
	dir := t.TempDir()
	arguments = filepath.Join(dir, "arguments")
	jpeg := writeFile(t, "picture.jpg", mjpegClip(t, 1))
	raw := writeFile(t, "picture.yuv", bytes.Repeat([]byte{90}, 64*48*3/2))
	script := "#!/bin/sh\necho \"$*\" > " + arguments + `
case "$*" in
*"--codec mjpeg"*) f=` + jpeg + `;;
*"--codec yuv420"*) f=` + raw + `;;
*) echo "unknown codec" >&2; exit 1;;
esac
while cat $f; do sleep 0.01; done
`
	if err := os.WriteFile(filepath.Join(dir, "rpicam-vid"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return arguments
}

func TestRPi(t *testing.T) {
	arguments := fakeRPi(t)
	for _, c := range []struct {
		pixels, codec string
		want          Format
	}{
		{"", "yuv420", Format{64, 48, 100}},
		{"i420", "yuv420", Format{64, 48, 100}},
		{"mjpeg", "mjpeg", Format{64, 48, 100}},
	} {
		src, err := ParseVideo("rpi", Options{PixelFormat: c.pixels})
		if err != nil {
			t.Fatal(err)
		}
		videoContract(t, src, c.want)
		got, err := os.ReadFile(arguments)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []string{"--codec " + c.codec, "--width 64", "--height 48", "--framerate 100", "-t 0", "--flush", "-o -"} {
			if !strings.Contains(string(got), a) {
				t.Errorf("rpicam-vid got %q, without %q", got, a)
			}
		}
	}
	// rows of raw pictures may be padded at this width
	src, err := ParseVideo("rpi", Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Open(t.Context(), Format{1000, 562, 30})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if got, _ := os.ReadFile(arguments); !strings.Contains(string(got), "--codec mjpeg --width 1000") {
		t.Errorf("rpicam-vid got %q", got)
	}
}

func TestRPiMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := ParseVideo("rpi", Options{}); err == nil || !strings.Contains(err.Error(), "apt install rpicam-apps") {
		t.Errorf("without rpicam-vid: %v", err)
	}
	for _, o := range []Options{{PixelFormat: "yuyv"}, {PixelFormat: "h264"}, {Controls: []ControlSetting{{"zoom", "1"}}}} {
		if _, err := ParseVideo("rpi", o); err == nil || strings.Contains(err.Error(), "apt install") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// A command's Motion JPEG goes on behind what is broken in it.
func TestExecMJPEGBroken(t *testing.T) {
	good := mjpegClip(t, 1)
	clip := append(bytes.Clone(good), good[:len(good)/2]...)                   // cut off
	clip = append(clip, good...)                                               //
	clip = append(clip, overwritten(readFile(t, "jpeg720p.jpg"))...)           // damaged
	clip = append(append(clip, "stray bytes \xff\xd8 in between"...), good...) //
	src, err := ParseVideo("exec:"+forever("cat "+writeFile(t, "clip.mjpeg", clip)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	videoContract(t, src, Format{64, 48, 30})
}
