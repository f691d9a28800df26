package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// What is measured here is what people have: the whole program in a process of
// its own, a real browser. Each benchmark takes its time once, whatever b.N.

const (
	benchBitrate = 1_500_000
	settle       = 4 * time.Second // for bit rates and buffers to find their place
	window       = 6 * time.Second // of a measurement
)

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// report takes the place of ns/op, which would say nothing.
func report(b *testing.B, value float64, unit string) {
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(value, unit)
}

// shareProcess runs `peercam share` in a process of its own.
func shareProcess(b *testing.B, stdin io.Reader, args ...string) *process {
	b.Helper()
	return spawn(b, stdin, append([]string{"share", "--room", "kitchen", "--listen", "127.0.0.1:0",
		"--key-file", filepath.Join(b.TempDir(), "key"), "--log-level", "warn"}, args...)...)
}

// BenchmarkFirstPicture is the time from the link being opened, in a browser
// that has never seen the page, to the first picture.
func BenchmarkFirstPicture(b *testing.B) {
	for _, camera := range []struct {
		name string
		args []string
	}{
		{"camera=open", []string{"--always"}},
		{"camera=closed", []string{"--linger", "10ms"}},
	} {
		b.Run(camera.name, func(b *testing.B) {
			p := shareProcess(b, nil, append(camera.args, "--camera", "test", "--mic", "test")...)
			var times []float64
			for range 7 {
				eventually(b, "nobody watches", func() bool { return p.metric("peercam_viewers") == 0 })
				if camera.name == "camera=closed" {
					eventually(b, "the camera is closed", func() bool { return p.metric("peercam_camera_open") == 0 })
				}
				v := open(b, p.first)
				v.until("probe.pictureAt > 0")
				times = append(times, js[float64](v, "probe.pictureAt"))
				// A page that is left while it loads may not get its goodbye out.
				js[chromedp.Void](v, "probe.pause(1000)")
				v.goTo("about:blank")
			}
			report(b, median(times), "ms-to-picture")
		})
	}
}

// BenchmarkOneViewer is what one viewer in a browser gets and costs, beside a
// call from Chromium to Chromium at the same size, rate and bit rate.
func BenchmarkOneViewer(b *testing.B) {
	p := shareProcess(b, film(b), "--camera", "-", "--mic", "none", "--bitrate", fmt.Sprint(benchBitrate))
	v := open(b, p.first)
	v.state("live")
	ours := measureView(b, v, p.cmd.Process.Pid)
	v.goTo("about:blank")
	report(b, ours.age, "age-p50-ms")
	report(b, ours.cpu, "cpu-%")
	report(b, ours.rss, "rss-MB")
	report(b, ours.fps, "fps")

	sender, viewer, pid := chromiumCall(b)
	theirs := measureView(b, viewer, pid)
	if width := js[int](viewer, "document.querySelector('video').videoWidth"); width != 1280 {
		b.Errorf("Chromium sent pictures %d pixels wide", width)
	}
	sender.goTo("about:blank")
	report(b, theirs.age, "chromium-age-p50-ms")
	report(b, theirs.cpu, "chromium-cpu-%")
	report(b, theirs.fps, "chromium-fps")
	report(b, ours.age/theirs.age, "age/chromium")
	report(b, ours.cpu/theirs.cpu, "cpu/chromium")
}

type viewing struct{ age, cpu, rss, fps float64 }

// measureView measures what a view shows, and what the processes from pid on
// downwards cost meanwhile.
func measureView(b *testing.B, v *view, pid int) viewing {
	v.until("document.querySelector('video')?.videoWidth > 0")
	js[chromedp.Void](v, "probe.pause(%d)", settle.Milliseconds())
	before, begun := costOf(b, pid), time.Now()
	ages := js[[]float64](v, "probe.ages(%d)", window.Milliseconds())
	after := costOf(b, pid)
	took := time.Since(begun)
	return viewing{
		age: median(ages), fps: float64(len(ages)) / took.Seconds(),
		cpu: percent(after.cpu-before.cpu, took), rss: after.rss,
	}
}

//go:embed testdata/call.js
var callScript string

// chromiumCall films in one Chromium and shows it in another. pid is the
// sender's.
func chromiumCall(b *testing.B) (sender, viewer *view, pid int) {
	ctx, stop, err := launch()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(stop)
	sender, viewer = openIn(b, ctx, "about:blank"), open(b, "about:blank")
	for _, v := range []*view{sender, viewer} {
		js[chromedp.Void](v, "%s; window.call = call", callScript)
	}
	offer := js[json.RawMessage](sender, "call.offer(%d)", benchBitrate)
	answer := js[json.RawMessage](viewer, "call.answer(%s)", offer)
	js[chromedp.Void](sender, "call.accept(%s)", answer)
	return sender, viewer, chromedp.FromContext(ctx).Browser.Process().Pid
}

// BenchmarkFurtherViewers is what each viewer after the first costs.
func BenchmarkFurtherViewers(b *testing.B) {
	const further = 40
	p := shareProcess(b, film(b), "--camera", "-", "--mic", "none", "--bitrate", fmt.Sprint(benchBitrate))
	measure := func() (u cost, bytes float64) {
		pause(settle)
		before, sent, begun := costOf(b, p.cmd.Process.Pid), p.metric("peercam_session_bytes_total"), time.Now()
		pause(window)
		after, took := costOf(b, p.cmd.Process.Pid), time.Since(begun)
		return cost{cpu: time.Duration(float64(after.cpu-before.cpu) / took.Seconds()), rss: after.rss},
			(p.metric("peercam_session_bytes_total") - sent) / took.Seconds()
	}
	startViewers(b, p, 1)
	one, _ := measure()
	startViewers(b, p, further)
	all, bytes := measure()
	report(b, percent(all.cpu-one.cpu, time.Second)/further, "cpu-%/viewer")
	report(b, (all.rss-one.rss)/further, "rss-MB/viewer")
	report(b, percent(one.cpu, time.Second), "cpu-%-with-one")
	report(b, one.rss, "rss-MB-with-one")
	report(b, bytes*8/1000/(further+1), "kbit/s/viewer")
}

// BenchmarkNobody is what the program costs after the last viewer has left.
func BenchmarkNobody(b *testing.B) {
	p := shareProcess(b, nil, "--camera", "test", "--mic", "test", "--linger", "100ms")
	startViewers(b, p, 1)()
	eventually(b, "the camera closes", func() bool { return p.metric("peercam_camera_open") == 0 && p.metric("peercam_viewers") == 0 })
	before, begun := costOf(b, p.cmd.Process.Pid), time.Now()
	pause(2 * window)
	after := costOf(b, p.cmd.Process.Pid)
	report(b, percent(after.cpu-before.cpu, time.Since(begun)), "cpu-%")
	report(b, after.rss, "rss-MB")
}

// pause lets time pass that is measured.
func pause(d time.Duration) { <-time.After(d) }

func percent(cpu, of time.Duration) float64 { return 100 * cpu.Seconds() / of.Seconds() }

// film is a live Y4M stream, 1280x720 at 30 frames a second: noise that drifts,
// and the barcode of the moment in which a frame is written.
func film(b testing.TB) io.Reader {
	out, in, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer in.Close()
		_, err := io.WriteString(in, "YUV4MPEG2 W1280 H720 F30:1 Ip A1:1 C420\n")
		f := newFilm()
		tick := time.NewTicker(time.Second / 30)
		defer tick.Stop()
		for n := 0; err == nil; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_, err = in.Write(f.frame(n, time.Now().UnixMilli()))
			}
		}
	}()
	b.Cleanup(func() {
		cancel()
		out.Close() // wakes the writer
		<-ended
	})
	return out
}
