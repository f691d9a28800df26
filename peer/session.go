package peer

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"
	"golang.org/x/time/rate"

	"github.com/peercam/peercam/encode"
)

const (
	videoQueue    = 8  // frames
	audioQueue    = 16 // packets
	feedbackQueue = 64

	// handshakeTime is how long a viewer may take from the answer to the first
	// packet.
	handshakeTime = 20 * time.Second
	// silentTime is how long a viewer may send no RTCP at all. A browser that
	// receives reports several times a second; one that was killed never does
	// again, and an outage may last some seconds.
	silentTime = 15 * time.Second
	reportTime = time.Second
	// feedbackPatience is for feedback that was agreed on.
	feedbackPatience = 3 * time.Second
)

// Signal is how a session speaks to its viewer besides media: all functions
// are called from goroutines of the session's own and must not block.
type Signal struct {
	// Candidate is called for each local candidate, and with nil after the last.
	Candidate func(*webrtc.ICECandidateInit)
	// Restart asks the viewer to offer again, with an ICE restart.
	Restart func()
	// To names the server that a session of ours goes to; "": a viewer, who offered.
	To string
	// ICEServers are asked besides those of all.
	ICEServers []webrtc.ICEServer
	// Ended is called once, with one of the codes of PROTOCOL.md's bye.
	Ended func(code, reason string)
	// Rate is what the viewer's link has carried lately, bit/s; 0: not known. It may be
	// a stranger's word.
	Rate int
	// Proved tells that the viewer holds the key, or needs none: it may use
	// Config.Remote.
	Proved bool
}

// Session is one viewer.
type Session struct {
	id     string
	p      *Publisher
	api    *webrtc.API
	pc     *webrtc.PeerConnection
	sender *webrtc.RTPSender // of the picture; all share its transport
	signal Signal
	log    *slog.Logger

	video, audio *track

	frames   chan *encode.Frame
	sound    chan *encode.AudioFrame
	feedback chan feedback
	events   chan func()
	quit     chan struct{}
	quitOnce sync.Once
	readers  sync.WaitGroup
	done     chan struct{}

	counters Counters
	estimate atomic.Int64 // bit/s; 0: not known yet
	// parityShare is how much parity goes along with the picture, percent.
	parityShare atomic.Int64
	demand      atomic.Int64 // bit/s that the best picture it asks for takes
	probes      atomic.Bool  // the link can be probed besides by the media
	connected   atomic.Bool
	chat        atomic.Pointer[webrtc.DataChannel] // of plain text; nil: none
	trickled    atomic.Int32                       // candidates since the last offer
	restartAt   atomic.Int64                       // when ICE was last restarted, Unix ns; 0: never
	// selection is what allocate gave; rung is the one handed over, -1 for none
	// yet: Publisher.Video alone changes it, and gap.
	selection atomic.Pointer[selection]
	rung      atomic.Int32
	gap       bool // a frame was dropped: what follows cannot be decoded
	news      atomic.Bool
	seat      seat // Publisher.mu's
	remote    remoteSeat
	looks     *rate.Limiter        // of the wishes of its data channel
	later     atomic.Pointer[wish] // one that came too soon

	// Only the session's goroutine touches what follows.
	endCode, endReason string
	started            time.Time
	lastHeard          time.Time
	lastSent           time.Time
	lastReport         time.Time
	reported           time.Time // when the picture was first reported on
	doubted            time.Time // when the network changed below it
	restarted          time.Time // when an ICE restart was last asked for
	pictureID          uint16
	baseID             uint8 // TL0PICIDX of RFC 7741
	begun              bool
	frameGap           time.Duration // between the last two pictures
	sending            int
	size               encode.Size
	keyStart           uint16 // sequence number with which the last key frame begins
	outbox             outbox
	pacer              pacer
	probe              Probe
	prober             pacer
	sayStats           bool
	playout            playout
	held               time.Duration // how long pictures are held
	listening          bool
	packet             [maxPacket]byte
	history            history
	repair             repairBudget
	asks               keyAsks
	fec                fec
	protection         protection
	transport          *transport
	estimator          *Estimator
	rtt                time.Duration
	repairs            []*webrtc.RTPReceiver // of what is said about the RTX and FlexFEC streams
	control            *webrtc.DataChannel
}

// run owns the session until it ends.
func (s *Session) run(ctx context.Context) {
	defer close(s.done)
	tick := time.NewTicker(reportTime)
	defer tick.Stop()
	pause := time.NewTimer(time.Hour)
	defer pause.Stop()
	for {
		// Sound first: it is small and its loss is heard.
		select {
		case f := <-s.sound:
			s.sendAudio(f)
			continue
		default:
		}
		var paused <-chan time.Time
		if wait := s.flush(time.Now()); wait > 0 {
			pause.Reset(wait)
			paused = pause.C
		}
		if s.news.Swap(false) {
			s.sayStats = true
			if s.selection.Load().paused {
				s.outbox.clear()
				s.fec.drop()
			}
		}
		if s.sayStats {
			s.sayStats = false
			s.sendStats()
		}
		select {
		case f := <-s.sound:
			s.sendAudio(f)
		case f := <-s.frames:
			s.takeFrame(time.Now(), f)
			f.Release()
		case f := <-s.feedback:
			s.handle(f)
		case <-paused:
			s.tend(time.Now())
		case f := <-s.events:
			f()
		case now := <-tick.C:
			s.tick(now)
		case <-s.quit:
			s.finish()
			return
		case <-ctx.Done():
			s.end("ended", "the camera was stopped")
			s.finish()
			return
		}
	}
}

// post runs f on the session's goroutine. It is for rare things; when the
// session has ended f is not run.
func (s *Session) post(f func()) {
	select {
	case s.events <- f:
	case <-s.quit:
	case <-s.done:
	}
}

// end asks the session to end; the first call's code counts.
func (s *Session) end(code, reason string) {
	s.quitOnce.Do(func() {
		s.endCode, s.endReason = code, reason
		close(s.quit)
	})
}

// finish leaves nothing behind: socket, goroutines, frames, demand.
func (s *Session) finish() {
	s.p.remove(s)
	// Before anything that can take long: the viewer should hear it in time.
	if s.signal.Ended != nil {
		s.signal.Ended(s.endCode, s.endReason)
	}
	// What is said here arrives before the connection closes under it.
	s.sayBye()
	if err := s.pc.Close(); err != nil {
		s.log.Debug("closing the peer connection", "err", err)
	}
	for _, r := range s.repairs {
		_ = r.Stop() // unlike a sender it does not end with the connection
	}
	s.readers.Wait()
	s.connected.Store(false)
	s.history.clear()
	s.outbox.clear()
	for {
		select {
		case f := <-s.frames:
			f.Release()
			continue
		default:
		}
		break
	}
	s.log.Info("viewer left", "code", s.endCode, "reason", s.endReason, "seconds", int(time.Since(s.started).Seconds()),
		"frames", s.counters.Frames.Load(), "bytes", s.counters.Bytes.Load())
}

func (s *Session) onConnected(now time.Time) {
	if s.connected.Swap(true) {
		return
	}
	s.lastHeard = now
	if !s.video.hasTransport || !s.video.hasRTX {
		s.startAt(s.p.knownStart()) // without probes more is found slowly, if at all
	}
	s.p.arrived(now)
	if err := s.readRepairRTCP(); err != nil {
		s.log.Debug("reading RTCP about the RTX and FlexFEC streams", "err", err)
	}
	s.log.Info("viewer connected", "after_ms", now.Sub(s.started).Milliseconds(), "path", s.path())
}

// path names the chosen pair of candidates, for the log.
func (s *Session) path() string {
	if pair := s.pair(); pair != nil {
		return fmt.Sprintf("%s %s %s -> %s %s", pair.Local.Protocol, pair.Local.Typ, pair.Local.Address, pair.Remote.Typ, pair.Remote.Address)
	}
	return "unknown"
}

func (s *Session) tick(now time.Time) {
	if !s.connected.Load() {
		if now.Sub(s.started) > s.p.handshake {
			s.end("failed", fmt.Sprintf("no connection within %v", s.p.handshake))
		}
		return
	}
	if !s.video.bound.Load() && s.pc.ICEConnectionState() == webrtc.ICEConnectionStateConnected {
		s.lastHeard = now // who gets no media reports on none
	}
	// Where nothing is sent, nothing is reported: then ICE finds out by itself.
	if now.Sub(s.lastHeard) > silentTime && now.Sub(s.lastSent) < 2*reportTime {
		s.end("failed", fmt.Sprintf("nothing was heard from the viewer for %v", silentTime))
		return
	}
	s.doubt(now)
	if w := s.later.Swap(nil); w != nil {
		s.p.look(s, *w)
	}
	s.tend(now)
	s.p.adapt(now, false) // the rungs may have changed, with no frame to tell
	s.mend(now)
	s.sendReports(now)
	s.sayStats = true
}

// offerFrame queues a frame of the viewer's rung, or drops it when the queue is
// full; then nothing is sent until a key frame, since the frames after depend
// on it. Another rung begins with a key frame; until then the old one goes on.
func (s *Session) offerFrame(f *encode.Frame) {
	if !s.connected.Load() {
		return
	}
	sel := s.selection.Load()
	if sel == nil || sel.paused {
		s.rung.Store(-1)
		return
	}
	if rung := int32(f.Rung); rung != s.rung.Load() { //nolint:gosec // few
		if f.Rung != sel.rung {
			return
		}
		if !f.Key {
			s.p.requestKeyFrame(time.Now(), f.Rung)
			return
		}
		s.rung.Store(rung)
	}
	if s.gap && !f.Key {
		s.counters.FramesDropped.Add(1)
		s.p.requestKeyFrame(time.Now(), f.Rung)
		return
	}
	f.Retain()
	select {
	case s.frames <- f:
		s.gap = false
	default:
		f.Release()
		s.counters.FramesDropped.Add(1)
		s.gap = true
	}
}

// offerAudio queues a packet, dropping the oldest when the queue is full.
func (s *Session) offerAudio(f *encode.AudioFrame) {
	if !s.connected.Load() || s.audio == nil {
		return
	}
	for {
		select {
		case s.sound <- f:
			return
		default:
		}
		select {
		case <-s.sound:
			s.counters.AudioDropped.Add(1)
		default:
		}
	}
}

func (s *Session) handle(f feedback) {
	now := time.Now()
	s.lastHeard = now
	switch {
	case f.transport != nil:
		acks, err := s.transport.feedback(f.transport)
		if err != nil {
			s.log.Debug("feedback", "err", err)
			return
		}
		s.estimator.SetDemand(int(s.demand.Load()))
		s.estimator.Feedback(now, acks)
		if s.begun && !s.selection.Load().paused && s.outbox.starved() && !s.blocked() {
			// The link is back: what was lost with it would be shown, and be old.
			s.keyStart = s.video.header.SequenceNumber + 1
			s.p.requestKeyFrame(now, s.sending)
		}
		for i := range acks {
			if a := &acks[i]; a.Video && !a.Received {
				s.resendLost(now, a)
			}
		}
		if s.playout.delay == 0 && s.estimator.Loss() >= lossyLink {
			s.mend(now) // the sooner the fewer freeze
		}
		s.tend(now)
	case f.nacks != nil && f.video:
		for _, n := range f.nacks {
			n.Range(func(seq uint16) bool { s.resend(now, seq); return true })
		}
	case f.keyFrame:
		s.counters.KeyFramesAsked.Add(1)
		if s.begun && s.asks.may(now) {
			s.p.requestKeyFrame(now, s.sending)
		}
	case f.report != nil:
		if rtt, ok := roundTrip(s.p.clock.ntp(now), f.report.LastSenderReport, f.report.Delay); ok {
			s.rtt = rtt
			s.counters.RoundTripMicros.Store(rtt.Microseconds())
			s.estimator.SetRTT(rtt)
		}
		if f.video {
			s.missFeedback(now)
		}
		if f.video && !s.video.hasTransport {
			s.estimator.Report(now, float64(f.report.FractionLost)/256)
			s.publishEstimate()
		}
		if !f.video {
			s.p.setAudioLoss(s, int(f.report.FractionLost)*100/256)
		}
	}
}

// missFeedback goes on with reports alone where transport-wide feedback was agreed on
// and none comes: some repeat what they are offered and do not mean it.
func (s *Session) missFeedback(now time.Time) {
	switch {
	case !s.video.hasTransport || s.estimator.feedbacks > 0:
	case s.reported.IsZero():
		s.reported = now
	case now.Sub(s.reported) > feedbackPatience:
		s.log.Info("no transport-wide feedback comes: the rate follows the loss alone")
		s.video.hasTransport = false
		s.startAt(s.p.knownStart())
		s.probes.Store(false)
	}
}

// publishEstimate lets the publisher and the pacer follow the estimate.
func (s *Session) publishEstimate() {
	s.counters.LossPPM.Store(int64(s.estimator.Loss() * 1e6))
	target := s.estimator.Target()
	s.pacer.set(target, s.estimator.Congested())
	if s.estimate.Swap(int64(target)) != int64(target) {
		s.counters.Estimate.Store(int64(target))
		s.p.adapt(time.Now(), false)
	}
}

// soundRate is what the viewer's sound takes of its link, bit/s.
func (s *Session) soundRate() int {
	if s.audio == nil {
		return 0
	}
	return audioBitrate
}

func randomPictureID() uint16 { return uint16(rand.Uint32()) & 0x7fff } //nolint:gosec // any number will do
