package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/peercam/peercam/encode"
)

// Config says what a Publisher sends and how.
type Config struct {
	Video VideoEncoder
	// Audio is nil for a camera without sound.
	Audio AudioEncoder
	// ICEServers are asked for our public address and for relays.
	ICEServers []webrtc.ICEServer
	// MinBitrate and MaxBitrate bound the video encoder, in bit/s; zero means
	// 150 kbit/s and 2.5 Mbit/s.
	MinBitrate, MaxBitrate int
	// MaxSessions is the most viewers at a time; zero means 100.
	MaxSessions int
	// Settings adjusts pion's engine, for a virtual network in tests.
	Settings func(*webrtc.SettingEngine)
	Log      *slog.Logger
}

const (
	audioBitrate = 40_000 // what sound takes from a link, with its headers
	startBitrate = 1_000_000
)

// Publisher sends one camera to its viewers.
type Publisher struct {
	c     Config
	clock mediaClock
	cname string
	cert  webrtc.Certificate

	mu       sync.Mutex
	sessions map[string]*Session
	closed   bool
	running  sync.WaitGroup
	losses   map[*Session]int
	keys     keyThrottle
	rate     int

	handshake time.Duration // how long a viewer may take to connect

	list   atomic.Pointer[[]*Session] // of sessions, replaced whole
	ctx    context.Context            // ends every session
	cancel context.CancelFunc
}

// NewPublisher makes the DTLS certificate that all sessions share.
func NewPublisher(c Config) (*Publisher, error) {
	if c.MinBitrate == 0 {
		c.MinBitrate = 150_000
	}
	if c.MaxBitrate == 0 {
		c.MaxBitrate = 2_500_000
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = 100
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the DTLS key: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("making the DTLS certificate: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Publisher{
		c: c, clock: mediaClock{epoch: time.Now()}, cert: *cert, cname: crand.Text(),
		sessions: map[string]*Session{}, losses: map[*Session]int{}, ctx: ctx, cancel: cancel,
		rate: min(startBitrate, c.MaxBitrate), handshake: handshakeTime,
	}
	p.list.Store(&[]*Session{})
	return p, nil
}

// Run keeps the sessions until ctx is done, then says goodbye to every viewer
// and returns when all have ended.
func (p *Publisher) Run(ctx context.Context) error {
	<-ctx.Done()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.running.Wait()
	return nil
}

// Video hands a frame to every session. It never blocks.
func (p *Publisher) Video(f *encode.Frame) {
	now := time.Now()
	p.mu.Lock()
	if f.Key {
		p.keys.last, p.keys.pending = now, false // who asked has it now
	}
	ask := p.keys.due(now)
	p.mu.Unlock()
	if ask {
		p.c.Video.KeyFrame(f.Rung)
	}
	for _, s := range *p.list.Load() {
		s.offerFrame(f)
	}
}

// Audio hands a packet to every session. It never blocks.
func (p *Publisher) Audio(f *encode.AudioFrame) {
	for _, s := range *p.list.Load() {
		s.offerAudio(f)
	}
}

// Viewers is the number of sessions.
func (p *Publisher) Viewers() int { return len(*p.list.Load()) }

// VideoRate is the bit rate asked of the encoder, in bit/s.
func (p *Publisher) VideoRate() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rate
}

// Has tells whether a session of that id runs.
func (p *Publisher) Has(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions[id] != nil
}

// Answer makes a session for a viewer's offer and returns the answer's SDP;
// for an id that runs it renegotiates or restarts ICE. With trickle false the
// answer holds all candidates. Errors wrap ErrBadOffer, ErrBusy or ErrClosed
// where they are not the network's.
//
// The caller has checked that the viewer may watch: from here on candidates
// are revealed and the camera opens.
func (p *Publisher) Answer(ctx context.Context, id, offer string, trickle bool, signal Signal) (string, error) {
	audio, err := checkOffer(offer)
	if err != nil {
		return "", err
	}
	s, isNew, err := p.session(id, audio, signal)
	if err != nil {
		return "", err
	}
	answer, err := s.answer(ctx, offer, trickle)
	if err != nil && isNew {
		s.end("bad-offer", err.Error())
	}
	return answer, err
}

// Candidate adds a viewer's candidate; an empty one says that there are no more.
func (p *Publisher) Candidate(id string, c webrtc.ICECandidateInit) error {
	p.mu.Lock()
	s := p.sessions[id]
	p.mu.Unlock()
	if s == nil {
		return ErrNoSession
	}
	if err := s.pc.AddICECandidate(c); err != nil {
		return fmt.Errorf("candidate %q: %w", c.Candidate, err)
	}
	return nil
}

// Bye ends a session because its viewer left.
func (p *Publisher) Bye(id string) {
	p.mu.Lock()
	s := p.sessions[id]
	p.mu.Unlock()
	if s != nil {
		s.end("left", "the viewer went away")
	}
}

func (p *Publisher) session(id string, audio bool, signal Signal) (*Session, bool, error) {
	p.mu.Lock()
	s, closed, full := p.sessions[id], p.closed, len(p.sessions) >= p.c.MaxSessions
	p.mu.Unlock()
	switch {
	case closed:
		return nil, false, ErrClosed
	case s != nil:
		return s, false, nil
	case full:
		return nil, false, p.busy()
	}
	s, err := p.newSession(id, audio, signal)
	if err != nil {
		return nil, false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch { // a hundred may have come this far at once
	case p.closed || p.sessions[id] != nil:
		err = ErrClosed
	case len(p.sessions) >= p.c.MaxSessions:
		err = p.busy()
	}
	if err != nil {
		return nil, false, errors.Join(err, s.pc.Close())
	}
	p.sessions[id] = s
	p.changed()
	p.running.Add(1)
	go func() {
		defer p.running.Done()
		s.run(p.ctx)
	}()
	return s, true, nil
}

func (p *Publisher) busy() error {
	return fmt.Errorf("%w: %d are watching already", ErrBusy, p.c.MaxSessions)
}

// changed publishes the set of sessions and what it demands; p.mu is held.
func (p *Publisher) changed() {
	list := make([]*Session, 0, len(p.sessions))
	for _, s := range p.sessions {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *Session) int { return a.started.Compare(b.started) })
	p.list.Store(&list)
	var want uint32
	sound := false
	for _, s := range list {
		if s.connected.Load() {
			want |= 1
		}
		sound = sound || s.audio != nil
	}
	if len(list) == 0 {
		p.rate = min(startBitrate, p.c.MaxBitrate) // what the next one begins with
		p.keys = keyThrottle{}
	} else if len(list) == 1 {
		p.c.Video.SetBitrate(0, p.rate)
	}
	p.c.Video.Expect(len(list) > 0)
	p.c.Video.Want(want, 0)
	if p.c.Audio != nil {
		p.c.Audio.Want(sound)
	}
}

func (p *Publisher) remove(s *Session) {
	p.mu.Lock()
	delete(p.sessions, s.id)
	delete(p.losses, s)
	p.changed()
	p.mu.Unlock()
	p.rateChanged()
}

// arrived tells that a session is connected: from now on somebody watches.
func (p *Publisher) arrived(now time.Time) {
	p.mu.Lock()
	p.changed()
	p.mu.Unlock()
	p.requestKeyFrame(now)
}

// requestKeyFrame asks for a key frame, at most one an interval for everybody.
func (p *Publisher) requestKeyFrame(now time.Time) {
	p.mu.Lock()
	ask := p.keys.request(now)
	p.mu.Unlock()
	if ask {
		p.c.Video.KeyFrame(0)
	}
}

// rateChanged lets the encoder follow the lowest estimate.
func (p *Publisher) rateChanged() {
	lowest := 0
	for _, s := range *p.list.Load() {
		if e := int(s.estimate.Load()); e > 0 && (lowest == 0 || e < lowest) {
			lowest = e
		}
	}
	if lowest == 0 {
		return
	}
	audio := 0
	if p.c.Audio != nil {
		audio = audioBitrate
	}
	rate := videoRate(lowest, audio, p.c.MinBitrate, p.c.MaxBitrate)
	p.mu.Lock()
	// Small steps are not worth disturbing the encoder's rate control.
	change := rate != p.rate && (rate == p.c.MaxBitrate || rate == p.c.MinBitrate || abs(rate-p.rate)*100 > 3*p.rate)
	if change {
		p.rate = rate
		p.c.Video.SetBitrate(0, rate) // in here, so that two calls cannot change places
	}
	p.mu.Unlock()
}

// setAudioLoss lets Opus protect for the viewer that loses most.
func (p *Publisher) setAudioLoss(s *Session, percent int) {
	p.mu.Lock()
	p.losses[s] = percent
	worst := 0
	for _, l := range p.losses {
		worst = max(worst, l)
	}
	p.mu.Unlock()
	p.c.Audio.SetLoss(worst)
}

func abs(n int) int { return max(n, -n) }
