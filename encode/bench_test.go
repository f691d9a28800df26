package encode

import (
	"encoding/binary"
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/peercam/peercam/capture"
)

// BenchmarkVP8 encodes camera-like 1280x720 at 30 Hz and 1.5 Mbit/s.
// cpu-ms/frame is the processor time of a frame; x-vpxenc is its ratio to
// Debian's vpxenc on the same pictures, whose PSNR stands beside ours.
func BenchmarkVP8(b *testing.B) {
	const fps, bitrate, n = 30, 1_500_000, 150
	pictures := newScene(1280, 720).frames(n, fps)
	theirs := vpxenc(b, pictures, fps, bitrate)

	b.Run("720p", func(b *testing.B) {
		e, err := NewVP8(VP8Config{Width: 1280, Height: 720, Bitrate: bitrate, FPS: fps})
		if err != nil {
			b.Fatal(err)
		}
		defer e.Close()
		var f Frame
		// To and fro, so that the scene never jumps.
		picture := func(i int) *image.YCbCr {
			if i %= 2 * (n - 1); i >= n {
				i = 2*(n-1) - i
			}
			return pictures[i]
		}
		for i := range 10 {
			if err := e.Encode(picture(i), at(i, fps), false, &f); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportAllocs()
		i, start := 10, cpuTime(b)
		for b.Loop() {
			if err := e.Encode(picture(i), at(i, fps), false, &f); err != nil {
				b.Fatal(err)
			}
			i++
		}
		spent := float64(cpuTime(b)-start) / float64(time.Millisecond) / float64(b.N)
		b.StopTimer()
		b.ReportMetric(spent, "cpu-ms/frame")
		ours := quality(b, pictures, func(emit func([]byte)) {
			e, err := NewVP8(VP8Config{Width: 1280, Height: 720, Bitrate: bitrate, FPS: fps})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			for i, p := range pictures {
				if err := e.Encode(p, at(i, fps), false, &f); err != nil {
					b.Fatal(err)
				}
				emit(f.Data)
			}
		}, fps)
		b.ReportMetric(ours.psnr, "dB")
		b.ReportMetric(ours.kbits, "kbit/s")
		if theirs != nil {
			b.ReportMetric(spent/theirs.cpu, "x-vpxenc")
			b.ReportMetric(theirs.cpu, "vpxenc-cpu-ms/frame")
			b.ReportMetric(theirs.psnr, "vpxenc-dB")
			b.ReportMetric(theirs.kbits, "vpxenc-kbit/s")
		}
	})
}

type encoding struct{ cpu, psnr, kbits float64 }

// vpxenc encodes the pictures with libvpx's own program; nil if there is none.
func vpxenc(b *testing.B, pictures []*image.YCbCr, fps, bitrate int) *encoding {
	if _, err := exec.LookPath("vpxenc"); err != nil {
		b.Log("vpxenc (Debian: vpx-tools) is not installed: nothing to compare with")
		return nil
	}
	dir := b.TempDir()
	in, out := filepath.Join(dir, "in.y4m"), filepath.Join(dir, "out.ivf")
	if err := writeY4M(in, pictures, fps); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("vpxenc", "--codec=vp8", "--rt", "--cpu-used=-6", "--threads=1",
		"--target-bitrate="+strconv.Itoa(bitrate/1000), "--ivf", "-o", out, in)
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, text)
	}
	result := quality(b, pictures, func(emit func([]byte)) {
		data, err := os.ReadFile(out)
		if err != nil {
			b.Fatal(err)
		}
		for data = data[32:]; len(data) > 12; { // IVF: a size and a time before each frame
			size := int(binary.LittleEndian.Uint32(data))
			emit(data[12 : 12+size])
			data = data[12+size:]
		}
	}, float64(fps))
	// Its reading of the file is mostly system time, and left out.
	result.cpu = float64(cmd.ProcessState.UserTime()) / float64(time.Millisecond) / float64(len(pictures))
	return &result
}

func writeY4M(path string, pictures []*image.YCbCr, fps int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	size := pictures[0].Rect.Size()
	_, err = fmt.Fprintf(f, "YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg\n", size.X, size.Y, fps)
	for _, p := range pictures {
		for _, part := range [][]byte{[]byte("FRAME\n"), p.Y, p.Cb, p.Cr} {
			if err == nil {
				_, err = f.Write(part)
			}
		}
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// quality decodes what run emits, one emission a picture. A picture left out
// is measured against the one that stands on the screen meanwhile.
func quality(b *testing.B, pictures []*image.YCbCr, run func(emit func([]byte)), fps float64) (e encoding) {
	v, i, bytes := newViewer(b), 0, 0
	var shown *image.YCbCr
	run(func(data []byte) {
		if len(data) > 0 {
			shown = v.show(data)
		}
		e.psnr += psnr(pictures[i], shown)
		bytes += len(data)
		i++
	})
	e.psnr /= float64(i)
	e.kbits = float64(bytes) * 8 / 1000 / (float64(i) / fps)
	return e
}

// BenchmarkOpus encodes a second of 48 kHz sound; %core is what a live stream
// takes of one core.
func BenchmarkOpus(b *testing.B) {
	for _, rate := range []int{48000, 44100, 16000} {
		for _, channels := range []int{1, 2} {
			b.Run(name(rate, "Hz-", channels, "ch"), func(b *testing.B) {
				e := voiceEncoder{}
				voice := speech(rate, channels, 10)
				run := rate / 100
				i := 0
				b.ReportAllocs()
				start := cpuTime(b)
				for b.Loop() {
					for range 100 {
						at := i % 1000 * run
						s := capture.Samples{PCM: voice[at*channels : (at+run)*channels], Rate: rate, Channels: channels,
							Time: time.Unix(0, 0).Add(time.Duration(i) * 10 * time.Millisecond)}
						if _, err := e.encode(&s, 5, func(*AudioFrame) {}); err != nil {
							b.Fatal(err)
						}
						i++
					}
				}
				b.ReportMetric(100*(cpuTime(b)-start).Seconds()/float64(b.N), "%core")
			})
		}
	}
}
