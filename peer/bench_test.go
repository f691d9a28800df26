package peer

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/peercam/peercam/encode"
)

// nowhere is a network that takes everything.
type nowhere struct{ closed chan struct{} }

func (n nowhere) Read([]byte) (int, error)       { <-n.closed; return 0, io.EOF }
func (nowhere) Write(b []byte) (int, error)      { return len(b), nil }
func (n nowhere) Close() error                   { close(n.closed); return nil }
func (nowhere) LocalAddr() net.Addr              { return nil }
func (nowhere) RemoteAddr() net.Addr             { return nil }
func (nowhere) SetDeadline(time.Time) error      { return nil }
func (nowhere) SetReadDeadline(time.Time) error  { return nil }
func (nowhere) SetWriteDeadline(time.Time) error { return nil }

// benchSession is a session that encrypts for real and sends to nowhere.
func benchSession(b *testing.B, p *Publisher) *Session {
	b.Helper()
	key := srtp.SessionKeys{LocalMasterKey: make([]byte, 16), LocalMasterSalt: make([]byte, 12), RemoteMasterKey: make([]byte, 16), RemoteMasterSalt: make([]byte, 12)}
	secure, err := srtp.NewSessionSRTP(nowhere{make(chan struct{})}, &srtp.Config{Keys: key, Profile: srtp.ProtectionProfileAeadAes128Gcm})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = secure.Close() })
	w, err := secure.OpenWriteStream()
	if err != nil {
		b.Fatal(err)
	}
	t := newTrack(webrtc.RTPCodecTypeVideo, "bench")
	t.header = rtp.Header{Version: 2, PayloadType: 96, SSRC: 7}
	for id, payload := range map[uint8][]byte{4: t.transportSeq[:], 5: t.playout[:]} {
		if err := t.header.SetExtension(id, payload); err != nil {
			b.Fatal(err)
		}
	}
	t.plain = append([]rtp.Extension(nil), t.header.Extensions...)
	if err := t.header.SetExtension(13, t.captureTime[:]); err != nil {
		b.Fatal(err)
	}
	t.timed = t.header.Extensions
	t.writer, t.hasTransport = w, true
	t.bound.Store(true)
	s := &Session{p: p, video: t, transport: newTransport(), estimator: NewEstimator(startBitrate, leastBitrate, 5_000_000), lastReport: time.Now()}
	s.selection.Store(&selection{layer: allLayers})
	return s
}

// BenchmarkFrame sends one frame of 1.5 Mbit/s at 30 fps to all viewers: no
// allocation may grow with them.
func BenchmarkFrame(b *testing.B) {
	for _, viewers := range []int{1, 10, 40} {
		b.Run(fmt.Sprintf("viewers=%d", viewers), func(b *testing.B) {
			p, err := NewPublisher(Config{Video: newFakeVideo()})
			if err != nil {
				b.Fatal(err)
			}
			sessions := make([]*Session, viewers)
			for i := range sessions {
				sessions[i] = benchSession(b, p)
			}
			f := encode.NewFrame()
			f.Data = append(f.Data, make([]byte, 1_500_000/30/8)...)
			f.Time, f.Key = time.Now(), true // so that none is left out
			b.ReportAllocs()
			for b.Loop() {
				f.Time = f.Time.Add(time.Second / 30)
				for _, s := range sessions {
					s.pacer.rate = 1 << 40
					s.takeFrame(f.Time, f)
					s.flush(f.Time)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*viewers*packetCount(len(f.Data))), "ns/packet")
		})
	}
}

// BenchmarkFeedback takes one transport-wide feedback of 20 packets.
func BenchmarkFeedback(b *testing.B) {
	tr := newTransport()
	e := NewEstimator(startBitrate, 150_000, 5_000_000)
	recorder := twcc.NewRecorder(1)
	now := time.Now()
	for i := range 20 {
		recorder.Record(1, uint16(i), int64(i)*1000)
	}
	body, err := recorder.BuildFeedbackPacket()[0].Marshal()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		tr.next = 0
		for range 20 {
			tr.sent(now, 1200, 0)
		}
		acks, err := tr.feedback(body[12:])
		if err != nil {
			b.Fatal(err)
		}
		now = now.Add(100 * time.Millisecond)
		e.Feedback(now, acks)
	}
}
