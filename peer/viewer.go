package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// ViewerConfig says what a Viewer does with what it receives. The functions
// are called from one goroutine, Run's, and must not block for long.
type ViewerConfig struct {
	// ICEServers are asked for our public address and for relays.
	ICEServers []webrtc.ICEServer
	// Video takes pictures that can be decoded, in order, from a key frame on; Audio
	// takes packets of Opus. Nil: they are dropped.
	Video, Audio func(Media)
	View         View // what to ask for
	// Candidate is called for each local candidate, and with nil after the last,
	// from goroutines of pion's.
	Candidate func(*webrtc.ICECandidateInit)
	// Settings adjusts pion's engine, for a virtual network in tests.
	Settings func(*webrtc.SettingEngine)
	Log      *slog.Logger
}

// Media is one encoded picture, or one packet of sound.
type Media struct {
	Data []byte // VP8 (RFC 6386) or Opus (RFC 6716)
	// Time is when it was taken, by the camera's clock: that of picture and sound
	// is one. Until the camera has told, it is when the first packet came.
	Time time.Time
	// Key tells of a picture that it can be decoded without any other; Width and
	// Height are then its size in pixels.
	Key           bool
	Width, Height int
}

// Ended is why a Viewer's connection is over, in a code of PROTOCOL.md's bye.
type Ended struct{ Code, Reason string }

func (e *Ended) Error() string {
	if e.Reason == "" {
		return e.Code
	}
	return e.Code + ": " + e.Reason
}

const (
	viewerPackets = 1024 // queue of packets that arrived; more are dropped as if lost
	viewerTick    = 10 * time.Millisecond
	clockTime     = 2 * time.Second // from one look at the camera's clock to the next
)

// Viewer watches a camera: the receiving end of a Session. One goroutine, Run's,
// owns its state; pion's callbacks only post to it.
type Viewer struct {
	c        ViewerConfig
	pc       *webrtc.PeerConnection
	control  *webrtc.DataChannel
	log      *slog.Logger
	packets  chan arrived
	events   chan func()
	readers  sync.WaitGroup
	quit     chan struct{}
	quitOnce sync.Once
	end      *Ended // once quit is closed
	done     chan struct{}

	// Only Run's goroutine touches what follows.
	video, audio *stream
	clock        remoteClock
	asked        time.Time // the clock

	mu    sync.Mutex
	stats ViewerStats
}

// arrived is a packet of a stream.
type arrived struct {
	s      *stream
	packet *rtp.Packet
	at     time.Time
}

// NewViewer makes a connection that wants a picture and sound, and opens the
// data channel. Close or Run gives back what it holds.
func NewViewer(c ViewerConfig) (*Viewer, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	api, err := newViewerAPI(c.Settings)
	if err != nil {
		return nil, err
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{ICEServers: c.ICEServers, BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		return nil, fmt.Errorf("making a peer connection: %w", err)
	}
	v := &Viewer{
		c: c, pc: pc, log: c.Log, packets: make(chan arrived, viewerPackets), events: make(chan func(), 64),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err = pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return nil, errors.Join(fmt.Errorf("asking for %s: %w", kind, err), pc.Close())
		}
	}
	if v.control, err = pc.CreateDataChannel(controlLabel, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the data channel: %w", err), pc.Close())
	}
	v.control.OnOpen(func() { v.post(v.greet) })
	v.control.OnMessage(func(m webrtc.DataChannelMessage) {
		now := time.Now()
		v.post(func() { v.hear(now, m.Data) })
	})
	pc.OnTrack(v.onTrack)
	pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		switch {
		case v.c.Candidate == nil:
		case c == nil:
			v.c.Candidate(nil)
		default:
			init := c.ToJSON()
			v.c.Candidate(&init)
		}
	})
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			v.update(func(s *ViewerStats) { s.Connected, s.Heard = true, time.Now() })
		case webrtc.PeerConnectionStateFailed:
			v.stop("failed", "the connection was lost")
		}
	})
	return v, nil
}

// newViewerAPI is the engine of Sessions, with the reports that a receiver owes:
// what arrived when (TWCC), and how much did not (RFC 3550, section 6.4.2).
func newViewerAPI(adjust func(*webrtc.SettingEngine)) (*webrtc.API, error) {
	m, err := newMediaEngine(false)
	if err != nil {
		return nil, err
	}
	reports, err := report.NewReceiverInterceptor()
	if err != nil {
		return nil, err
	}
	arrivals, err := twcc.NewSenderInterceptor()
	if err != nil {
		return nil, err
	}
	ir := &interceptor.Registry{}
	ir.Add(reports)
	ir.Add(arrivals)
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(ir), webrtc.WithSettingEngine(newSettings(func(s *webrtc.SettingEngine) {
		s.DisableActiveTCP(false) // it is we who connect to a camera's TCP port
		if adjust != nil {
			adjust(s)
		}
	}))), nil
}

// SetICEServers replaces those of the configuration, for the next ICE restart:
// credentials may have expired. While candidates are still gathered it does
// nothing: pion reads the servers then, and they are no older than that.
func (v *Viewer) SetICEServers(servers []webrtc.ICEServer) error {
	if v.pc.ICEGatheringState() == webrtc.ICEGatheringStateGathering {
		return nil
	}
	c := v.pc.GetConfiguration()
	c.ICEServers = servers
	if err := v.pc.SetConfiguration(c); err != nil {
		return fmt.Errorf("taking new ICE servers: %w", err)
	}
	return nil
}

// Offer makes the offer, or with restart another one with an ICE restart; the
// description is set, and candidates follow by Config.Candidate. An offer that is
// not answered yet is given again, since it may have been lost.
func (v *Viewer) Offer(restart bool) (string, error) {
	if d := v.pc.PendingLocalDescription(); d != nil {
		return d.SDP, nil
	}
	offer, err := v.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: restart})
	if err != nil {
		return "", fmt.Errorf("making an offer: %w", err)
	}
	if err := v.pc.SetLocalDescription(offer); err != nil {
		return "", fmt.Errorf("making an offer: %w", err)
	}
	return offer.SDP, nil
}

// Answer takes the camera's answer. Who calls it has checked its proof.
func (v *Viewer) Answer(sdp string) error {
	if err := v.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		return fmt.Errorf("the camera's answer cannot be used: %w", err)
	}
	return nil
}

// Candidate adds one of the camera's, after the answer.
func (v *Viewer) Candidate(c webrtc.ICECandidateInit) error {
	if c.Candidate == "" {
		return nil // there are no more: pion notices by itself
	}
	if err := v.pc.AddICECandidate(c); err != nil {
		return fmt.Errorf("candidate %q: %w", c.Candidate, err)
	}
	return nil
}

// Run receives until ctx is done, when it says goodbye and returns nil, or until
// the connection is over, when it returns an *Ended.
func (v *Viewer) Run(ctx context.Context) error {
	defer close(v.done)
	tick := time.NewTicker(viewerTick)
	defer tick.Stop()
	for {
		select {
		case p := <-v.packets:
			p.s.take(v, p)
		case f := <-v.events:
			f()
		case now := <-tick.C:
			v.tick(now)
		case <-v.quit:
			v.leave()
			return v.end
		case <-ctx.Done():
			v.sayBye()
			v.leave()
			return nil
		}
	}
}

// Close ends a viewer that does not Run.
func (v *Viewer) Close() {
	close(v.done)
	v.leave()
}

// leave waits for all that the connection started.
func (v *Viewer) leave() {
	if err := v.pc.GracefulClose(); err != nil {
		v.log.Debug("closing the peer connection", "err", err)
	}
	v.readers.Wait()
}

// stop asks Run to end; the first call's code counts.
func (v *Viewer) stop(code, reason string) {
	v.quitOnce.Do(func() {
		v.end = &Ended{Code: code, Reason: reason}
		close(v.quit)
	})
}

// post runs f on Run's goroutine, unless that has ended.
func (v *Viewer) post(f func()) {
	select {
	case v.events <- f:
	case <-v.quit:
	case <-v.done:
	}
}

func (v *Viewer) tick(now time.Time) {
	for _, s := range []*stream{v.video, v.audio} {
		if s != nil {
			s.tend(v, now)
		}
	}
	if now.Sub(v.asked) >= clockTime {
		v.askClock(now)
	}
}
