package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercam/peercam/peer"
	"github.com/peercam/peercam/signaling"
)

type viewCommand struct {
	Link      string        `arg:"" help:"The link that peercam share printed, in quotes: with the part after #, which is the key."`
	Camera    string        `help:"Which camera of the room: its name, or a part of it. The default is the first." placeholder:"NAME"`
	Record    []string      `help:"Record as it comes, without transcoding: FILE.webm picture and sound, FILE.ivf the picture, FILE.ogg the sound; or - for WebM on stdout. May be repeated." placeholder:"FILE"`
	Y4M       string        `name:"y4m" env:"PEERCAM_Y4M" help:"Write the decoded picture as Y4M to a file, or - for stdout: peercam view --y4m - LINK | mpv -" placeholder:"FILE"`
	Size      size          `help:"Size of --y4m: pictures of another size are scaled to fit, with bars where the shape differs. The default is the camera's largest." placeholder:"WxH"`
	FPS       float64       `name:"fps" help:"Pictures a second of --y4m, which has a fixed rate: they are repeated or left out." default:"30"`
	Snapshot  string        `help:"Write the next picture to FILE.jpg, or - for stdout, and end, unless there is more to do." placeholder:"FILE"`
	Seconds   float64       `help:"End so long after the first picture." placeholder:"N"`
	Wait      time.Duration `help:"How long to wait for the first picture; 0 is for ever." default:"30s"`
	Stay      bool          `help:"When the camera is stopped, wait until it comes back, instead of ending."`
	MaxHeight int           `name:"max-height" help:"Ask for a picture no higher than this." placeholder:"PIXELS"`
	Saver     bool          `help:"Ask for the smallest picture, with fewer frames."`
	JSON      bool          `name:"json" help:"Print statistics to stdout once a second, one JSON object a line."`

	signalFlags
}

// Run watches until the camera is stopped, ctx is done or what was asked for is there.
func (c *viewCommand) Run(ctx context.Context, env environment, log *slog.Logger) error {
	if err := c.check(); err != nil {
		return err
	}
	link, err := parseLink(c.Link)
	if err != nil {
		return usage("%w", err)
	}
	dial, err := signaling.DialPinned(link.server, c.SignalFingerprint)
	if err != nil {
		return usage("the link: %w", err)
	}
	w := newWatcher(link, log)
	w.want, w.stay, w.patience = c.Camera, c.Stay, c.Wait
	w.view = peer.View{Saver: c.Saver, MaxHeight: c.MaxHeight}
	sink, err := c.outputs(env, w.largest, log)
	if err != nil {
		return err
	}
	w.sink = sink

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if c.Seconds > 0 {
		w.first = func() {
			time.AfterFunc(time.Duration(c.Seconds*float64(time.Second)), func() { cancel(errViewed) })
		}
	}
	client := &signaling.Client{Dial: dial, Join: w.join, Handle: w.handle, Log: log}
	w.send, w.joined = client.Send, client.Connected

	all, inner := errgroup.WithContext(ctx)
	all.Go(func() error { return client.Run(inner) })
	all.Go(func() error { return sink.run(inner) })
	all.Go(func() error { return w.run(inner) })
	all.Go(func() error { return c.showStatus(inner, env, w) })
	err = all.Wait()
	if cause := context.Cause(ctx); err == nil && cause != nil {
		err = cause
	}
	if errors.Is(err, errViewed) || errors.Is(err, context.Canceled) {
		err = nil
	}
	// What was recorded before an error is worth its end, too.
	return errors.Join(err, sink.close())
}

// errViewed ends a command that has done what it was asked for.
var errViewed = errors.New("done")

func (c *viewCommand) check() error {
	switch {
	case c.Seconds < 0:
		return usage("--seconds %g is out of range: it must be more than 0", c.Seconds)
	case c.Wait < 0:
		return usage("--wait %v is out of range: it must be 0 or more", c.Wait)
	case !(c.FPS >= 1 && c.FPS <= 120): // NaN is neither
		return usage("--fps %g is out of range: it must be from 1 to 120", c.FPS)
	case c.MaxHeight < 0 || c.MaxHeight > 8192:
		return usage("--max-height %d is out of range: it must be from 1 to 8192", c.MaxHeight)
	case c.MaxHeight > 0 && c.Saver:
		return usage("--max-height and --saver exclude each other: the saver takes the smallest picture anyway")
	case c.Size != (size{}) && c.Y4M == "":
		return usage("--size is of use with --y4m only: a recording has the sizes that the camera sends")
	}
	var stdout []string
	for _, f := range c.Record {
		if f == "-" {
			stdout = append(stdout, "--record -")
		}
	}
	for _, f := range []struct{ flag, file string }{{"--y4m -", c.Y4M}, {"--snapshot -", c.Snapshot}} {
		if f.file == "-" {
			stdout = append(stdout, f.flag)
		}
	}
	if c.JSON {
		stdout = append(stdout, "--json")
	}
	if len(stdout) > 1 {
		return usage("%s cannot share stdout: write all but one to a file", strings.Join(stdout, " and "))
	}
	return nil
}

// outputs makes what the flags ask for; largest tells the size of the camera's
// largest picture.
func (c *viewCommand) outputs(env environment, largest func() size, log *slog.Logger) (*sink, error) {
	s := &sink{queue: make(chan received, sinkQueue), log: log}
	fail := func(err error) (*sink, error) {
		return nil, errors.Join(usageError{err}, s.close())
	}
	for _, name := range c.Record {
		o, err := newRecording(name, env.stdout)
		if err != nil {
			return fail(fmt.Errorf("--record %s: %w", name, err))
		}
		s.outputs = append(s.outputs, o)
	}
	if c.Y4M != "" {
		o, err := newY4M(c.Y4M, env.stdout, c.Size, c.FPS, largest)
		if err != nil {
			return fail(fmt.Errorf("--y4m %s: %w", c.Y4M, err))
		}
		s.outputs = append(s.outputs, o)
	}
	if c.Snapshot != "" {
		o, err := newSnapshot(c.Snapshot, env.stdout)
		if err != nil {
			return fail(fmt.Errorf("--snapshot %s: %w", c.Snapshot, err))
		}
		o.last = len(s.outputs) == 0 && c.Seconds == 0
		s.outputs = append(s.outputs, o)
	}
	return s, nil
}
