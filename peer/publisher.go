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
	"math/bits"
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
	// Remote is what viewers may set up; nil for nothing.
	Remote Remote
	// ICEServers tells which servers a new session asks for our public address
	// and for relays; they change, since credentials expire. nil: none.
	ICEServers func() []webrtc.ICEServer
	// MaxBitrate is the most bit/s of video for a viewer; zero means 2.5 Mbit/s.
	MaxBitrate int
	// MaxSessions is the most viewers at a time; zero means 100.
	MaxSessions int
	// Patience is how long a viewer may take to connect, and the camera stays
	// closed until one has; zero means 20 s, and that it opens meanwhile.
	Patience time.Duration
	// Chat takes text that a viewer sends over a data channel; it must not block.
	// nil: such channels are closed.
	Chat func(id, text string)
	// Network is how sessions are reached; nil: at every address of the machine, at
	// a port a session.
	Network *Network
	// Settings adjusts pion's engine, for a virtual network in tests.
	Settings func(*webrtc.SettingEngine)
	Log      *slog.Logger
}

// adaptTime is the least time from one allocation to the next, unless
// something falls.
const adaptTime = 50 * time.Millisecond

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
	keys     [maxRungs]keyThrottle
	plan     ladderPlan // what the encoder was last told
	seats    []*seat    // reused
	adapted  time.Time
	behind   bool // an estimate has changed since

	remotes remotes

	handshake time.Duration // how long a viewer may take to connect

	list   atomic.Pointer[[]*Session] // of sessions, replaced whole
	ctx    context.Context            // ends every session
	cancel context.CancelFunc
}

// NewPublisher makes the DTLS certificate that all sessions share.
func NewPublisher(c Config) (*Publisher, error) {
	if c.MaxBitrate == 0 {
		c.MaxBitrate = 2_500_000
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = 100
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if c.Network == nil {
		c.Network = &Network{}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the DTLS key: %w", err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("making the DTLS certificate: %w", err)
	}
	handshake := c.Patience
	if handshake == 0 {
		handshake = handshakeTime
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Publisher{
		c: c, clock: mediaClock{epoch: time.Now()}, cert: *cert, cname: crand.Text(),
		sessions: map[string]*Session{}, losses: map[*Session]int{}, ctx: ctx, cancel: cancel,
		handshake: handshake, remotes: remotes{r: c.Remote, asks: make(chan remoteAsk, remoteQueue)},
	}
	p.list.Store(&[]*Session{})
	return p, nil
}

// Run keeps the sessions until ctx is done, then says goodbye to every viewer
// and returns when all have ended.
func (p *Publisher) Run(ctx context.Context) error {
	p.running.Go(func() { p.remotes.run(p.ctx, func() []*Session { return *p.list.Load() }) })
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
	k := &p.keys[min(f.Rung, maxRungs-1)]
	if f.Key {
		k.last, k.pending = now, false // who asked has it now
	}
	if k.due(now) {
		p.c.Video.KeyFrame(f.Rung)
	}
	behind := p.behind
	p.mu.Unlock()
	if behind {
		p.adapt(now, false)
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

// Viewers is the number of viewers' sessions.
func (p *Publisher) Viewers() (n int) {
	for _, s := range *p.list.Load() {
		if s.signal.To == "" {
			n++
		}
	}
	return n
}

// VideoRate is the bit rate asked of the largest rung that somebody watches,
// in bit/s; 0 when nobody does.
func (p *Publisher) VideoRate() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.plan.rates[bits.TrailingZeros32(p.plan.want|1<<(maxRungs-1))]
}

// rate is what a rung is asked for, bit/s.
func (p *Publisher) rate(rung int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.plan.rates[rung]
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
	asked, err := checkOffer(offer)
	chat := p.c.Chat != nil && onlyChat(offer)
	if err != nil && !chat {
		return "", err
	}
	s, isNew, err := p.session(id, asked, signal)
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
	if s.trickled.Add(1) > maxCandidates {
		return fmt.Errorf("more than %d candidates", maxCandidates)
	}
	if err := s.addCandidate(c); err != nil {
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

func (p *Publisher) session(id string, asked offered, signal Signal) (*Session, bool, error) {
	p.mu.Lock()
	s, closed, full := p.sessions[id], p.closed, signal.To == "" && p.Viewers() >= p.c.MaxSessions
	p.mu.Unlock()
	switch {
	case closed:
		return nil, false, ErrClosed
	case s != nil:
		return s, false, nil
	case full:
		return nil, false, p.busy()
	}
	s, err := p.newSession(id, asked, signal)
	if err != nil {
		return nil, false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch { // a hundred may have come this far at once
	case p.closed || p.sessions[id] != nil:
		err = ErrClosed
	case signal.To == "" && p.Viewers() >= p.c.MaxSessions:
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
	if len(list) == 0 {
		p.keys = [maxRungs]keyThrottle{}
	}
	p.demand()
	p.allocate(time.Now())
}

func (p *Publisher) remove(s *Session) {
	p.mu.Lock()
	delete(p.sessions, s.id)
	if _, ok := p.losses[s]; ok {
		delete(p.losses, s)
		p.protectAudio()
	}
	p.changed()
	p.mu.Unlock()
}

// arrived tells that a session is connected: from now on somebody watches.
func (p *Publisher) arrived(now time.Time) {
	p.mu.Lock()
	p.demand()
	p.allocate(now)
	p.mu.Unlock()
}

// demand tells whether camera and microphone should open; p.mu is held.
func (p *Publisher) demand() {
	list := *p.list.Load()
	here := func(s *Session) bool { return p.c.Patience == 0 || s.connected.Load() }
	p.c.Video.Expect(slices.ContainsFunc(list, here))
	if p.c.Audio != nil {
		p.c.Audio.Want(slices.ContainsFunc(list, func(s *Session) bool { return s.audio != nil && here(s) }))
	}
}

// requestKeyFrame asks for a key frame of a rung, at most one an interval for
// everybody.
func (p *Publisher) requestKeyFrame(now time.Time, rung int) {
	p.mu.Lock()
	p.askKeyFrame(now, rung)
	p.mu.Unlock()
}

func (p *Publisher) askKeyFrame(now time.Time, rung int) {
	if rung >= 0 && rung < maxRungs && p.keys[rung].request(now) {
		p.c.Video.KeyFrame(rung)
	}
}

// adapt seats the viewers anew: at once if urgent, else when the last time is
// long enough ago; what comes too early is caught up with by the next frame.
func (p *Publisher) adapt(now time.Time, urgent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !urgent && now.Sub(p.adapted) < adaptTime {
		p.behind = true
		return
	}
	p.allocate(now)
}

// allocate carries allocate's plan out; p.mu is held.
func (p *Publisher) allocate(now time.Time) {
	p.adapted, p.behind = now, false
	list := *p.list.Load()
	p.seats = p.seats[:0]
	for _, s := range list {
		if s.connected.Load() {
			if s.seat.begun.IsZero() && s.counters.Frames.Load() > 0 {
				s.seat.begun = now
			}
			s.seat.unprobed = !s.probes.Load()
			s.seat.budget = videoBudget(int(s.estimate.Load()), s.soundRate(), int(s.parityShare.Load()))
			p.seats = append(p.seats, &s.seat)
		}
	}
	rungs := p.c.Video.Rungs()
	plan := allocate(now, p.seats, rungs, p.c.MaxBitrate)
	for _, s := range list {
		if !s.connected.Load() {
			continue
		}
		top, _ := s.seat.wish.cap(rungs)
		s.demand.Store(int64(linkDemand(rungMost(rungs, top, p.c.MaxBitrate), s.soundRate(), int(s.parityShare.Load()))))
		// Until its key frame comes a viewer is sent what it had.
		before := s.selection.Load()
		if rung := s.rung.Load(); rung >= 0 && before != nil && !before.paused && !s.seat.got.paused && plan.want&(1<<rung) == 0 {
			plan.want |= 1 << rung
			plan.layered |= 1 << rung
			plan.rates[rung] = p.plan.rates[rung]
		}
		if before == nil || *before != s.seat.got {
			got := s.seat.got
			s.selection.Store(&got)
			s.news.Store(true)
			if !got.paused && int(s.rung.Load()) != got.rung {
				p.askKeyFrame(now, got.rung)
			}
		}
	}
	for rung, rate := range plan.rates {
		// Small steps are not worth disturbing the encoder's rate control.
		if before := p.plan.rates[rung]; plan.want&(1<<rung) == 0 || int64(abs(rate-before))*100 <= 3*int64(before) && rate != p.c.MaxBitrate {
			plan.rates[rung] = before
			continue
		}
		p.c.Video.SetBitrate(rung, rate)
	}
	p.plan = plan
	p.c.Video.Want(plan.want, plan.layered)
}

// setAudioLoss lets Opus protect for the viewer that loses most.
func (p *Publisher) setAudioLoss(s *Session, percent int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.losses[s] = min(percent, mostAudioLoss)
	p.protectAudio()
}

// mostAudioLoss is what one viewer's reports can have all others' sound protected
// against, percent: more costs more bits than it saves.
const mostAudioLoss = 25

// protectAudio tells the encoder; p.mu is held.
func (p *Publisher) protectAudio() {
	worst := 0
	for _, l := range p.losses {
		worst = max(worst, l)
	}
	p.c.Audio.SetLoss(worst)
}

func abs(n int) int { return max(n, -n) }
