package encode

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestResamplerKeepsTones(t *testing.T) {
	for _, rate := range []int{8000, 11025, 16000, 22050, 32000, 44100, 44056, 47999, 88200, 96000, 176400, 192000} {
		for _, hz := range []float64{100, 1000, 3000, 7000, 15000} {
			if hz > 0.85*math.Min(float64(rate), opusRate)/2 {
				continue
			}
			t.Run(fmt.Sprintf("%dHz-from-%d", int(hz), rate), func(t *testing.T) {
				r, err := newResampler(rate, 1)
				if err != nil {
					t.Fatal(err)
				}
				in := tone(rate, 1, hz, 16000, 0.15)
				out := r.process(nil, in)
				out = out[len(out)/4 : len(out)*3/4] // without the tone's own start
				amplitude, rest := level(out, opusRate, hz)
				if amplitude < 15800 || amplitude > 16200 {
					t.Errorf("the level became %.3f of what it was", amplitude/16000)
				}
				if db := 20 * math.Log10(rest/amplitude); db > -69 {
					t.Errorf("THD+N is %.1f dB, want below -69", db)
				}
			})
		}
	}
}

func TestResamplerStopsAliases(t *testing.T) {
	for _, rate := range []int{88200, 96000, 192000} {
		for _, hz := range []float64{26000, 30000, 40000} {
			r, err := newResampler(rate, 1)
			if err != nil {
				t.Fatal(err)
			}
			out := r.process(nil, tone(rate, 1, hz, 16000, 0.15))
			out = out[len(out)/4 : len(out)*3/4]
			_, rest := level(out, opusRate, 1000)
			if db := 20 * math.Log10(rest/16000); db > -70 {
				t.Errorf("%.0f Hz of %d comes back as noise of %.1f dB, want below -70", hz, rate, db)
			}
		}
	}
}

func TestResamplerJoinsRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, rate := range []int{8000, 44100, 47999, 192000} {
		in := speech(rate, 2, 0.5)
		whole, _ := newResampler(rate, 2)
		parts, _ := newResampler(rate, 2)
		want := whole.process(nil, in)
		var got []int16
		for rest := in; len(rest) > 0; {
			n := 2 * min(rng.IntN(rate/50)+1, len(rest)/2)
			got = parts.process(got, rest[:n])
			rest = rest[n:]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d Hz: runs of other lengths sound otherwise", rate)
		}
	}
}

func TestResamplerIsExactForever(t *testing.T) {
	for _, rate := range []int{8000, 44100, 47999} {
		r, _ := newResampler(rate, 1)
		run, out := make([]int16, rate/10+1), []int16(nil)
		in, n, first := 0, 0, 0.0
		for i := range 100 { // ten seconds: a ratio wrong by 10 ppm would show
			out = r.process(out[:0], run)
			in += len(run)
			n += len(out)
			late := float64(in)*opusRate/float64(rate) - float64(n) // what waits for the filter's second half
			if i == 0 {
				first = late
			}
			if step := math.Max(1, opusRate/float64(rate)); late < 0 || math.Abs(late-first) > step {
				t.Fatalf("%d Hz: %d samples became %d, %.1f behind; it began with %.1f", rate, in, n, late, first)
			}
		}
	}
}

func TestResamplerKeepsChannelsApart(t *testing.T) {
	left, right := tone(44100, 1, 440, 12000, 0.3), tone(44100, 1, 1234, 9000, 0.3)
	both := make([]int16, 0, 2*len(left))
	for i := range left {
		both = append(both, left[i], right[i])
	}
	r, _ := newResampler(44100, 2)
	out := r.process(nil, both)
	for c, mono := range [][]int16{left, right} {
		alone, _ := newResampler(44100, 1)
		for i, s := range alone.process(nil, mono) {
			if out[2*i+c] != s {
				t.Fatalf("channel %d differs from itself alone at sample %d", c, i)
			}
		}
	}
}

func TestResamplerClips(t *testing.T) {
	r, _ := newResampler(16000, 1)
	in := make([]int16, 1600) // a square as loud as can be: its overshoots do not fit
	for i := range in {
		in[i] = math.MaxInt16
		if i/8%2 == 1 {
			in[i] = math.MinInt16
		}
	}
	out := r.process(nil, in)
	for i := 200; i < len(out); i++ {
		if middle := i / 3 % 8; middle < 2 || middle > 5 {
			continue
		}
		if (out[i] > 0) != (in[i/3] > 0) {
			t.Fatalf("sample %d overflowed to %d", i, out[i])
		}
	}
	if slices.Max(out) != math.MaxInt16 {
		t.Error("nothing was clipped: this test tests nothing")
	}
}

func TestResamplerRefusesRates(t *testing.T) {
	for _, rate := range []int{-1, 0, 7999, 192001, 1 << 40} {
		if _, err := newResampler(rate, 1); err == nil || !strings.Contains(err.Error(), fmt.Sprint(rate)) {
			t.Errorf("a rate of %d: %v", rate, err)
		}
	}
}

func FuzzResampler(f *testing.F) {
	f.Add(44100, uint16(441), int16(100))
	f.Add(8000, uint16(1), int16(32767))
	f.Add(192000, uint16(1920), int16(-32768))
	f.Fuzz(func(t *testing.T, rate int, run uint16, value int16) {
		r, err := newResampler(rate, 1)
		if err != nil {
			return
		}
		in := slices.Repeat([]int16{value}, int(run)%4000+1)
		var out []int16
		for range 5 {
			out = r.process(out, in)
		}
		for _, s := range out[min(len(out), 3*sincLobes*max(1, opusRate/rate)):] {
			if d := int(s) - int(value); d < -1 || d > 1 {
				t.Fatalf("%d Hz: a constant %d became %d", rate, value, s)
			}
		}
		in5 := float64(5*len(in)) * opusRate / float64(rate)
		if float64(len(out)) > in5+1 {
			t.Fatalf("%d Hz: %d samples from %.1f", rate, len(out), in5)
		}
	})
}
