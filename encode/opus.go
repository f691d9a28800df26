package encode

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"gopkg.in/hraban/opus.v2"

	"github.com/peercam/peercam/capture"
)

const (
	// packetSamples is a packet's length at 48 kHz: 20 ms.
	packetSamples = 960
	// opusDelay is how much later than its packet says a decoder gives a
	// sound: libopus' look-ahead of 312 samples, in each mode used here.
	opusDelay = 312 * time.Second / opusRate
)

// voiceEncoder turns runs of samples into Opus packets (RFC 6716) of 20 ms. It
// is for one goroutine at a time.
//
// Mono is taken for speech (VOIP), stereo for everything (AUDIO). In-band FEC
// is on: as soon as loss is reported, packets carry a coarse copy of the one
// before, where Opus codes speech as such. DTX is off, since browsers' measure
// of delay suffers from pauses; but what is muted costs next to nothing: after
// silenceHold, packets of silence are sent that no encoder has to make.
type voiceEncoder struct {
	channels int // asked for; 0: as the source
	bitrate  int // bit/s; 0: 32000 a channel

	encoder   *opus.Encoder
	encoded   int // channels of encoder
	loss      int // percent, as encoder knows it
	resampler *resampler
	clock     soundClock
	mixed     []int16 // scratch: a run in encoder's channels
	pending   []int16 // 48 kHz, less than a packet
	silent    int     // packets of nothing but zeros in a row
	packet    [1275]byte
}

// complexity keeps audio at 1 % of a core, on libopus' own scale of 0 to 10.
// Speech in mono takes 0.8 % of a 2.8 GHz core with 3 and 1.7 % with 9; below 3
// hardly less. Stereo is coded by CELT, whose pitch filter begins at 5: then
// 0.55 %, a tenth more than with 3, and a tone of 1 kHz is distorted by 0.8 %
// instead of 1.9.
func complexity(channels int, slow bool) int {
	switch {
	case channels == 2:
		return 5
	case slow:
		return 1
	}
	return 3
}

// encode takes a run and hands the packets that it completes to sink. loss is
// the receivers' worst, in percent. gap: sound was missing before the run.
func (e *voiceEncoder) encode(s *capture.Samples, loss int, sink func(*AudioFrame)) (gap bool, err error) {
	if gap, err = e.put(s, loss); err != nil {
		return gap, err
	}
	return gap, e.flush(sink)
}

// put takes a run to what is pending, in step with the clock.
func (e *voiceEncoder) put(s *capture.Samples, loss int) (gap bool, err error) {
	if s.Channels != 1 && s.Channels != 2 || len(s.PCM)%s.Channels != 0 {
		return false, fmt.Errorf("sound of %d channels in a run of %d samples cannot be used: 1 or 2 channels can", s.Channels, len(s.PCM))
	}
	if gap, err = e.adjust(s, loss); err != nil {
		return false, err
	}
	if gap {
		e.clock.restart(s.Time)
	}
	more, missing := e.clock.push(s.Time, span(int64(len(s.PCM)/s.Channels), s.Rate), float64(len(e.pending)/e.encoded)+e.resampler.ahead())
	if missing {
		gap = true
		if err := e.begin(s.Rate); err != nil {
			return gap, err
		}
	}
	e.resampler.adjust(more)
	e.mixed = mix(e.mixed[:0], s.PCM, s.Channels, e.encoded)
	e.pending = e.resampler.process(e.pending, e.mixed)
	return gap, nil
}

// flush encodes whole packets.
func (e *voiceEncoder) flush(sink func(*AudioFrame)) error {
	n := packetSamples * e.encoded
	done := 0
	for ; len(e.pending)-done >= n; done += n {
		data, err := e.code(e.pending[done : done+n])
		if err != nil {
			return fmt.Errorf("encode 20 ms of sound: %w", err)
		}
		f := &AudioFrame{
			Data:      data,
			Time:      e.clock.next().Add(-opusDelay),
			Timestamp: e.clock.timestamp(),
			Samples:   packetSamples,
		}
		e.clock.take(packetSamples)
		sink(f)
	}
	e.pending = e.pending[:copy(e.pending, e.pending[done:])]
	return nil
}

// silenceHold is how many packets of zeros are encoded, for the echo of what
// was before, until silence is sent as such.
const silenceHold = 5

// silence is 20 ms of it, in mono and stereo: a CELT frame (RFC 6716, 3.1) whose
// first symbol says so.
var silence = [2][]byte{{0xf8, 0xff, 0xfe}, {0xfc, 0xff, 0xfe}}

// code makes a packet of pcm.
func (e *voiceEncoder) code(pcm []int16) ([]byte, error) {
	if slices.ContainsFunc(pcm, func(s int16) bool { return s != 0 }) {
		if e.silent > silenceHold { // decoders have begun anew
			if err := e.encoder.Reset(); err != nil {
				return nil, err
			}
		}
		e.silent = 0
	} else if e.silent++; e.silent > silenceHold {
		return silence[e.encoded-1], nil
	}
	size, err := e.encoder.Encode(pcm, e.packet[:])
	return append([]byte(nil), e.packet[:size]...), err
}

// adjust follows what the run and the receivers ask for. anew: what is not
// handed out yet is void.
func (e *voiceEncoder) adjust(s *capture.Samples, loss int) (anew bool, err error) {
	channels := cmp.Or(e.channels, s.Channels)
	first := e.encoder == nil
	if first || channels != e.encoded {
		if err := e.open(channels); err != nil {
			return false, err
		}
		e.resampler = nil
	}
	if e.resampler == nil || e.resampler.rate != s.Rate {
		anew = !first
		if err := e.begin(s.Rate); err != nil {
			return false, err
		}
	}
	if loss != e.loss {
		if err := e.encoder.SetPacketLossPerc(loss); err != nil {
			return false, fmt.Errorf("tell Opus of %d %% loss: %w", loss, err)
		}
		e.loss = loss
	}
	return anew, nil
}

// begin forgets what is not handed out yet.
func (e *voiceEncoder) begin(rate int) (err error) {
	e.pending = e.pending[:0]
	e.resampler, err = newResampler(rate, e.encoded)
	return err
}

func (e *voiceEncoder) open(channels int) error {
	application := opus.Application(opus.AppVoIP)
	if channels == 2 {
		application = opus.AppAudio
	}
	bitrate := e.bitrate
	if bitrate == 0 {
		bitrate = 32000 * channels
	}
	enc, err := opus.NewEncoder(opusRate, channels, application)
	if err != nil {
		return fmt.Errorf("open the Opus encoder for %d channels: %w", channels, err)
	}
	for _, err := range []error{
		enc.SetBitrate(bitrate),
		enc.SetComplexity(complexity(channels, slowCores())),
		enc.SetInBandFEC(true),
		enc.SetDTX(false),
	} {
		if err != nil {
			return fmt.Errorf("set the Opus encoder to %d channels and %d bit/s: %w", channels, bitrate, err)
		}
	}
	e.encoder, e.encoded, e.loss = enc, channels, 0
	return nil
}

// mix appends pcm to out in another number of channels.
func mix(out, pcm []int16, from, to int) []int16 {
	switch {
	case from == to:
		return append(out, pcm...)
	case to == 2:
		for _, s := range pcm {
			out = append(out, s, s)
		}
	default:
		for i := 0; i+1 < len(pcm); i += 2 {
			out = append(out, int16((int32(pcm[i])+int32(pcm[i+1]))/2))
		}
	}
	return out
}
