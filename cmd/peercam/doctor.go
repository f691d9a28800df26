package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/pion/stun/v4"

	"github.com/peercam/peercam/capture"
)

// checkTime is the most that one check may take. All run at once, so that the
// whole command takes little more.
const checkTime = 7 * time.Second

// doctorCommand has share's flags, as far as they decide whether share works.
type doctorCommand struct {
	Camera string  `help:"What share would film." default:"auto" placeholder:"SOURCE"`
	Mic    string  `help:"What share would listen to." default:"auto" placeholder:"SOURCE"`
	Size   size    `help:"Size of the picture." default:"1280x720" placeholder:"WxH"`
	FPS    float64 `name:"fps" help:"Pictures a second." default:"30"`
	Listen string  `help:"Address of the built-in server." default:":8080" placeholder:"ADDR"`
	Signal string  `help:"The signaling server elsewhere, if share is to use one." placeholder:"ws://HOST:PORT"`
	Open   bool    `help:"Look for no key."`
	JSON   bool    `name:"json" help:"Print JSON."`

	keyFlags
	iceFlags
	signalFlags
}

// Run looks at all that share needs. The error, for exit code 1, tells that
// something stands in the way.
func (d *doctorCommand) Run(ctx context.Context, env environment, log *slog.Logger) error {
	if !(d.FPS >= 1 && d.FPS <= 120) { // NaN is neither
		return usage("--fps %g is out of range: it must be from 1 to 120", d.FPS)
	}
	if d.Signal == "" && d.SignalFingerprint != "" {
		return usage("--signal-fingerprint is of use with --signal only")
	}
	servers, err := d.natServers()
	if err != nil {
		return err
	}
	r := diagnosis{Version: version, System: runtime.GOOS + "/" + runtime.GOARCH}
	r.Checks = runChecks(ctx, checkTime, d.checks(servers, env, log))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if d.JSON {
		err = r.json(env.stdout)
	} else {
		err = r.text(env.stdout, isTerminal(env.stdout))
	}
	if problems, _ := r.count(); err == nil && problems > 0 {
		err = fmt.Errorf("%s in the way of sharing the camera", plural(problems, "problem"))
	}
	return err
}

// natServers are those to ask how the network looks from outside.
func (d *doctorCommand) natServers() (all []*stun.URI, err error) {
	source, err := d.source()
	if err != nil {
		return nil, err
	}
	servers, _ := source("doctor", time.Now())
	for _, s := range servers {
		for _, text := range s.URLs {
			u, err := stun.ParseURI(text)
			if err != nil {
				return nil, usage("--ice-server %q is no STUN or TURN URL (%w): write for instance stun:stun.example.org:3478", text, err)
			}
			u.Username, u.Password = s.Username, s.Credential
			all = append(all, u)
		}
	}
	return all, nil
}

// check is one thing to look at.
type check struct {
	name string
	run  func(context.Context) finding
}

func (d *doctorCommand) checks(servers []*stun.URI, env environment, log *slog.Logger) []check {
	// Both kinds come from one listing, which opens each device for a moment:
	// nothing else may have them open meanwhile.
	var devices []capture.Device
	var listing error
	listed := make(chan struct{})
	list := sync.OnceFunc(func() {
		devices, listing = capture.Devices(context.Background())
		close(listed)
	})
	wait := func(ctx context.Context) error {
		go list()
		select {
		case <-listed:
			return listing
		case <-ctx.Done():
			return fmt.Errorf("listing devices: %w", ctx.Err())
		}
	}
	// stdin is share's to read.
	o := capture.Options{Log: log, Stdin: strings.NewReader(""), Want: capture.Format{Width: d.Size.Width, Height: d.Size.Height, FPS: d.FPS}}
	all := []check{
		{"camera", func(ctx context.Context) finding {
			err := wait(ctx)
			return cameraFinding(d.Camera, o.Want, devices, err, func() trial { return tryCamera(ctx, d.Camera, o) })
		}},
		{"microphone", func(ctx context.Context) finding {
			err := wait(ctx)
			return microphoneFinding(d.Mic, devices, err, func() soundTrial { return tryMicrophone(ctx, d.Mic, o) })
		}},
		{"codecs", checkCodecs},
		{"speed", func(ctx context.Context) finding {
			m, err := measureSpeed(ctx, d.Size, d.FPS)
			return speedFinding(m, err, d.Size, d.FPS, runtime.GOMAXPROCS(0))
		}},
		{"key", func(context.Context) finding { return d.checkKey() }},
	}
	if d.Signal != "" {
		all = append(all, check{"server", func(ctx context.Context) finding { return checkServer(ctx, d.Signal, d.SignalFingerprint) }})
	} else {
		all = append(all, check{"port", func(context.Context) finding { return checkPort(d.Listen) }})
	}
	return append(all,
		check{"addresses", func(context.Context) finding { return addressesFinding(localAddresses(), ownAddress(), d.Listen) }},
		check{"outside", func(ctx context.Context) finding { return checkOutside(ctx, servers) }},
		check{"clock", checkClock},
	)
}

// runChecks runs all at once, each for at most limit, and returns their
// findings in order. A check that is stuck in a driver is left behind: the
// program ends soon.
func runChecks(ctx context.Context, limit time.Duration, checks []check) []finding {
	findings := make([]finding, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() {
			began := time.Now()
			// A check that heeds its context gets to tell what it was at.
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			done := make(chan finding, 1)
			go func() { done <- c.run(ctx) }()
			late := time.NewTimer(limit + time.Second)
			defer late.Stop()
			select {
			case findings[i] = <-done:
			case <-late.C:
				findings[i] = finding{Verdict: warning, Summary: fmt.Sprintf("no result within %v", limit),
					Remedy: "something in the system hangs: unplug and plug in what it is about, or restart the machine"}
			}
			findings[i].Name, findings[i].Took = c.name, time.Since(began).Round(time.Millisecond)
		})
	}
	all.Wait()
	return findings
}

// checkKey looks at the key file without making one.
func (d *doctorCommand) checkKey() finding {
	if d.Open {
		return finding{Verdict: warning, Summary: "--open: there is none, so whoever reaches the server may watch",
			Remedy: "leave --open out to have a key in the link"}
	}
	path := d.KeyFile
	if path == "" {
		var err error
		if path, err = keyPath(); err != nil {
			return finding{Verdict: problem, Summary: err.Error(), Remedy: "name a place with --key-file"}
		}
	}
	return keyFinding(filepath.Clean(path))
}
