package main

import (
	"bytes"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peercam/peercam/encode"
	"github.com/peercam/peercam/peer"
)

// sizedFilm is pictures of changing size, as when rungs change, with sound.
func sizedFilm(t *testing.T, sizes ...size) (all []received) {
	t.Helper()
	at := time.Unix(1_700_000_000, 0)
	for _, s := range sizes {
		e, err := encode.NewVP8(encode.VP8Config{Width: s.Width, Height: s.Height, Bitrate: 300_000, FPS: 20})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 20 {
			p := image.NewYCbCr(image.Rect(0, 0, s.Width, s.Height), image.YCbCrSubsampleRatio420)
			fill(p.Y, byte(100+n))
			fill(p.Cb, 90)
			fill(p.Cr, 160)
			var f encode.Frame
			if err := e.Encode(p, at, n == 0, &f); err != nil {
				t.Fatal(err)
			}
			m := peer.Media{Data: f.Data, Time: at, Key: f.Key}
			if f.Key {
				m.Width, m.Height = s.Width, s.Height
			}
			all = append(all, received{m, true}, received{peer.Media{Data: []byte{0xf8, 0xff, 0xfe}, Time: at}, false})
			at = at.Add(50 * time.Millisecond)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestRecordingsPlayWhenTheSizeChanges(t *testing.T) {
	sizes := []size{{320, 180}, {640, 360}, {160, 90}, {1280, 720}}
	all := sizedFilm(t, sizes...)
	dir := t.TempDir()
	for _, name := range []string{"a.webm", "a.ivf", "pipe.webm"} {
		path := filepath.Join(dir, name)
		var o output
		var piped bytes.Buffer
		var err error
		if name == "pipe.webm" {
			o, err = newRecording("-", &piped)
		} else {
			o, err = newRecording(path, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		s := &sink{outputs: []output{o}}
		for _, m := range all {
			if err := s.write(m); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if piped.Len() > 0 {
			if err := os.WriteFile(path, piped.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if n := decoded(t, path, "v"); n != len(all)/2 {
			t.Errorf("%s: %d pictures, want %d", name, n, len(all)/2)
		}
		seen := string(ffmpeg(t, "ffprobe", "-show_entries", "frame=width,height", "-select_streams", "v", "-of", "csv=p=0", path))
		for _, want := range []string{"320,180", "640,360", "160,90", "1280,720"} {
			if !strings.Contains(seen, want) {
				t.Errorf("%s holds no picture of %s", name, want)
			}
		}
	}
	// One can go to any time, and knows how long it is.
	if out := string(ffmpeg(t, "ffprobe", "-show_entries", "format=duration", "-of", "csv=p=0", filepath.Join(dir, "a.webm"))); !strings.HasPrefix(out, "3.95") {
		t.Errorf("the WebM is %s s long, want 3.95", out)
	}
	if out := string(ffmpeg(t, "ffprobe", "-read_intervals", "2.1%+#1", "-select_streams", "v", "-show_entries", "frame=width", "-of", "csv=p=0", filepath.Join(dir, "a.webm"))); !strings.HasPrefix(out, "160") {
		t.Errorf("2.1 s into the WebM the picture is %s wide, want 160", out)
	}
}

// What a program that died has left.
func TestARecordingThatWasNotClosedPlays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.webm")
	o, err := newRecording(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{outputs: []output{o}}
	for _, m := range sizedFilm(t, size{320, 180}, size{640, 360}, size{320, 180}, size{320, 180}) {
		if err := s.write(m); err != nil {
			t.Fatal(err)
		}
	}
	if n := decoded(t, path, "v"); n < 30 {
		t.Errorf("%d pictures", n)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

func TestTheDecodedPictureKeepsItsSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.y4m")
	o, err := newY4M(path, nil, size{}, 20, func() size { return size{640, 360} })
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{outputs: []output{o}}
	all := sizedFilm(t, size{320, 180}, size{640, 360}, size{90, 160})
	for _, m := range all {
		if err := s.write(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if n := decoded(t, path, "v"); n != len(all)/2 {
		t.Errorf("%d pictures, want %d", n, len(all)/2)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, frames, _ := bytes.Cut(b, []byte("\n"))
	if !bytes.HasPrefix(head, []byte("YUV4MPEG2 W640 H360 F20:1 ")) {
		t.Errorf("it begins with %s", head)
	}
	frame := len(y4mFrame) + 640*360*3/2
	luma := func(n, x, y int) byte { return frames[n*frame+len(y4mFrame)+y*640+x] }
	if near := luma(0, 1, 1); near < 90 || near > 110 { // the smaller one fills it
		t.Errorf("the corner of a scaled picture is %d, want about 100", near)
	}
	if bar, middle := luma(41, 10, 180), luma(41, 320, 180); bar != 0 || middle < 90 {
		t.Errorf("beside an upright picture it is %d, in it %d", bar, middle)
	}
}

func TestLostSoundIsConcealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.ogg")
	o, err := newRecording(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	for n := range 200 {
		if n%10 == 3 || n > 100 && n < 150 {
			continue // lost
		}
		if err := o.audio(peer.Media{Data: []byte{0xf8, 0xff, 0xfe}, Time: at.Add(time.Duration(n) * 20 * time.Millisecond)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	if n := decoded(t, path, "a"); n != 200 {
		t.Errorf("%d packets, want one for each 20 ms of 4 s", n)
	}
}
