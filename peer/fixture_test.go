package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"github.com/peercam/peercam/encode"
)

const wait = 20 * time.Second

// fakeVideo stands in for encode.Ladder: it notes what is asked of it.
type fakeVideo struct {
	mu   sync.Mutex
	want uint32
	key  bool
	keys int
	rate int
	on   chan uint32 // each change of want

	rungs []encode.Size // nil: the one that it makes frames of

	expected bool
	awaited  chan bool // each change of it
}

func newFakeVideo() *fakeVideo {
	return &fakeVideo{on: make(chan uint32, 100), awaited: make(chan bool, 100)}
}

func (f *fakeVideo) Rungs() []encode.Size {
	if f.rungs != nil {
		return f.rungs
	}
	return []encode.Size{{Width: 1280, Height: 720}}
}

func (f *fakeVideo) Want(r, _ uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r != f.want {
		f.want = r
		f.on <- r
	}
}

// Expect counts as demand for the camera, which a bad offer must not cause.
func (f *fakeVideo) Expect(somebody bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if somebody != f.expected {
		f.expected = somebody
		f.awaited <- somebody
	}
}
func (f *fakeVideo) KeyFrame(int)        { f.mu.Lock(); f.key = true; f.keys++; f.mu.Unlock() }
func (f *fakeVideo) SetBitrate(_, b int) { f.mu.Lock(); f.rate = b; f.mu.Unlock() }
func (f *fakeVideo) asked() int          { f.mu.Lock(); defer f.mu.Unlock(); return f.keys }

// frame makes the n-th frame, a key frame if one was asked for. Its data begin
// with n, so that a viewer can tell which frame it got, and whether whole.
func (f *fakeVideo) frame(n uint32, t time.Time, size int) *encode.Frame {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := encode.NewFrame()
	e.Time, e.Key = t, f.key || n == 0
	f.key = false
	if e.Key {
		size *= 6
	}
	e.Data = append(e.Data, make([]byte, size)...)
	fill(e.Data, n)
	if !e.Key {
		e.Data[4] |= 1
	}
	return e
}

func fill(b []byte, n uint32) {
	for i := range b {
		b[i] = byte(uint32(i)*n + n)
	}
	binary.BigEndian.PutUint32(b, n)
	b[4] &^= 1
}

type fakeAudio struct {
	mu   sync.Mutex
	want bool
	loss int
}

func (f *fakeAudio) Want(w bool)   { f.mu.Lock(); f.want = w; f.mu.Unlock() }
func (f *fakeAudio) SetLoss(p int) { f.mu.Lock(); f.loss = p; f.mu.Unlock() }

// stage is a publisher with its encoders, pumped until the test ends.
type stage struct {
	t     *testing.T
	pub   *Publisher
	video *fakeVideo
	audio *fakeAudio
	done  chan error
	stop  context.CancelFunc
}

// newStage runs a publisher that sends 30 frames and 50 packets of sound a second.
func newStage(t *testing.T, c Config) *stage {
	t.Helper()
	s := &stage{t: t, video: newFakeVideo(), audio: &fakeAudio{}, done: make(chan error, 1)}
	c.Video, c.Audio = s.video, s.audio
	var err error
	if s.pub, err = NewPublisher(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() { s.done <- s.pub.Run(ctx) }()
	var pumps sync.WaitGroup
	pumps.Add(2)
	go func() {
		defer pumps.Done()
		tick := time.NewTicker(time.Second / 30)
		defer tick.Stop()
		for n := uint32(0); ; n++ {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				f := s.video.frame(n, now, 3000)
				s.pub.Video(f)
				f.Release()
			}
		}
	}()
	go func() {
		defer pumps.Done()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := uint32(0); ; n++ {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				s.pub.Audio(&encode.AudioFrame{Data: []byte{0xf8, 0xff, 0xfe}, Time: now, Timestamp: n * 960, Samples: 960})
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		pumps.Wait()
		select {
		case err := <-s.done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(wait):
			t.Error("the publisher did not end")
		}
	})
	return s
}

// viewer is a browser's stand-in.
type viewer struct {
	t       *testing.T
	pc      *webrtc.PeerConnection
	proved  bool
	control *webrtc.DataChannel
	said    chan string // on the data channel
	ended   chan string // code of the session's end
	frames  chan gotFrame
	sound   chan rtp.Packet
	reports chan *rtcp.SenderReport
	streams chan string
	readers sync.WaitGroup
}

type gotFrame struct {
	n       uint32
	whole   bool
	key     bool
	packet  rtp.Packet // the first
	capture []byte     // abs-capture-time
	playout []byte     // playout-delay
}

// viewerEngine is what a browser offers, under payload types of its own.
func viewerEngine(t *testing.T) (*webrtc.MediaEngine, *interceptor.Registry) {
	t.Helper()
	m, ir := &webrtc.MediaEngine{}, &interceptor.Registry{}
	register := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	fb := []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "transport-cc"}}
	register(m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: 120, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: fb}}, webrtc.RTPCodecTypeVideo))
	register(m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: 121, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: "apt=120"}}, webrtc.RTPCodecTypeVideo))
	register(m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: 109, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}}, webrtc.RTPCodecTypeAudio))
	for _, k := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		register(m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: absCaptureTimeURI}, k))
	}
	register(m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: playoutDelayURI}, webrtc.RTPCodecTypeVideo))
	register(webrtc.ConfigureTWCCSender(m, ir))
	g, err := nack.NewGeneratorInterceptor(nack.GeneratorInterval(10 * time.Millisecond))
	register(err)
	ir.Add(g)
	r, err := report.NewReceiverInterceptor()
	register(err)
	ir.Add(r)
	return m, ir
}

// newViewer offers to see and hear.
func newViewer(t *testing.T, adjust func(*webrtc.SettingEngine)) *viewer {
	t.Helper()
	m, ir := viewerEngine(t)
	var se webrtc.SettingEngine
	se.SetIncludeLoopbackCandidate(true)
	se.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	if adjust != nil {
		adjust(&se)
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(ir), webrtc.WithSettingEngine(se)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	v := &viewer{
		t: t, pc: pc, proved: true, said: make(chan string, 100), ended: make(chan string, 1), frames: make(chan gotFrame, 1000),
		sound: make(chan rtp.Packet, 10_000), reports: make(chan *rtcp.SenderReport, 100), streams: make(chan string, 10),
	}
	for _, k := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := pc.AddTransceiverFromKind(k, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	if v.control, err = pc.CreateDataChannel(controlLabel, nil); err != nil {
		t.Fatal(err)
	}
	v.control.OnMessage(func(m webrtc.DataChannelMessage) {
		select {
		case v.said <- string(m.Data):
		default:
		}
	})
	pc.OnTrack(func(tr *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		v.streams <- tr.StreamID()
		v.readers.Add(2)
		go v.readReports(r)
		if tr.Kind() == webrtc.RTPCodecTypeAudio {
			go v.readSound(tr)
		} else {
			go v.readVideo(tr, r)
		}
	})
	t.Cleanup(v.close)
	return v
}

func (v *viewer) close() {
	_ = v.pc.Close()
	v.readers.Wait()
}

func (v *viewer) readReports(r *webrtc.RTPReceiver) {
	defer v.readers.Done()
	for {
		packets, _, err := r.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			if sr, ok := p.(*rtcp.SenderReport); ok {
				select {
				case v.reports <- sr:
				default:
				}
			}
		}
	}
}

func (v *viewer) readSound(tr *webrtc.TrackRemote) {
	defer v.readers.Done()
	for {
		p, _, err := tr.ReadRTP()
		if err != nil {
			return
		}
		select {
		case v.sound <- *p:
		default:
		}
	}
}

// readVideo puts packets in order, waits a while for missing ones, and takes
// the frames out.
func (v *viewer) readVideo(tr *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	defer v.readers.Done()
	var captureID, playoutID uint8
	for _, e := range r.GetParameters().HeaderExtensions {
		switch e.URI {
		case absCaptureTimeURI:
			captureID = uint8(e.ID)
		case playoutDelayURI:
			playoutID = uint8(e.ID)
		}
	}
	held := map[uint16]*rtp.Packet{}
	var next uint16
	started := false
	var current []*rtp.Packet
	for {
		p, _, err := tr.ReadRTP()
		if err != nil {
			return
		}
		if !started {
			started, next = true, p.SequenceNumber
		}
		held[p.SequenceNumber] = p
		if held[next] == nil && beginsKeyFrame(p) && int16(p.SequenceNumber-next) > 0 {
			// What was lost before it is not sent again.
			next, current = p.SequenceNumber, nil
			for seq := range held {
				if int16(seq-next) < 0 {
					delete(held, seq)
				}
			}
		}
		for held[next] != nil {
			q := held[next]
			delete(held, next)
			next++
			current = append(current, q)
			if q.Marker {
				v.frames <- assemble(current, captureID, playoutID)
				current = nil
			}
		}
	}
}

func beginsKeyFrame(p *rtp.Packet) bool {
	var d codecs.VP8Packet
	b, err := d.Unmarshal(p.Payload)
	return err == nil && d.S == 1 && len(b) > 4 && b[4]&1 == 0
}

func assemble(packets []*rtp.Packet, captureID, playoutID uint8) gotFrame {
	var data []byte
	for _, p := range packets {
		var d codecs.VP8Packet
		b, err := d.Unmarshal(p.Payload)
		if err != nil {
			return gotFrame{}
		}
		data = append(data, b...)
	}
	g := gotFrame{packet: *packets[0], capture: packets[0].GetExtension(captureID), playout: packets[0].GetExtension(playoutID)}
	if len(data) < 8 {
		return g
	}
	g.n = binary.BigEndian.Uint32(data)
	g.key = data[4]&1 == 0
	want := make([]byte, len(data))
	fill(want, g.n)
	want[4] = want[4]&^1 | data[4]&1
	g.whole = bytes.Equal(want, data)
	return g
}

// offer makes the viewer's offer, with candidates.
func (v *viewer) offer() string {
	v.t.Helper()
	offer, err := v.pc.CreateOffer(nil)
	if err != nil {
		v.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(v.pc)
	if err := v.pc.SetLocalDescription(offer); err != nil {
		v.t.Fatal(err)
	}
	<-gathered
	return v.pc.LocalDescription().SDP
}

// fastLink is what a page at home says of its link, bit/s.
const fastLink = 50_000_000

// watch makes a session under id.
func (v *viewer) watch(p *Publisher, id string) {
	v.t.Helper()
	v.watchWith(p, id, Signal{Proved: v.proved, Rate: fastLink})
}

func (v *viewer) watchWith(p *Publisher, id string, signal Signal) {
	v.t.Helper()
	signal.Ended = func(code, _ string) { v.ended <- code }
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	answer, err := p.Answer(ctx, id, v.offer(), false, signal)
	if err != nil {
		v.t.Fatal(err)
	}
	if err := v.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		v.t.Fatal(err)
	}
}

// next takes from a channel what the test waits for.
func next[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case x := <-c:
		return x
	case <-time.After(wait):
		t.Fatalf("no %s within %v", what, wait)
		panic("unreachable")
	}
}
