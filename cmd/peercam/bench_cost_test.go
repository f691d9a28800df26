package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// cost is what processes have taken.
type cost struct {
	cpu time.Duration
	rss float64 // MB
}

// costOf adds up a process and all that it started.
func costOf(b *testing.B, pid int) cost {
	b.Helper()
	if runtime.GOOS != "linux" {
		b.Skip("LOUD: not measured, the cost of other processes is read from Linux' /proc")
	}
	children := map[string][]string{}
	stat := map[string][]string{}
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		// proc(5): the name, in brackets, may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		id := filepath.Base(filepath.Dir(path))
		stat[id] = fields
		children[fields[1]] = append(children[fields[1]], id)
	}
	var u cost
	for ids := []string{strconv.Itoa(pid)}; len(ids) > 0; ids = ids[1:] {
		fields := stat[ids[0]]
		if fields == nil {
			b.Fatalf("process %s has ended", ids[0])
		}
		number := func(i int) float64 {
			n, _ := strconv.ParseFloat(fields[i], 64)
			return n
		}
		const tick = time.Second / 100 // of user and system time, on every Linux
		u.cpu += time.Duration(number(11)+number(12)) * tick
		u.rss += number(21) * float64(os.Getpagesize()) / 1e6
		ids = append(ids, children[ids[0]]...)
	}
	return u
}

// viewersVariable tells this program to be the viewers of a benchmark: how
// many, where, and with which token.
const viewersVariable = "PEERCAM_BENCH_VIEWERS"

// startViewers starts WHEP viewers in a process of their own, so that they do
// not count, and returns when all have a picture. stop is called in the end, if
// not before.
func startViewers(b *testing.B, p *process, n int) (stop func()) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s", viewersVariable, n, p.at("/whep/kitchen"), p.token()))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Errorf("the viewers: %v", err)
		}
	})
	b.Cleanup(stop)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.Fatalf("the viewers said %q: %v", line, err)
	}
	return stop
}

// viewersMain is the process that startViewers starts; in others it returns.
func viewersMain() {
	var n int
	var url, token string
	if _, err := fmt.Sscan(os.Getenv(viewersVariable), &n, &url, &token); err != nil {
		return
	}
	if err := watchAll(n, url, token); err != nil {
		fmt.Fprintln(os.Stderr, "viewers:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// watchAll watches until stdin ends, and says when all have a picture.
func watchAll(n int, url, token string) error {
	var pictures sync.WaitGroup
	for range n {
		pc, err := receiver()
		if err != nil {
			return err
		}
		defer pc.Close()
		pictures.Add(1)
		first := sync.OnceFunc(pictures.Done)
		pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
			packet := make([]byte, 1500)
			for {
				if _, _, err := track.Read(packet); err != nil {
					return
				}
				if track.Kind() == webrtc.RTPCodecTypeVideo {
					first()
				}
			}
		})
		resp, body, err := whep(pc, url, "Authorization: Bearer "+token)
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusCreated {
			return fmt.Errorf("POST %s: %s: %s", url, resp.Status, body)
		}
		defer fetch(http.MethodDelete, strings.TrimSuffix(url, "/whep/kitchen")+resp.Header.Get("Location"), "")
	}
	pictures.Wait()
	fmt.Println("all have a picture")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}
