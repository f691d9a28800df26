package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peercam/peercam/capture"
)

// Colours that the tests film: Y, Cb, Cr of full frames, and a condition on
// the red, green and blue that the browser shows.
var (
	red  = colour{[3]byte{81, 90, 240}, "r > 180 && g < 80 && b < 80"}
	blue = colour{[3]byte{41, 240, 110}, "r < 80 && g < 80 && b > 180"}
	grey = colour{[3]byte{128, 128, 128}, "Math.max(r, g, b) < 160 && Math.min(r, g, b) > 100"}
)

type colour struct {
	ycc   [3]byte
	shown string
}

// shows waits until the page shows a colour.
func (v *view) shows(c colour) {
	v.t.Helper()
	v.until("(([r, g, b]) => %s)(probe.colour())", c.shown)
}

const y4mWidth, y4mHeight = 320, 180

func y4mHeader(fps int) string {
	return fmt.Sprintf("YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420\n", y4mWidth, y4mHeight, fps)
}

func (c colour) y4mFrame() []byte {
	b := []byte("FRAME\n")
	for i, n := range []int{y4mWidth * y4mHeight, y4mWidth * y4mHeight / 4, y4mWidth * y4mHeight / 4} {
		b = append(b, bytes.Repeat([]byte{c.ycc[i]}, n)...)
	}
	return b
}

// tone is sine waves at half of full scale: s16le, mono, for so many samples.
func tone(samples, rate int) []byte {
	var b []byte
	for i := range samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(16384*math.Sin(2*math.Pi*440*float64(i)/float64(rate)))))
	}
	return b
}

// wavHead is how long the header of wav is, bytes.
const wavHead = 44

// wav is a second of a tone.
func wav() []byte {
	const rate = 16_000
	var b bytes.Buffer
	b.WriteString("RIFF")
	_ = binary.Write(&b, binary.LittleEndian, uint32(36+2*rate))
	b.WriteString("WAVEfmt ")
	for _, field := range []any{uint32(16), uint16(1), uint16(1), uint32(rate), uint32(2 * rate), uint16(2), uint16(16)} {
		_ = binary.Write(&b, binary.LittleEndian, field)
	}
	b.WriteString("data")
	_ = binary.Write(&b, binary.LittleEndian, uint32(2*rate))
	return append(b.Bytes(), tone(rate, rate)...)
}

func write(t *testing.T, name string, parts ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFilesArePlayedOverAndOver(t *testing.T) {
	clip := [][]byte{[]byte(y4mHeader(10))}
	for _, c := range []colour{red, blue} {
		clip = append(clip, bytes.Repeat(c.y4mFrame(), 5))
	}
	p := share(t, "--camera", "file:"+write(t, "clip.y4m", clip...), "--mic", "file:"+write(t, "tone.wav", wav()))
	v := open(t, p.first)
	v.state("live")
	for _, c := range []colour{red, blue, red, blue} {
		v.shows(c)
	}
	v.click(soundButton)
	v.heard(0.2, 1)
	v.reads("clip.y4m") // what is shown says where it comes from, without the directories
}

func TestCommandsAreFilmed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("LOUD: not tried, the commands are for a POSIX shell")
	}
	camera := fmt.Sprintf(`printf '%s'; while :; do printf 'FRAME\n'; head -c %d /dev/zero | tr '\0' '\200'; sleep 0.05; done`,
		strings.TrimSuffix(y4mHeader(15), "\n")+`\n`, y4mWidth*y4mHeight*3/2)
	p := share(t, "--camera", "exec:"+camera, "--mic", "exec:while :; do cat "+write(t, "tone", tone(4800, 48_000))+"; sleep 0.1; done")
	v := open(t, p.first)
	v.state("live")
	v.shows(grey)
	v.click(soundButton)
	v.heard(0.2, 1)
}

func TestAPipeIsFilmedToItsEnd(t *testing.T) {
	out, in := io.Pipe()
	turn, wrote := make(chan colour), make(chan error, 1)
	go func() { // what `ffmpeg ... | peercam --camera -` does
		defer in.Close()
		_, err := io.WriteString(in, y4mHeader(15))
		tick := time.NewTicker(time.Second / 15)
		defer tick.Stop()
		for c, more := red, true; more && err == nil; {
			_, err = in.Write(c.y4mFrame())
			select {
			case c, more = <-turn:
			case <-tick.C:
			}
		}
		wrote <- err
	}()
	p := start(t, environment{stdin: out}, "share", "--camera", "-", "--mic", "none", "--room", "pipe", "--listen", "127.0.0.1:0",
		"--key-file", filepath.Join(t.TempDir(), "key"))
	v := open(t, p.first)
	v.state("live")
	v.shows(red)
	turn <- blue
	v.shows(blue)
	close(turn)
	if err := <-wrote; err != nil {
		t.Errorf("the pipe was not read to its end: %v", err)
	}
	if code := p.wait(); code != exitDone {
		t.Errorf("the program ended with code %d", code)
	}
	v.state("ended")
}

// What a person gets who names nothing, with or without a camera.
func TestThereIsAlwaysAPicture(t *testing.T) {
	devices, err := capture.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, environment{}, "--listen", "127.0.0.1:0", "--key-file", filepath.Join(t.TempDir(), "key"))
	v := open(t, p.first)
	v.state("live")
	v.until("document.querySelector('video').videoWidth > 0")
	for kind, want := range map[string]string{capture.KindCamera: "no camera found", capture.KindMicrophone: "no microphone found"} {
		there := slices.ContainsFunc(devices, func(d capture.Device) bool { return d.Kind == kind })
		if said := strings.Contains(p.stderr.String(), want); said == there {
			t.Errorf("%s is there: %v; it says %q: %v", kind, there, want, said)
		}
	}
}
