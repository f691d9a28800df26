package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/pion/webrtc/v4"
	"golang.org/x/sync/errgroup"

	"github.com/peercam/peercam/encode"
	"github.com/peercam/peercam/peer"
	"github.com/peercam/peercam/signaling"
)

type pasteCommand struct {
	Offer    bool          `help:"Print an offer and take the answer, instead of the other way round."`
	Form     pasteForm     `help:"How texts are printed: short, json as a browser's console has it, or sdp. The default is how they were pasted." enum:"short,json,sdp," default:""`
	Page     string        `help:"Write the viewer's page to FILE.html, or - for stdout, and end: it can be opened from a disk, and sent to whom is to watch." placeholder:"FILE"`
	Patience time.Duration `help:"How long the other side may take to paste." default:"30m"`
	Viewers  int           `help:"Most viewers at a time." default:"16" placeholder:"N"`

	sourceFlags
	networkFlags
	iceFlags
}

const (
	// pasteGather is how long is waited for our public address: nobody can be told
	// of it later.
	pasteGather = 3 * time.Second
	// pasteChecks is how often a way is tried before it counts as none: the other
	// side may need minutes until it tries.
	pasteChecks = 1 << 15
)

// Run shares with whom texts are exchanged by hand, until ctx is done, the
// source has ended, or stdin has and nobody watches.
func (p *pasteCommand) Run(ctx context.Context, env environment, log *slog.Logger) error {
	if p.Page != "" {
		return p.writePage(env.stdout)
	}
	if err := p.check(); err != nil {
		return err
	}
	ice, err := p.source()
	if err != nil {
		return err
	}
	src, err := p.openSources(ctx, env, log)
	if err != nil {
		return err
	}
	defer src.close()
	network, err := p.network(log)
	if err != nil {
		return err
	}
	defer network.Close()
	ladder := encode.NewLadder(encode.LadderConfig{
		Source: src.video, Want: p.format(), Bitrate: int(p.Bitrate), Linger: p.Linger, Always: p.Always, Log: log,
	})
	d := newDialogue(p.Offer, p.Form, env, log)
	config := peer.Config{
		Video: ladder, ICEServers: (&iceHelpers{own: ice}).list, MaxBitrate: int(p.Bitrate), MaxSessions: p.Viewers,
		Patience: p.Patience, Chat: d.hear, Network: network, Log: log,
		Settings: func(s *webrtc.SettingEngine) {
			s.SetICETimeouts(5*time.Second, p.Patience, 2*time.Second)
			s.SetICEMaxBindingRequests(pasteChecks)
		},
	}
	var voice *encode.Voice
	if src.audio != nil {
		voice = encode.NewVoice(encode.VoiceConfig{Source: src.audio, Linger: p.Linger, Always: p.Always, Log: log})
		config.Audio = voice
	}
	if d.pub, err = peer.NewPublisher(config); err != nil {
		return err
	}
	all, inner := errgroup.WithContext(ctx)
	all.Go(func() error { return d.pub.Run(inner) })
	all.Go(func() error { return ladder.Run(inner, d.pub.Video) })
	if voice != nil {
		all.Go(func() error { return ended("sound", voice.Run(inner, d.pub.Audio), log) })
	}
	all.Go(func() error {
		network.Run(inner, d.pub.Moved)
		return nil
	})
	all.Go(func() error { return d.run(inner) })
	err = all.Wait()
	switch {
	case errors.Is(err, encode.ErrEnded):
		log.Info("the source has ended", "source", src.video.String())
		return nil
	case errors.Is(err, errPasted), errors.Is(err, context.Canceled):
		return nil
	}
	return err
}

func (p *pasteCommand) check() error {
	if p.Camera == "-" {
		return usage("--camera - reads stdin, which is where texts are pasted: give the source by exec: or file:")
	}
	if p.Viewers < 1 {
		return usage("--viewers %d is out of range: it must be 1 or more", p.Viewers)
	}
	if p.Patience < time.Second || p.Patience > 24*time.Hour {
		return usage("--patience %v is out of range: it must be from 1s to 24h", p.Patience)
	}
	return p.sourceFlags.check()
}

func (p *pasteCommand) writePage(stdout io.Writer) error {
	page := signaling.PastePage()
	if p.Page == "-" {
		_, err := stdout.Write(page)
		return err
	}
	if err := os.WriteFile(p.Page, page, 0o644); err != nil { //nolint:gosec // for others to read
		return fmt.Errorf("--page: %w", err)
	}
	return nil
}
