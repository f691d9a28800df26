package peer

import (
	"bytes"
	"context"
	"hash/fnv"
	"image"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/mediadevices/pkg/codec"
	"github.com/pion/mediadevices/pkg/codec/vpx"
	"github.com/pion/mediadevices/pkg/prop"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"github.com/peercam/peercam/capture"
	"github.com/peercam/peercam/encode"
)

// film is a source that gives one moving picture for each time it is asked for.
type film struct {
	times chan time.Time
	done  chan struct{}
}

func (f *film) Open(context.Context, capture.Format) (capture.VideoReader, error) { return f, nil }
func (f *film) String() string                                                    { return "film" }
func (f *film) Format() capture.Format                                            { return capture.Format{Width: 640, Height: 360, FPS: 30} }
func (f *film) Close() error                                                      { close(f.done); return nil }

func (f *film) Read() (*capture.Frame, error) {
	var at time.Time
	select {
	case at = <-f.times:
	case <-f.done:
		return nil, io.ErrClosedPipe
	}
	img := image.NewYCbCr(image.Rect(0, 0, 640, 360), image.YCbCrSubsampleRatio420)
	shift := int(at.UnixMilli() / 10)
	for y := range 360 {
		for x := range 640 {
			img.Y[y*img.YStride+x] = byte((x+shift)/3 + (y*y)>>9)
		}
	}
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = byte(i+shift), byte(i>>3)
	}
	return &capture.Frame{YCbCr: img, Time: at}, nil
}

// decoder is libvpx's, with what it shows as a hash.
type decoder struct {
	t   *testing.T
	in  bytes.Buffer
	dec codec.VideoDecoder
}

func newDecoder(t *testing.T) *decoder {
	t.Helper()
	d := &decoder{t: t}
	var err error
	if d.dec, err = vpx.NewDecoder(&d.in, prop.Media{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.dec.Close() })
	return d
}

type shown struct {
	width int
	hash  uint64
}

func (d *decoder) show(data []byte) shown {
	d.t.Helper()
	d.in.Write(data)
	img, release, err := d.dec.Read()
	if err != nil {
		d.t.Fatalf("libvpx cannot decode a frame of %d bytes: %v", len(data), err)
	}
	defer release()
	p := img.(*image.YCbCr)
	h := fnv.New64a()
	w, height := p.Rect.Dx(), p.Rect.Dy()
	for y := range height {
		_, _ = h.Write(p.Y[y*p.YStride : y*p.YStride+w])
	}
	for y := range height / 2 {
		_, _ = h.Write(p.Cb[y*p.CStride : y*p.CStride+w/2])
		_, _ = h.Write(p.Cr[y*p.CStride : y*p.CStride+w/2])
	}
	return shown{w, h.Sum64()}
}

// encodeFilm encodes n pictures on three layered rungs, with key frames now
// and then, and tells what one who got every frame of a rung would see.
func encodeFilm(t *testing.T, n int) (pictures [][]*encode.Frame, sees []map[shown]bool) {
	t.Helper()
	f := &film{times: make(chan time.Time), done: make(chan struct{})}
	ladder := encode.NewLadder(encode.LadderConfig{Source: f, Want: f.Format(), Bitrate: 900_000, CPUUsed: -12, Log: slog.New(slog.DiscardHandler)})
	ladder.Want(7, 7)
	for rung, rate := range []int{900_000, 300_000, 100_000} {
		ladder.SetBitrate(rung, rate)
	}
	out := make(chan *encode.Frame, 3)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- ladder.Run(ctx, func(f *encode.Frame) { f.Retain(); out <- f }) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	random := rand.New(rand.NewPCG(7, 7))
	decoders := []*decoder{newDecoder(t), newDecoder(t), newDecoder(t)}
	sees = []map[shown]bool{{}, {}, {}}
	start := time.Now()
	for i := range n {
		for rung := range 3 {
			if i == 0 || random.IntN(12) == 0 {
				ladder.KeyFrame(rung)
			}
		}
		f.times <- start.Add(time.Duration(i) * time.Second / 30)
		var picture []*encode.Frame
		// What rate control leaves out does not come: the stats tell when all is done.
		for done := false; !done; {
			select {
			case frame := <-out:
				picture = append(picture, frame)
			case <-time.After(time.Millisecond):
			}
			count := uint64(len(picture))
			for _, p := range pictures {
				count += uint64(len(p))
			}
			var made, left uint64
			for _, r := range ladder.Stats().Rungs {
				made, left = made+r.Encoded, left+r.Skipped
			}
			done = count == made && made+left == uint64(3*(i+1))
		}
		for _, frame := range picture {
			sees[frame.Rung][decoders[frame.Rung].show(frame.Data)] = true
		}
		pictures = append(pictures, picture)
	}
	return pictures, sees
}

// wire takes packets as the network would.
type wire struct{ packets []rtp.Packet }

func (w *wire) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	w.packets = append(w.packets, rtp.Packet{Header: h.Clone(), Payload: bytes.Clone(payload)})
	return len(payload), nil
}

func (w *wire) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// receiver decodes what RFC 7741's fields tell that it can, as browsers do.
type receiver struct {
	t       *testing.T
	dec     *decoder
	packets []rtp.Packet // of the frame that comes
	next    uint16       // sequence number
	started bool
	broken  bool // a packet of this frame is missing

	base     uint8 // TL0PICIDX of the last base frame that was decoded
	alive    bool
	whole    bool   // no picture is missing since then
	last     uint16 // picture id
	lastTime uint32
	sees     []shown
}

func (r *receiver) take(p *rtp.Packet) {
	if r.started && p.SequenceNumber != r.next {
		r.broken = true
		r.packets = r.packets[:0]
	}
	r.started, r.next = true, p.SequenceNumber+1
	r.packets = append(r.packets, *p)
	if !p.Marker {
		return
	}
	packets := r.packets
	r.packets = nil
	whole := !r.broken
	r.broken = false
	var first codecs.VP8Packet
	var data []byte
	for i := range packets {
		var d codecs.VP8Packet
		b, err := d.Unmarshal(packets[i].Payload)
		if err != nil {
			r.t.Fatal(err)
		}
		if i == 0 {
			first = d
		}
		data = append(data, b...)
	}
	if whole && first.S == 1 {
		r.frame(&first, packets[0].Timestamp, data)
	}
}

func (r *receiver) frame(d *codecs.VP8Packet, timestamp uint32, data []byte) {
	if len(r.sees) > 0 && int32(timestamp-r.lastTime) <= 0 {
		r.t.Fatalf("timestamp %d after %d", timestamp, r.lastTime)
	}
	key := data[0]&1 == 0
	r.whole = r.whole && d.PictureID == (r.last+1)&0x7fff
	r.last = d.PictureID
	switch {
	case key:
		r.alive, r.base, r.whole = true, d.TL0PICIDX, true
	case !r.alive:
		return
	case d.TID == 0:
		if d.TL0PICIDX != r.base+1 {
			r.alive = false // a base frame is missing
			return
		}
		r.base, r.whole = d.TL0PICIDX, true
	case d.TL0PICIDX != r.base:
		return
	case d.Y == 0 && !r.whole:
		return // it may refer to the one that is missing
	}
	r.lastTime = timestamp
	r.sees = append(r.sees, r.dec.show(data))
}

// Over random switches of rung and layers, full queues and lost packets the
// viewer sees one stream: numbers without holes, times that rise, and not one
// picture that differs from what the encoder meant.
func TestSwitchesAndLossesLeaveOneDecodableStream(t *testing.T) {
	pictures, sees := encodeFilm(t, 240)
	defer func() {
		for _, picture := range pictures {
			for _, f := range picture {
				f.Release()
			}
		}
	}()
	const seeds = 30
	total := 0
	for seed := range uint64(seeds) {
		random := rand.New(rand.NewPCG(seed, 3))
		p, err := NewPublisher(Config{Video: newFakeVideo()})
		if err != nil {
			t.Fatal(err)
		}
		w := &wire{}
		track := newTrack(webrtc.RTPCodecTypeVideo, "test")
		track.header = rtp.Header{Version: 2, PayloadType: 96, SSRC: 7, SequenceNumber: uint16(random.Uint32())}
		track.writer, track.offset = w, random.Uint32()
		track.bound.Store(true)
		s := &Session{
			p: p, video: track, transport: newTransport(), estimator: NewEstimator(startBitrate, leastBitrate, 5_000_000),
			frames: make(chan *encode.Frame, videoQueue), lastReport: time.Now(), pictureID: randomPictureID(), sending: -1,
		}
		s.rung.Store(-1)
		s.connected.Store(true)
		s.selection.Store(&selection{layer: allLayers})
		s.pacer.set(3_000_000, false)
		now := time.Now()
		for _, picture := range pictures {
			now = now.Add(time.Second / 30)
			switch random.IntN(12) {
			case 0:
				s.selection.Store(&selection{rung: random.IntN(3), layer: random.IntN(3), paused: random.IntN(6) == 0})
			case 1:
				s.pacer.set(100_000+random.IntN(3_000_000), random.IntN(2) == 0)
			}
			for _, f := range picture {
				s.offerFrame(f)
			}
			if random.IntN(15) == 0 {
				continue // the session's goroutine is late
			}
			for len(s.frames) > 0 {
				f := <-s.frames
				s.takeFrame(now, f)
				f.Release()
			}
			s.flush(now.Add(time.Duration(random.IntN(30)) * time.Millisecond))
		}
		r := &receiver{t: t, dec: newDecoder(t)}
		for i := range w.packets {
			if i > 0 && w.packets[i].SequenceNumber != w.packets[i-1].SequenceNumber+1 {
				t.Fatalf("seed %d: sequence number %d after %d", seed, w.packets[i].SequenceNumber, w.packets[i-1].SequenceNumber)
			}
			if seed%2 == 0 || random.IntN(25) > 0 {
				r.take(&w.packets[i])
			}
		}
		s.outbox.clear()
		s.history.clear()
		for len(s.frames) > 0 {
			(<-s.frames).Release()
		}
		total += len(r.sees)
		for i, got := range r.sees {
			rung := map[int]int{640: 0, 320: 1, 160: 2}[got.width]
			if !sees[rung][got] {
				t.Fatalf("seed %d: picture %d, %d pixels wide, is not one that was encoded", seed, i, got.width)
			}
		}
	}
	if total < seeds*20 {
		t.Errorf("only %d pictures came in %d runs", total, seeds)
	}
}
