package encode

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/hraban/opus.v2"

	"github.com/peercam/peercam/capture"
)

// packets encodes pcm in runs of 10 ms whose stamps jitter by up to jitter.
func packets(t testing.TB, e *voiceEncoder, pcm []int16, rate, channels, loss int, jitter time.Duration) (out []*AudioFrame) {
	rng := rand.New(rand.NewPCG(7, 8))
	run := rate / 100
	for i := 0; (i+1)*run*channels <= len(pcm); i++ {
		at := at(i, 100)
		if jitter > 0 {
			at = at.Add(time.Duration(rng.Int64N(int64(2*jitter))) - jitter)
		}
		s := capture.Samples{PCM: pcm[i*run*channels : (i+1)*run*channels], Rate: rate, Channels: channels, Time: at}
		if _, err := e.encode(&s, loss, func(f *AudioFrame) { out = append(out, f) }); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// listener decodes with libopus.
func listener(t testing.TB, channels int) *opus.Decoder {
	d, err := opus.NewDecoder(opusRate, channels)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func hear(t testing.TB, frames []*AudioFrame, channels int) (pcm []int16) {
	d := listener(t, channels)
	for _, f := range frames {
		buf := make([]int16, 5760*channels)
		n, err := d.Decode(f.Data, buf)
		if err != nil {
			t.Fatal(err)
		}
		if n != f.Samples {
			t.Fatalf("a packet of %d samples holds %d", f.Samples, n)
		}
		pcm = append(pcm, buf[:n*channels]...)
	}
	return pcm
}

func TestToneComesBack(t *testing.T) {
	for _, rate := range []int{8000, 44100, 48000} {
		for _, channels := range []int{1, 2} {
			for _, sent := range []int{0, 1, 2} {
				t.Run(fmt.Sprintf("%dHz-%dch-as-%d", rate, channels, sent), func(t *testing.T) {
					e := voiceEncoder{channels: sent}
					frames := packets(t, &e, tone(rate, channels, 1000, 12000, 0.6), rate, channels, 0, 0)
					if n := len(frames); n < 29 || n > 30 {
						t.Errorf("600 ms gave %d packets", n)
					}
					heard := sent
					if sent == 0 {
						heard = channels
					}
					pcm := hear(t, frames, heard)
					mono := make([]int16, 0, len(pcm)/heard)
					for i := len(pcm) / 2 / heard * heard; i < len(pcm)*3/4; i += heard {
						mono = append(mono, pcm[i])
					}
					amplitude, rest := level(mono, opusRate, 1000)
					if amplitude < 0.8*12000 || amplitude > 1.2*12000 {
						t.Errorf("the tone's level became %.2f of what it was", amplitude/12000)
					}
					if rest > 0.2*amplitude {
						t.Errorf("other sound has %.0f %% of the tone's level", 100*rest/amplitude)
					}
				})
			}
		}
	}
}

func TestATonePassesOpusUndistorted(t *testing.T) {
	for channels := 1; channels <= 2; channels++ {
		for _, amplitude := range []float64{16000, 28000} {
			e := voiceEncoder{}
			pcm := hear(t, packets(t, &e, tone(opusRate, channels, 1000, amplitude, 2), opusRate, channels, 0, 0), channels)
			var left []int16
			for i := len(pcm) / 2 / channels * channels; i < len(pcm)*9/10; i += channels {
				left = append(left, pcm[i])
			}
			if got, rest := level(left, opusRate, 1000); rest > 0.01*got {
				t.Errorf("%d channels, amplitude %.0f: THD+N is %.2f %%, want 1 at most", channels, amplitude, 100*rest/got)
			}
		}
	}
}

func TestPacketsAreInStep(t *testing.T) {
	for _, rate := range []int{44100, 48000} {
		e := voiceEncoder{}
		frames := packets(t, &e, make([]int16, 5*rate), rate, 1, 0, 8*time.Millisecond)
		for i, f := range frames {
			if f.Samples != packetSamples || f.Timestamp != uint32(i*packetSamples) {
				t.Fatalf("packet %d: %d samples at timestamp %d", i, f.Samples, f.Timestamp)
			}
			if i == 0 {
				continue
			}
			if step := f.Time.Sub(frames[i-1].Time); step < 18*time.Millisecond || step > 22*time.Millisecond {
				t.Errorf("packet %d is %v after the one before: the jitter of 8 ms shows", i, step)
			}
			if off := f.Time.Add(opusDelay).Sub(at(i, 50)).Abs(); off > 8*time.Millisecond {
				t.Errorf("packet %d is %v off its capture time", i, off)
			}
		}
	}
}

// TestSilenceIsCheap mutes speech for two seconds, and compares what is heard
// before and after to speech that was never muted.
func TestSilenceIsCheap(t *testing.T) {
	for _, channels := range []int{1, 2} {
		const second = opusRate
		voice := speech(opusRate, channels, 6)
		muted := slices.Clone(voice)
		clear(muted[2*second*channels : 4*second*channels])
		frames := packets(t, &voiceEncoder{}, muted, opusRate, channels, 5, 0)
		size := 0
		for _, f := range frames[2*50+10 : 4*50-1] {
			size += len(f.Data)
		}
		if kbit := float64(size) * 8 / 1000 / (float64(2*50-11) / 50); kbit > 1.3 {
			t.Errorf("%d channels: silence takes %.1f kbit/s", channels, kbit)
		}
		got := hear(t, frames, channels)
		want := hear(t, packets(t, &voiceEncoder{}, voice, opusRate, channels, 5, 0), channels)
		energy := func(pcm []int16) (sum float64) {
			for _, s := range pcm {
				sum += float64(s) * float64(s)
			}
			return sum
		}
		for i := range 12 { // half seconds
			part := func(pcm []int16) []int16 { return pcm[i*second/2*channels:][:(second/2-400)*channels] }
			heard, meant := energy(part(got)), energy(part(want))
			switch {
			case i == 4: // the echo of what was before
			case i > 4 && i < 8:
				if heard > 0 {
					t.Errorf("%d channels: half second %d is muted and has an energy of %.0f", channels, i, heard)
				}
			default:
				if db := 10 * math.Log10(heard/meant); math.Abs(db) > 0.5 {
					t.Errorf("%d channels: half second %d is %+.1f dB as loud as without a mute", channels, i, db)
				}
			}
		}
	}
}

func TestGapsJump(t *testing.T) {
	e := voiceEncoder{}
	var frames []*AudioFrame
	run := func(at time.Time) (gap bool) {
		gap, err := e.encode(&capture.Samples{PCM: make([]int16, 960), Rate: opusRate, Channels: 1, Time: at}, 0,
			func(f *AudioFrame) { frames = append(frames, f) })
		if err != nil {
			t.Fatal(err)
		}
		return gap
	}
	t0 := at(0, 1)
	for _, step := range []struct {
		at        time.Duration
		gap       bool
		timestamp uint32
	}{
		{0, false, 0},
		{20 * time.Millisecond, false, 960},
		{90 * time.Millisecond, false, 1920}, // late, but no gap
		{60 * time.Millisecond, false, 2880},
		{5 * time.Second, true, 5 * 48000},
		{5020 * time.Millisecond, false, 5*48000 + 960},
		{time.Second, true, 5*48000 + 1920}, // the clock was set back: go on
		{1020 * time.Millisecond, false, 5*48000 + 2880},
		{49 * time.Hour, true, 5*48000 + 3840 + uint32((49*time.Hour-1040*time.Millisecond)*48000/time.Second&math.MaxUint32)},
	} {
		gap := run(t0.Add(step.at))
		f := frames[len(frames)-1]
		// What jitter pulled Time by is in the jump as well.
		if off := int32(f.Timestamp - step.timestamp); gap != step.gap || off < -200 || off > 200 {
			t.Errorf("at %v: gap %v, timestamp %d; want %v, %d", step.at, gap, f.Timestamp, step.gap, step.timestamp)
		}
		if off := f.Time.Add(opusDelay).Sub(t0.Add(step.at)).Abs(); off > mostDrift {
			t.Errorf("at %v: packet time is %v off", step.at, off)
		}
	}
}

func TestRateAndChannelsMayChange(t *testing.T) {
	e := voiceEncoder{}
	var frames []*AudioFrame
	for i, s := range []struct{ rate, channels int }{{48000, 1}, {44100, 1}, {44100, 2}, {16000, 1}} {
		n := s.rate / 10
		_, err := e.encode(&capture.Samples{PCM: make([]int16, n*s.channels), Rate: s.rate, Channels: s.channels, Time: at(i, 10)}, 0,
			func(f *AudioFrame) { frames = append(frames, f) })
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(frames) < 16 {
		t.Errorf("%d packets of 400 ms", len(frames))
	}
	for i := 1; i < len(frames); i++ {
		if frames[i].Timestamp < frames[i-1].Timestamp+packetSamples {
			t.Errorf("packet %d: timestamp %d after %d", i, frames[i].Timestamp, frames[i-1].Timestamp)
		}
	}
	hear(t, frames, 2)
}

func TestBadSoundIsRefused(t *testing.T) {
	for want, s := range map[string]capture.Samples{
		"0 channels": {PCM: make([]int16, 480), Rate: 48000},
		"6 channels": {PCM: make([]int16, 480), Rate: 48000, Channels: 6},
		"run of 481": {PCM: make([]int16, 481), Rate: 48000, Channels: 2},
		"of 4000":    {PCM: make([]int16, 480), Rate: 4000, Channels: 1},
	} {
		e := voiceEncoder{}
		if _, err := e.encode(&s, 0, func(*AudioFrame) {}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", s.Channels, err, want)
		}
	}
	e := voiceEncoder{channels: 1, bitrate: 1}
	if _, err := e.encode(&capture.Samples{PCM: make([]int16, 960), Rate: 48000, Channels: 1}, 0, func(*AudioFrame) {}); err != nil {
		t.Errorf("a bit rate below Opus' least is not raised: %v", err)
	}
}

// TestFECRecovers loses every fifth packet and compares what is heard there,
// with the copy in the next packet and without, to what is heard of all.
func TestFECRecovers(t *testing.T) {
	voice := speech(opusRate, 1, 10)
	recovered := func(loss int) float64 {
		e := voiceEncoder{}
		frames := packets(t, &e, voice, opusRate, 1, loss, 0)
		if p, err := e.encoder.PacketLossPerc(); err != nil || p != loss {
			t.Errorf("libopus knows of %d %% loss (%v), want %d", p, err, loss)
		}
		all, fec, plc := listener(t, 1), listener(t, 1), listener(t, 1)
		var errFEC, errPLC float64
		a, b, c := make([]int16, packetSamples), make([]int16, packetSamples), make([]int16, packetSamples)
		decode := func(d *opus.Decoder, f *AudioFrame, pcm []int16) {
			if _, err := d.Decode(f.Data, pcm); err != nil {
				t.Fatal(err)
			}
		}
		for i := 0; i+1 < len(frames); i++ {
			decode(all, frames[i], a)
			if i%5 != 4 {
				decode(fec, frames[i], b)
				decode(plc, frames[i], c)
				continue
			}
			if err := fec.DecodeFEC(frames[i+1].Data, b); err != nil {
				t.Fatal(err)
			}
			if err := plc.DecodePLC(c); err != nil {
				t.Fatal(err)
			}
			for k := range a {
				errFEC += math.Pow(float64(a[k])-float64(b[k]), 2)
				errPLC += math.Pow(float64(a[k])-float64(c[k]), 2)
			}
		}
		return 10 * math.Log10(errPLC/errFEC)
	}
	if gain := recovered(20); gain < 3 {
		t.Errorf("FEC is %.1f dB better than concealment, want 3 at least", gain)
	}
	if gain := recovered(0); gain > 1 {
		t.Errorf("with no loss reported FEC is %.1f dB better: it is paid for without need", gain)
	}
}
