package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	// execStart is how long a command may take to its first byte.
	execStart = 15 * time.Second
	// execGrace is how long a command may take to end when asked to.
	execGrace = time.Second
)

// process is a shell command with all that it started, and its output.
type process struct {
	name   string
	cmd    *exec.Cmd
	out    *os.File
	said   tail
	exited chan struct{} // when err is set
	err    error         // of Wait
}

// startProcess runs command in the shell, in a process group of its own.
func startProcess(command string) (*process, error) {
	p := &process{name: commandName(command), exited: make(chan struct{})}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	growPipe(out)
	p.out = out
	p.cmd = shell(command)
	p.cmd.Stdout, p.cmd.Stderr = in, &p.said
	p.cmd.WaitDelay = execGrace // for stderr that a stray child holds open
	err = p.cmd.Start()
	in.Close()
	if err != nil {
		out.Close()
		return nil, fmt.Errorf("%s: cannot start the shell: %w", p.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// stop ends the command and all that it started: politely, and after execGrace
// by force. drained is closed when whoever reads p.out has seen its end, which
// comes when the last process that holds it is gone.
func (p *process) stop(drained <-chan struct{}) {
	terminate(p.cmd)
	within(execGrace, drained, p.exited)
	kill(p.cmd)
	within(execGrace, drained) // but not for a process that left the group
	p.out.Close()
	<-drained
	<-p.exited
}

// within waits until all of those are closed, but no longer than limit.
func within(limit time.Duration, all ...<-chan struct{}) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for _, c := range all {
		select {
		case <-c:
		case <-timer.C:
			return
		}
	}
}

// failed explains why there is no more output: the command ended, or wrote
// what cannot be read.
func (p *process) failed(cause error) error {
	if cause != io.EOF {
		return &ExecError{p.name, cause, p.said.String()}
	}
	// The output is closed, so the end should be near.
	timer := time.NewTimer(execGrace)
	defer timer.Stop()
	why := "the command closed its output"
	select {
	case <-p.exited:
		why = "the command ended"
		if p.err != nil && !errors.Is(p.err, exec.ErrWaitDelay) {
			why += " (" + p.err.Error() + ")"
		}
	case <-timer.C:
	}
	return &ExecError{p.name, errors.New(why), p.said.String()}
}

// ExecError tells why a command gives no more pictures or sound.
type ExecError struct {
	// Name is the command's first word, as the rest may hold passwords.
	Name string
	// Err is what happened.
	Err error
	// Said is the last that it wrote to stderr.
	Said string
}

func (e *ExecError) Error() string {
	s := e.Name + ": " + e.Err.Error()
	if e.Said != "" {
		s += "; it said: " + e.Said
	}
	return s
}

func (e *ExecError) Unwrap() error { return e.Err }

// commandName is how a command is called in logs and to viewers: its first
// word without directories and without variables that are set for it.
func commandName(command string) string {
	for _, word := range strings.Fields(command) {
		if !strings.Contains(word, "=") {
			return "exec:" + filepath.Base(strings.Trim(word, `"'()`))
		}
	}
	return "exec:"
}

// tail keeps the last that was written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 1024

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if cut := len(t.buf) - tailSize; cut > 0 {
		t.buf = append(t.buf[:0], t.buf[cut:]...)
	}
	return len(b), nil
}

// String is the last few lines in one, without the passwords of URLs.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.FieldsFunc(strings.ToValidUTF8(string(t.buf), ""), func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) > 3 {
		lines = lines[len(lines)-3:]
	}
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return userInfo.ReplaceAllString(strings.Join(lines, " | "), "://***@")
}

var userInfo = regexp.MustCompile(`://[^/\s@]+@`)

// command is what exec: sources have in common.
type command struct {
	line string
	log  *slog.Logger
}

func (c command) String() string { return commandName(c.line) }

// runCommand starts a command and hands over what it writes, always the newest.
// The end of the command by itself is an error: whoever wants it again opens it
// again.
func runCommand[T piece](ctx context.Context, c command, open func(io.Reader) (stream[T], error), room int) (*live[T], Format, error) {
	p, err := startProcess(c.line)
	if err != nil {
		return nil, Format{}, err
	}
	var (
		l      = newLive[T](room)
		opened = make(chan opening, 1)
		ended  = make(chan struct{})
		stop   = make(chan struct{})
	)
	go func() {
		defer close(ended)
		s, err := open(p.out)
		if err != nil {
			opened <- opening{err: err}
			return
		}
		defer closeStream(s)
		opened <- opening{format: s.format()}
		err = pump(s, func() *live[T] { return l }, stop)
		if err == ErrClosed { // it may write while it ends
			_, _ = io.Copy(io.Discard, p.out)
		}
		l.end(p.failed(err))
	}()
	l.onClose = func() {
		close(stop)
		p.stop(ended)
		logDropped(c.log, p.name, l.dropped.Load())
	}
	format, err := awaitStart(ctx, p, opened)
	if err != nil {
		l.Close()
		return nil, Format{}, err
	}
	return l, format, nil
}

// opening is the outcome of reading a command's first bytes.
type opening struct {
	format Format
	err    error
}

func awaitStart(ctx context.Context, p *process, opened <-chan opening) (Format, error) {
	timer := time.NewTimer(execStart)
	defer timer.Stop()
	select {
	case o := <-opened:
		if o.err != nil {
			return Format{}, p.failed(o.err)
		}
		return o.format, nil
	case <-ctx.Done():
		return Format{}, p.failed(context.Cause(ctx))
	case <-timer.C:
		return Format{}, p.failed(fmt.Errorf("wrote nothing for %v", execStart))
	}
}
