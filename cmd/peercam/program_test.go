package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercam/peercam/signaling"
)

// site is what a running peercam can be reached at.
type site struct {
	t     testing.TB
	first string // line of stdout: the link
	key   string // what follows #k= in it
}

// program is peercam, run within this process.
type program struct {
	site
	stdout *transcript
	stderr *transcript
	cancel context.CancelFunc
	ended  chan struct{}
	code   int // once ended
}

// transcript keeps what was written.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// small keeps pictures cheap: the tests are about the program, not the codec.
var small = []string{"--size", "640x360", "--fps", "15", "--bitrate", "600k"}

// share starts `peercam share` with the test source, a server on a free port
// and a key of its own; args come last and so win.
func share(t testing.TB, args ...string) *program {
	t.Helper()
	own := []string{"share", "--camera", "test", "--mic", "test", "--room", "kitchen", "--listen", "127.0.0.1:0"}
	if !slices.Contains(args, "--open") {
		own = append(own, "--key-file", filepath.Join(t.TempDir(), "key"))
	}
	return start(t, environment{}, slices.Concat(own, small, args)...)
}

// serve starts `peercam serve`.
func serve(t testing.TB, addr string) *program {
	t.Helper()
	return start(t, environment{}, "serve", "--listen", addr)
}

// shareOn shares a camera on a signaling server elsewhere.
func shareOn(t testing.TB, server string, args ...string) *program {
	t.Helper()
	return share(t, append([]string{"--signal", server}, args...)...)
}

// start runs the program and waits for its link; env holds what the test wants
// to differ. Its end is awaited, and what it said is searched for secrets, when
// the test ends.
func start(t testing.TB, env environment, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	p := &program{site: site{t: t}, stdout: &transcript{}, stderr: &transcript{}, cancel: cancel, ended: make(chan struct{})}
	env.stdout = in
	if env.stderr == nil {
		env.stderr = p.stderr
	}
	lines := make(chan string, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		r := bufio.NewReader(io.TeeReader(out, p.stdout))
		line, _ := r.ReadString('\n')
		lines <- strings.TrimSpace(line)
		_, _ = io.Copy(io.Discard, r)
	})
	go func() {
		defer close(p.ended)
		p.code = run(ctx, append(args, "--log-level", "debug"), env)
		in.Close()
		reading.Wait()
	}()
	t.Cleanup(p.check)
	select {
	case p.first = <-lines:
	case <-time.After(patience):
	}
	if !strings.HasPrefix(p.first, "http") {
		t.Fatalf("peercam %q printed %q instead of a link", args, p.first)
	}
	_, p.key, _ = strings.Cut(p.first, "#k=")
	return p
}

// stop ends the program as SIGTERM does, and waits for it.
func (p *program) stop() {
	p.t.Helper()
	p.cancel()
	if code := p.wait(); code != exitDone {
		p.t.Errorf("the program ended with code %d", code)
	}
}

// wait waits for the program's end.
func (p *program) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.code
	case <-time.After(patience):
		p.t.Fatalf("the program does not end; it said:\n%s", p.stderr)
		return -1
	}
}

// check ends the program if it still runs, and looks over what it said.
func (p *program) check() {
	p.cancel()
	<-p.ended
	said := p.stderr.String()
	if p.t.Failed() {
		p.t.Logf("stderr of %s:\n%s", p.first, said)
	}
	if got := p.stdout.String(); got != p.first+"\n" {
		p.t.Errorf("stdout holds %q: it must hold the link and nothing else", got)
	}
	if p.key != "" && (strings.Contains(said, p.key) || strings.Contains(said, p.token())) {
		p.t.Error("the logs hold the key or the room token")
	}
	if strings.Contains(said, "panic") {
		p.t.Error("something panicked")
	}
}

// at is a URL of the program's own server.
func (s *site) at(path string) string {
	u, err := url.Parse(s.first)
	if err != nil {
		s.t.Fatal(err)
	}
	return u.Scheme + "://" + u.Host + path
}

// addr is the address that the program's own server listens on.
func (s *site) addr() string {
	_, addr, _ := strings.Cut(s.at(""), "://")
	return addr
}

// ws is the program as a signaling server for others.
func (s *site) ws() string { return "ws" + strings.TrimPrefix(s.at(""), "http") }

func (s *site) secret() signaling.Key {
	k, err := signaling.ParseKey(s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return k
}

func (s *site) token() string { return s.secret().Token() }

// logged waits until the program has said text.
func (p *program) logged(text string) {
	p.t.Helper()
	eventually(p.t, "the log says "+text, func() bool { return strings.Contains(p.stderr.String(), text) })
}

// client gives up where a person would.
var client = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// fetch does an HTTP request; header is "Name: value" lines.
func fetch(method, url, body string, header ...string) (*http.Response, string, error) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	for _, h := range header {
		if h == "" {
			continue
		}
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// request is a fetch that must be answered.
func request(t testing.TB, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	resp, b, err := fetch(method, url, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return resp, b
}

// metrics is /metrics, with the samples of each metric added us.
func (s *site) metrics() map[string]float64 {
	s.t.Helper()
	_, text := request(s.t, "GET", s.at("/metrics"), "")
	samples, err := parseMetrics(text)
	if err != nil {
		s.t.Fatal(err)
	}
	sums := map[string]float64{}
	for name, all := range samples {
		for _, v := range all {
			sums[name] += v
		}
	}
	return sums
}

func (s *site) metric(name string) float64 {
	s.t.Helper()
	return s.metrics()[name]
}

// eventually polls what cannot be waited for otherwise.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// freeAddr is an address that nobody listens on just now.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// runToEnd runs a command line that is to end by itself.
func runToEnd(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, log transcript
	code = run(ctx, args, environment{stdin: strings.NewReader(""), stdout: &out, stderr: &log})
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("peercam %q did not end by itself", args)
	}
	return code, out.String(), log.String()
}
