package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/peercam/peercam/encode"
	"github.com/peercam/peercam/peer"
	"github.com/peercam/peercam/signaling"
)

type shareCommand struct {
	Room    string `help:"Name of the room: the last part of the link. The default is this machine's name." placeholder:"NAME"`
	Listen  string `help:"Address of the built-in server." default:":8080" placeholder:"ADDR"`
	Signal  string `help:"Use a signaling server elsewhere instead of the built-in one." placeholder:"ws://HOST:PORT"`
	Open    bool   `help:"No key: everybody who reaches the server may watch."`
	Remote  *bool  `help:"Let viewers set up the camera: zoom, brightness, how the picture is turned, privacy. The default is yes, but no with --open." negatable:""`
	Viewers int    `help:"Most viewers at a time." default:"100" placeholder:"N"`

	sourceFlags
	keyFlags
	networkFlags
	whipFlags
	signalFlags
	frontFlags
}

// Run shares until ctx is done or the source has ended.
func (s *shareCommand) Run(ctx context.Context, env environment, log *slog.Logger) error {
	if s.Room == "" {
		s.Room = defaultRoom()
	}
	if err := signaling.CheckRoom(s.Room); err != nil {
		return usage("--room %q: %w", s.Room, err)
	}
	if err := s.sourceFlags.check(); err != nil {
		return err
	}
	if s.Viewers < 1 {
		return usage("--viewers %d is out of range: it must be 1 or more", s.Viewers)
	}
	ice, err := s.source()
	if err != nil {
		return err
	}
	key, err := s.loadKey()
	if err != nil {
		return err
	}
	src, err := s.openSources(ctx, env, log)
	if err != nil {
		return err
	}
	defer src.close()
	via, err := s.signaling(log)
	if err != nil {
		return err
	}
	defer via.close()

	network, err := s.network(log)
	if err != nil {
		return err
	}
	defer network.Close()

	ladder := encode.NewLadder(encode.LadderConfig{
		Source: src.video, Want: s.format(), Bitrate: int(s.Bitrate), Linger: s.Linger, Always: s.Always, Log: log,
	})
	var voice *encode.Voice
	helpers := &iceHelpers{own: ice}
	config := peer.Config{Video: ladder, ICEServers: helpers.list, MaxBitrate: int(s.Bitrate), MaxSessions: s.Viewers, Network: network, Log: log}
	if src.audio != nil {
		voice = encode.NewVoice(encode.VoiceConfig{Source: src.audio, Linger: s.Linger, Always: s.Always, Log: log})
		config.Audio = voice
	}
	setup := newRemote(src, s.Privacy, log)
	if s.allowsRemote() {
		config.Remote = setup
	}
	pub, err := peer.NewPublisher(config)
	if err != nil {
		return err
	}
	servers, err := s.whips(pub)
	if err != nil {
		return err
	}
	cam := newCamera(s.Room, src.video.String(), key, pub, log)
	if via.front != nil {
		cam.relays = via.front.relays
	}
	client := &signaling.Client{Dial: via.dial, Join: cam.join, Handle: cam.handle, Log: log}
	if s.Signal != "" { // the built-in server's relays lead here anyway
		client.Handle = helpers.hear(cam.handle)
	}
	cam.send = client.Send

	watch := &monitor{room: s.Room, src: src, ladder: ladder, voice: voice, pub: pub, whips: servers, token: token(key), refresh: make(chan struct{}, 1)}
	link := via.link(s.Room, key)
	fmt.Fprintln(env.stdout, link)
	if s.Open {
		log.Warn("--open: there is no key, so whoever reaches the server may watch and listen, and the server could pass itself off as this camera")
	}
	showLink(env.stderr, link)
	keys := terminalKeys(env.stdin, env.stderr)
	if keys != nil && s.Camera != "-" && s.Mic != "-" {
		showKeys(env.stderr, src.audio != nil)
	} else {
		keys = nil // what is typed there is none
	}

	// Two stages, so that goodbyes still find a way out: media first, then
	// signaling.
	out, stopSignaling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSignaling()
	signalingDone, outCtx := errgroup.WithContext(out)
	signalingDone.Go(func() error { return client.Run(outCtx) })
	signalingDone.Go(func() error { return via.run(outCtx, watch) })

	media, mediaCtx := errgroup.WithContext(ctx)
	media.Go(func() error { return pub.Run(mediaCtx) })
	media.Go(func() error { return servers.run(mediaCtx) })
	media.Go(func() error { return ladder.Run(mediaCtx, pub.Video) })
	if voice != nil {
		media.Go(func() error { return ended("sound", voice.Run(mediaCtx, pub.Audio), log) })
	}
	media.Go(func() error {
		network.Run(mediaCtx, func(m peer.Move) {
			client.Moved(m.Lost) // first: the way to ask for anything may be gone
			pub.Moved(m)
		})
		return nil
	})
	media.Go(func() error { return showStatus(mediaCtx, env.stderr, watch) })
	if keys != nil {
		media.Go(func() error { return listenForKeys(mediaCtx, keys, setup, watch.changed) })
	}
	media.Go(func() error { // a server that fails takes the program down
		select {
		case <-mediaCtx.Done():
			return nil
		case <-outCtx.Done():
			return context.Cause(outCtx)
		}
	})
	err = media.Wait()
	cam.wait()
	stopSignaling()
	if err2 := signalingDone.Wait(); err == nil || errors.Is(err, context.Canceled) {
		err = err2
	}
	if errors.Is(err, encode.ErrEnded) {
		log.Info("the source has ended", "source", src.video.String())
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// ended lets the picture go on when the sound has come to its natural end.
func ended(what string, err error, log *slog.Logger) error {
	if errors.Is(err, encode.ErrEnded) {
		log.Info("the source has ended", "source", what)
		return nil
	}
	return err
}

// allowsRemote tells whether viewers may set up the camera. In an open room
// they may be anybody.
func (s *shareCommand) allowsRemote() bool {
	if s.Remote != nil {
		return *s.Remote
	}
	return !s.Open
}

func (s *shareCommand) loadKey() (*signaling.Key, error) {
	if s.Open {
		if s.KeyFile != "" {
			return nil, usage("--open and --key-file exclude each other: an open room has no key")
		}
		return nil, nil
	}
	key, err := loadKey(s.KeyFile)
	if err != nil {
		return nil, err
	}
	return &key, nil
}

func token(key *signaling.Key) string {
	if key == nil {
		return ""
	}
	return key.Token()
}

// defaultRoom is this machine's name, as far as a room can have it.
func defaultRoom() string {
	name, _ := os.Hostname()
	name, _, _ = strings.Cut(name, ".")
	if signaling.CheckRoom(name) != nil {
		return "camera"
	}
	return name
}
