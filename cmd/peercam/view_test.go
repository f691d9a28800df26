package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"image"
	"image/jpeg"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peercam/peercam/capture"
	"github.com/peercam/peercam/signaling"
)

// ffmpeg runs one of ffmpeg's programs, which must find nothing wrong.
func ffmpeg(t testing.TB, program string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("there is no %s here to look at recordings with: run `make deps-test`, which installs it", program)
	}
	cmd := exec.Command(path, append([]string{"-v", "warning"}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || said.Len() > 0 {
		t.Errorf("%s %q: %v\n%s", program, args, err, said.String())
	}
	return out
}

// decoded is how many pictures or packets of a recording can be decoded.
func decoded(t testing.TB, name, stream string) int {
	t.Helper()
	ffmpeg(t, "ffmpeg", "-i", name, "-f", "null", "-")
	out := ffmpeg(t, "ffprobe", "-select_streams", stream, "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", name)
	n, err := strconv.Atoi(strings.Trim(string(out), "\n,"))
	if err != nil {
		t.Errorf("ffprobe tells of %s %s: %q", name, stream, out)
	}
	return n
}

// watchLink runs peercam view to its end.
func watchLink(t testing.TB, link string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return runToEnd(t, append([]string{"view", link}, args...)...)
}

func TestViewRecordsWhatIsSent(t *testing.T) {
	p := share(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	code, stdout, stderr := watchLink(t, p.first, "--seconds", "4", "--record", at("a.webm"), "--record", at("a.ivf"), "--record", at("a.ogg"),
		"--y4m", at("a.y4m"), "--fps", "10", "--snapshot", at("a.jpg"), "--json")
	if code != exitDone {
		t.Fatalf("code %d: %s", code, stderr)
	}
	if strings.Contains(stderr, p.key) || strings.Contains(stderr, p.token()) {
		t.Error("the log holds the key or the token")
	}
	pictures := decoded(t, at("a.webm"), "v")
	if n := decoded(t, at("a.ivf"), "v"); n != pictures || n < 10 {
		t.Errorf("%d pictures in the IVF, %d in the WebM", n, pictures)
	}
	if n := decoded(t, at("a.y4m"), "v"); n < 20 || n > 60 {
		t.Errorf("%d pictures in the Y4M, of 10 a second for 4 s", n)
	}
	for _, sound := range []string{"a.webm", "a.ogg"} {
		if n := decoded(t, at(sound), "a"); n < 100 {
			t.Errorf("%d packets of sound in %s", n, sound)
		}
	}
	inStep(t, at("a.webm"))
	b, err := os.ReadFile(at("a.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	if picture, err := jpeg.Decode(bytes.NewReader(b)); err != nil || picture.Bounds().Dx() != 640 {
		t.Errorf("the snapshot: %v", err)
	}
	for line := range strings.Lines(stdout) {
		var f viewFigures
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
	if strings.Count(stdout, "\n") < 3 {
		t.Errorf("statistics of 4 s: %s", stdout)
	}
}

// inStep fails the test if a recording's beeps are not where its pictures say
// that a second begins.
func inStep(t *testing.T, name string) {
	t.Helper()
	var stamps []float64
	for line := range strings.Lines(string(ffmpeg(t, "ffprobe", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0", name))) {
		s, err := strconv.ParseFloat(strings.Trim(line, "\n,"), 64)
		if err != nil {
			t.Fatal(err)
		}
		stamps = append(stamps, s)
	}
	raw := bytes.NewReader(ffmpeg(t, "ffmpeg", "-i", name, "-an", "-fps_mode", "passthrough", "-f", "yuv4mpegpipe", "-"))
	began := math.NaN() // Unix seconds of the recording's beginning
	if _, err := io.CopyN(io.Discard, raw, int64(bytes.IndexByte(ffmpegLine(raw), '\n'))+1); err != nil {
		t.Fatal(err)
	}
	for _, at := range stamps {
		planes := make([]byte, len("FRAME\n")+640*360*3/2)
		if _, err := io.ReadFull(raw, planes); err != nil {
			t.Fatal(err)
		}
		picture := image.NewYCbCr(image.Rect(0, 0, 640, 360), image.YCbCrSubsampleRatio420)
		copy(picture.Y, planes[len("FRAME\n"):])
		if ms, ok := capture.ReadBarcode(picture); ok {
			now := time.Now().UnixMilli()
			taken := now - (now-int64(ms))&(1<<24-1)
			if is := float64(taken)/1000 - at; math.IsNaN(began) {
				began = is
			} else if math.Abs(is-began) > 0.005 {
				t.Errorf("the picture at %.3f s was taken %.0f ms off", at, 1000*(is-began))
			}
		}
	}
	pcm := ffmpeg(t, "ffmpeg", "-i", name, "-vn", "-af", "aresample=async=1:first_pts=0", "-ar", "48000", "-ac", "1", "-f", "s16le", "-")
	beeps, silent := 0, 0
	for i := 0; i+1 < len(pcm); i += 2 {
		loud := math.Abs(float64(int16(binary.LittleEndian.Uint16(pcm[i:])))) > 3000
		if !loud {
			silent++
			continue
		}
		if silent > 48000/2 { // a beep begins
			beeps++
			if _, off := math.Modf(began + float64(i)/2/48000 + 0.5); math.Abs(off-0.5) > 0.03 {
				t.Errorf("a beep is %.0f ms off", 1000*(off-0.5))
			}
		}
		silent = 0
	}
	if beeps < 2 || math.IsNaN(began) {
		t.Errorf("%d beeps, pictures from %v on", beeps, began)
	}
}

// ffmpegLine looks at what r holds without taking it.
func ffmpegLine(r *bytes.Reader) []byte {
	b := make([]byte, 200)
	n, _ := r.ReadAt(b, 0)
	return b[:n]
}

func TestViewDecodesForAPlayer(t *testing.T) {
	p := share(t)
	code, stdout, stderr := watchLink(t, p.first, "--seconds", "2", "--y4m", "-", "--size", "320x240")
	if code != exitDone || !strings.HasPrefix(stdout, "YUV4MPEG2 W320 H240 F30:1 ") {
		t.Fatalf("code %d, stdout begins with %.60q: %s", code, stdout, stderr)
	}
	_, frames, _ := strings.Cut(stdout, "\n")
	if size := len("FRAME\n") + 320*240*3/2; len(frames)%size != 0 || len(frames)/size < 15 {
		t.Errorf("%d bytes of frames, of %d each", len(frames), size)
	}
	y := frames[len("FRAME\n"):]
	if bar, inside := y[160], y[320*120+160]; bar != 0 || inside == 0 {
		t.Errorf("the bar is %d, the picture %d", bar, inside)
	}
}

func TestViewTakesASnapshotAndEnds(t *testing.T) {
	p := share(t)
	code, stdout, stderr := watchLink(t, p.first, "--snapshot", "-")
	if picture, err := jpeg.Decode(strings.NewReader(stdout)); code != exitDone || err != nil || picture.Bounds().Dx() != 640 {
		t.Errorf("code %d, %v: %s", code, err, stderr)
	}
}

func TestViewExplainsWhyThereIsNoPicture(t *testing.T) {
	p := share(t)
	wrong := strings.Replace(p.first, p.key, strings.TrimPrefix(signaling.NewKey().Fragment(), "k="), 1)
	bare, _, _ := strings.Cut(p.first, "#")
	nobody := strings.Replace(p.first, "/kitchen", "/cellar", 1)
	for _, c := range []struct {
		name string
		args []string
		want string
		code int
	}{
		{"another key", []string{wrong}, "not the one of room kitchen", exitFailed},
		{"no key", []string{bare}, "the part after #", exitFailed},
		{"an empty room", []string{nobody, "--wait", "1s"}, "no camera is on in room cellar", exitFailed},
		{"another camera", []string{p.first, "--wait", "1s", "--camera", "door"}, `is called "door"; there is "test`, exitFailed},
		{"no server", []string{"http://" + freeAddr(t) + "/kitchen", "--wait", "1s"}, "does not answer", exitFailed},
		{"half a key", []string{p.first[:len(p.first)-1]}, "22 characters", exitUsage},
		{"no link", []string{"kitchen"}, "is no link", exitUsage},
		{"no room", []string{p.at("/")}, "names no room", exitUsage},
		{"another scheme", []string{"ftp://example.org/kitchen"}, "http://", exitUsage},
		{"a kind of file", []string{p.first, "--record", "a.mp4"}, ".webm", exitUsage},
		{"no directory", []string{p.first, "--record", "/no/such/a.webm"}, "/no/such", exitUsage},
		{"two on stdout", []string{p.first, "--y4m", "-", "--json"}, "cannot share stdout", exitUsage},
		{"a rate", []string{p.first, "--fps", "nan"}, "--fps", exitUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := watchLink(t, c.args[0], c.args[1:]...)
			if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("code %d, stdout %q, want %d and %q:\n%s", code, stdout, c.code, c.want, stderr)
			}
			if strings.Contains(stderr, p.key) {
				t.Error("the key is printed")
			}
		})
	}
	p.unopened()
}

func TestViewDoesNotRecordOverAnother(t *testing.T) {
	name := write(t, "a.webm", []byte("dear"))
	code, _, stderr := watchLink(t, "http://127.0.0.1:1/kitchen", "--record", name)
	if b, _ := os.ReadFile(name); code != exitUsage || string(b) != "dear" || !strings.Contains(stderr, "there already") {
		t.Errorf("code %d, the file holds %q: %s", code, b, stderr)
	}
}

// A camera that a server pretends to be: it knows the token, but not the key.
func TestViewRefusesAnImpostor(t *testing.T) {
	server := serve(t, "127.0.0.1:0")
	key, wrong := signaling.NewKey(), signaling.NewKey()
	for room, prove := range map[string]func(signaling.Handshake) string{
		"another-key":   wrong.AnswerProof,
		"no-proof":      func(signaling.Handshake) string { return "" },
		"viewers-proof": key.OfferProof,
	} {
		t.Run(room, func(t *testing.T) {
			c := call(t, server.ws(), signaling.Message{Role: signaling.RoleCamera, Room: room, Token: key.Token(), Name: "impostor", Nonce: signaling.NewNonce()})
			done := make(chan string, 1)
			go func() {
				code, _, stderr := watchLink(t, server.at("/"+room)+"#"+key.Fragment())
				done <- strconv.Itoa(code) + " " + stderr
			}()
			c.say(c.answer(c.hear(signaling.TypeOffer), prove))
			if got := <-done; !strings.HasPrefix(got, "1 ") || !strings.Contains(got, "not proved") {
				t.Errorf("it ended with %s", got)
			}
		})
	}
}

// The camera's process is stopped and started again.
func TestViewComesBackWithTheCamera(t *testing.T) {
	server := serve(t, "127.0.0.1:0")
	key := filepath.Join(t.TempDir(), "key")
	first := shareOn(t, server.ws(), "--key-file", key)
	name := filepath.Join(t.TempDir(), "a.webm")
	out, lines := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	log := &transcript{}
	go func() {
		ended <- run(ctx, []string{"view", first.first, "--stay", "--json", "--record", name}, environment{stdout: lines, stderr: log})
		lines.Close()
	}()
	figures := json.NewDecoder(out)
	frames := func(than int64) (f viewFigures) {
		for f.Frames <= than {
			if err := figures.Decode(&f); err != nil {
				t.Fatalf("%v:\n%s", err, log)
			}
		}
		return f
	}
	before := frames(10)
	first.stop()
	second := shareOn(t, server.ws(), "--key-file", key)
	frames(before.Frames + 30)
	cancel()
	go io.Copy(io.Discard, out)
	if code := <-ended; code != exitDone {
		t.Errorf("code %d:\n%s", code, log)
	}
	second.stop()
	if n := decoded(t, name, "v"); int64(n) < before.Frames+30 {
		t.Errorf("%d pictures were recorded", n)
	}
}

func TestViewEndsWhenTheCameraIsStopped(t *testing.T) {
	p := share(t)
	name := filepath.Join(t.TempDir(), "a.ivf")
	ended := make(chan int, 1)
	go func() {
		code, _, _ := watchLink(t, p.first, "--record", name)
		ended <- code
	}()
	eventually(t, "somebody watches", func() bool { return p.metric("peercam_session_frames_total") > 10 })
	p.stop()
	if code := <-ended; code != exitDone {
		t.Errorf("code %d", code)
	}
	if n := decoded(t, name, "v"); n == 0 {
		t.Error("nothing was recorded")
	}
}

func TestWatchPolicy(t *testing.T) {
	now := time.Unix(1000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, c := range []struct {
		name string
		s    watchState
		want watchAction
	}{
		{"nobody is here", watchState{joined: true}, watchStay},
		{"a camera is here", watchState{joined: true, here: true}, watchConnect},
		{"not yet again", watchState{joined: true, here: true, retryAt: now.Add(1)}, watchStay},
		{"no server", watchState{here: true}, watchStay},
		{"being made", watchState{session: true, joined: true, here: true, same: true, started: ago(5 * time.Second)}, watchStay},
		{"never made", watchState{session: true, joined: true, here: true, same: true, started: ago(11 * time.Second)}, watchDrop},
		{"plays", watchState{session: true, joined: true, here: true, same: true, heard: ago(0)}, watchStay},
		{"silent", watchState{session: true, joined: true, here: true, same: true, heard: ago(2 * time.Second)}, watchAsk},
		{"silent, the server lives", watchState{session: true, joined: true, here: true, same: true, heard: ago(4 * time.Second), serverAt: ago(time.Second)}, watchDrop},
		{"silent, no server", watchState{session: true, here: true, same: true, heard: ago(10 * time.Second)}, watchStay},
		{"silent, and a new one is here", watchState{session: true, joined: true, here: true, heard: ago(time.Second)}, watchDrop},
		{"plays, although it left the room", watchState{session: true, joined: true, heard: ago(0)}, watchStay},
	} {
		if got := c.s.decide(now); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestTimelineRises(t *testing.T) {
	origin := time.Unix(5000, 0)
	var l timeline
	if _, ok := l.at(timelineAudio, origin, time.Millisecond); !ok {
		t.Fatal("the first has no time")
	}
	if _, ok := l.at(timelineVideo, origin.Add(-time.Second), 0); ok {
		t.Error("what was taken before the beginning has a time")
	}
	var last time.Duration = -1
	for _, taken := range []time.Duration{0, 40, 20, 41, 3_600_000, -7_200_000, -7_199_960} { // ms: disorder, a gap, a clock set back
		at, ok := l.at(timelineVideo, origin.Add(taken*time.Millisecond), time.Millisecond)
		if !ok || at <= last {
			t.Errorf("%v ms is at %v after %v", taken, at, last)
		}
		last = at
	}
	if last > 2*time.Hour {
		t.Errorf("it ends at %v", last)
	}
}

func FuzzParseLink(f *testing.F) {
	for _, s := range []string{"http://h:1/kitchen#k=AAECAwQFBgcICQoLDA0ODw", "https://[::1]/a/b#", "x", "http://u:p@h/k#k=%zz", "\x00://"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := parseLink(s)
		if err == nil && (signaling.CheckRoom(l.room) != nil || !strings.HasPrefix(l.server, "http")) {
			t.Errorf("%q gives %+v", s, l)
		}
		if _, secret, ok := strings.Cut(s, "#k="); ok && err != nil && len(secret) > 8 && strings.Contains(err.Error(), secret) {
			t.Errorf("the error holds the key: %v", err)
		}
	})
}
