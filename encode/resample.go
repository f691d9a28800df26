package encode

import (
	"fmt"
	"math"
)

// opusRate is the rate of everything behind the resampler, samples a second.
const opusRate = 48000

// resampler turns interleaved PCM of any rate into 48 kHz by band-limited
// interpolation: a bank of windowed sinc filters, one for each place an output
// sample can have between two input samples. It keeps an exact count, so it
// never drifts by itself, and its history, so runs join without a click. Output
// sample k is the sound at input time k/48000 s, with no shift; the filter only
// waits for the samples behind it. adjust bends the ratio while it runs.
//
// The Kaiser window puts images and aliases some 80 dB down; the band passes
// up to 0.88 of the lower rate's half (7 of 8 kHz for a 16 kHz microphone).
type resampler struct {
	rate     int
	step     int64       // from an output sample to the next, in 1/stepUnit input samples
	bank     []float32   // phases filters of taps; nil while 48 kHz are passed on
	taps     int         // a filter's length, input samples
	in       [][]float32 // a channel: history and what has come
	at       int         // where in in the next output's filter begins
	fraction int64       // and how far behind that it lies, in 1/stepUnit
}

const (
	kaiserBeta  = 8.0
	sincLobes   = 32   // a side, at the lower rate
	phases      = 1920 // the nearest is taken, exact for all usual rates; else wrong by less than -80 dB in the speech band
	cutoffShare = 0.94 // of the lower rate's half: the middle of the slope
	stepUnit    = opusRate << 16
)

// newResampler serves rates of 8 to 192 kHz.
func newResampler(rate, channels int) (*resampler, error) {
	if rate < 8000 || rate > 192000 {
		return nil, fmt.Errorf("sound of %d samples a second cannot be used: 8000 to 192000 can", rate)
	}
	lower := math.Min(1, float64(opusRate)/float64(rate)) // of the two rates, over the input's
	half := int(math.Ceil(sincLobes / lower))
	r := &resampler{rate: rate, step: int64(rate) << 16, taps: 2 * half}
	for range channels {
		r.in = append(r.in, make([]float32, half-1, 4*r.taps+rate/10))
	}
	if rate != opusRate {
		r.fillBank(lower)
	}
	return r, nil
}

func (r *resampler) fillBank(lower float64) {
	half := r.taps / 2
	r.bank = make([]float32, phases*r.taps)
	h := make([]float64, r.taps)
	for p := range phases {
		sum := 0.0
		for i := range h {
			x := float64(i-half+1) - float64(p)/phases
			h[i] = sinc(x*lower*cutoffShare) * kaiser(x/float64(half))
			sum += h[i]
		}
		for i := range h {
			r.bank[p*r.taps+i] = float32(h[i] / sum)
		}
	}
}

// adjust makes that much more output of the input from now on: 100e-6 is what
// a device needs whose samples come 100 ppm too slowly.
func (r *resampler) adjust(more float64) {
	exact := int64(r.rate) << 16
	r.step = exact - int64(more*float64(exact))
	if r.bank == nil && r.step != exact {
		r.fillBank(1)
	}
}

// ahead is how many output samples, at the present ratio, lie between the next
// one to come out and the next input sample to go in.
func (r *resampler) ahead() float64 {
	input := float64(len(r.in[0])-(r.at+r.taps/2-1)) - float64(r.fraction)/stepUnit
	return input * stepUnit / float64(r.step)
}

// process appends to out what pcm makes available.
func (r *resampler) process(out, pcm []int16) []int16 {
	for c := range r.in {
		for i := c; i < len(pcm); i += len(r.in) {
			r.in[c] = append(r.in[c], float32(pcm[i]))
		}
	}
	have := len(r.in[0])
	if r.bank == nil {
		for middle := r.taps/2 - 1; r.at+middle < have; r.at++ {
			for _, in := range r.in {
				out = append(out, int16(in[r.at+middle]))
			}
		}
	} else {
		out = r.interpolate(out, have)
	}
	if drop := min(r.at, have); drop > 0 {
		for c, in := range r.in {
			r.in[c] = in[:copy(in, in[drop:])]
		}
		r.at -= drop
	}
	return out
}

func (r *resampler) interpolate(out []int16, have int) []int16 {
	whole, part := int(r.step/stepUnit), r.step%stepUnit
	for r.at+r.taps <= have {
		p, shift := int((r.fraction*phases+stepUnit/2)/stepUnit), 0
		if p == phases { // the nearest is the next input sample's first
			p, shift = 0, 1
			if r.at+shift+r.taps > have {
				break
			}
		}
		filter := r.bank[p*r.taps : (p+1)*r.taps]
		for _, in := range r.in {
			out = append(out, clip(dot(filter, in[r.at+shift:])))
		}
		r.at += whole
		if r.fraction += part; r.fraction >= stepUnit {
			r.fraction -= stepUnit
			r.at++
		}
	}
	return out
}

// dot multiplies in four sums, which the processor can work at side by side.
func dot(h, x []float32) float32 {
	var a, b, c, d float32
	for len(h) >= 4 && len(x) >= 4 {
		a += h[0] * x[0]
		b += h[1] * x[1]
		c += h[2] * x[2]
		d += h[3] * x[3]
		h, x = h[4:], x[4:]
	}
	for i := range h {
		a += h[i] * x[i]
	}
	return (a + b) + (c + d)
}

func clip(v float32) int16 {
	if v < 0 {
		return int16(max(v-0.5, math.MinInt16))
	}
	return int16(min(v+0.5, math.MaxInt16))
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// kaiser is the Kaiser window over -1 to 1.
func kaiser(x float64) float64 {
	return bessel0(kaiserBeta*math.Sqrt(math.Max(0, 1-x*x))) / bessel0(kaiserBeta)
}

// bessel0 is the modified Bessel function of order zero, by its power series.
func bessel0(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > sum*1e-12; k++ {
		term *= x * x / (4 * k * k)
		sum += term
	}
	return sum
}
