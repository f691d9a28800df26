package capture

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// After a Close nothing that the command started is left, not even what
// ignores the polite request.
func TestExecLeavesNothingBehind(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("NOT TESTED: needs /proc to see processes")
	}
	pids := filepath.Join(t.TempDir(), "pids")
	clip := writeFile(t, "clip.y4m", y4mFile64(t))
	src, err := ParseVideo(fmt.Sprintf("exec:echo $$ >%[1]s; (trap '' TERM; echo $(sh -c 'echo $PPID') >>%[1]s; cat %[2]s; while :; do sleep 1; done) & wait", pids, clip), Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := src.Open(t.Context(), Format{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(pids)
	if err != nil || len(strings.Fields(string(b))) != 2 {
		t.Fatalf("pids %q, %v", b, err)
	}
	r.Close()
	for _, pid := range strings.Fields(string(b)) {
		// It is killed by now, but who adopted it may take a moment to reap it.
		for end := time.Now().Add(5 * time.Second); alive(pid); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("process %s is left", pid)
			}
		}
	}
}

// alive tells whether a process runs; a zombie does not.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ") && !strings.Contains(string(stat), ") X ")
}

// A command's own end is an error that says how it ended, after all frames.
func TestExecEnds(t *testing.T) {
	clip := writeFile(t, "clip.y4m", y4mFile64(t))
	for end, want := range map[string]string{"exit 0": "the command ended", "echo oops >&2; exit 7": "ended (exit status 7); it said: oops"} {
		src, err := ParseVideo("exec:cat "+clip+"; "+end, Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := src.Open(t.Context(), Format{})
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = r.Read()
		}
		if !strings.Contains(err.Error(), "exec:cat") || !strings.Contains(err.Error(), want) || errors.Is(err, io.EOF) {
			t.Errorf("%s: error %q, want %q", end, err, want)
		}
		r.Close()
	}
}

func TestCommandName(t *testing.T) {
	for command, want := range map[string]string{
		"ffmpeg -i rtsp://u:p@h -": "exec:ffmpeg",
		"/usr/bin/ffmpeg -":        "exec:ffmpeg",
		"TOKEN=secret ./cam.sh":    "exec:cam.sh",
		"(sleep 1; cat)":           "exec:sleep",
	} {
		if got := commandName(command); got != want {
			t.Errorf("%q is called %q, want %q", command, got, want)
		}
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var w tail
	for i := range 10000 {
		fmt.Fprintf(&w, "line %d\n", i)
	}
	if got := w.String(); got != "line 9997 | line 9998 | line 9999" || len(w.buf) > tailSize {
		t.Errorf("kept %q in %d bytes", got, len(w.buf))
	}
}

// What nobody watches is thrown away; who comes later sees what is new, and
// the end is an end for everybody.
func TestStdinIsNeverStale(t *testing.T) {
	in, w := io.Pipe()
	src, err := ParseVideo("-", Options{Stdin: in})
	if err != nil {
		t.Fatal(err)
	}
	defer src.(io.Closer).Close()
	frame := func(luma byte) string {
		return "FRAME\n" + strings.Repeat(string([]byte{luma}), 4) + "\x80\x80"
	}
	write := func(s string) {
		t.Helper()
		if _, err := io.WriteString(w, s); err != nil {
			t.Fatal(err)
		}
	}
	write("YUV4MPEG2 W2 H2 F30:1\n")
	for i := range 10 { // a pipe without room: written is read
		write(frame(byte(i)))
	}
	for pass := byte(0); pass < 2; pass++ {
		r, err := src.Open(t.Context(), Format{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := src.Open(t.Context(), Format{}); err == nil {
			t.Error("opened twice at once")
		}
		write(frame(100 + pass))
		f, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if f.Y[0] == 9 || f.Y[0] == 50 { // it was on its way when Open was called
			f.Release()
			if f, err = r.Read(); err != nil {
				t.Fatal(err)
			}
		}
		if f.Y[0] != 100+pass {
			t.Errorf("saw frame %d, want %d", f.Y[0], 100+pass)
		}
		f.Release()
		r.Close()
		write(frame(50))
	}
	r, err := src.Open(t.Context(), Format{})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	f, err := r.Read()
	if err == nil { // it was on its way when Open was called
		f.Release()
		_, err = r.Read()
	}
	if err != io.EOF {
		t.Errorf("at the end: %v, want EOF", err)
	}
	r.Close()
	if _, err := src.Open(t.Context(), Format{}); !errors.Is(err, io.EOF) {
		t.Errorf("Open after the end: %v, want EOF", err)
	}
}

func TestStdinEmpty(t *testing.T) {
	src, err := ParseVideo("-", Options{Stdin: strings.NewReader("")})
	if err != nil {
		t.Fatal(err)
	}
	defer src.(io.Closer).Close()
	if _, err := src.Open(t.Context(), Format{}); !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "stdin: ended before") {
		t.Errorf("Open: %v", err)
	}
}

// A full queue drops the oldest, counts it, and gives what is left before the
// end.
func TestLiveDropsTheOldest(t *testing.T) {
	l := newLive[*Frame](1)
	l.onClose = func() {}
	var p framePool
	frames := []*Frame{p.get(2, 2), p.get(2, 2), p.get(2, 2)}
	for _, f := range frames {
		l.put(f)
	}
	l.end(io.EOF)
	if got, err := l.next(); got != frames[2] || err != nil {
		t.Errorf("got another frame than the newest, %v", err)
	}
	if _, err := l.next(); err != io.EOF {
		t.Errorf("after the last: %v, want EOF", err)
	}
	if n := l.dropped.Load(); n != 2 {
		t.Errorf("counted %d dropped, want 2", n)
	}
	if len(p.free) != 2 {
		t.Errorf("%d dropped frames were recycled, want 2", len(p.free))
	}
}

// A film piped in is slowed down to its rate; a camera never is.
func TestMeter(t *testing.T) {
	const period = time.Second / 30
	t.Run("film", func(t *testing.T) {
		var m meter
		start := time.Now()
		now := start
		for range 300 {
			now = now.Add(m.wait(now, period) + time.Millisecond)
		}
		if took := now.Sub(start); took < 8500*time.Millisecond || took > 9500*time.Millisecond {
			t.Errorf("10 s of film took %v, want them less the second of credit", took)
		}
	})
	t.Run("camera", func(t *testing.T) {
		var m meter
		now := time.Now()
		for i := range 100_000 {
			now = now.Add(period - period/50) // a clock that is 2 % fast
			if i%1000 == 999 {
				now = now.Add(5 * time.Second) // a pause, then all at once
				for range 150 {
					if d := m.wait(now, period); d != 0 {
						t.Fatalf("frame %d had to wait %v after a pause", i, d)
					}
				}
			}
			if d := m.wait(now, period); d != 0 {
				t.Fatalf("frame %d had to wait %v", i, d)
			}
		}
	})
}

func TestTicksDoNotDrift(t *testing.T) {
	year := int64(365 * 86400)
	if got := ticks(year*30000/1001, 30000, 1001); got.Round(time.Second) != time.Duration(year)*time.Second {
		t.Errorf("a year of 29.97 frames a second lasts %v", got)
	}
}
