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
// never drifts, and its history, so runs join without a click. Output sample k
// is the sound at input time k/48000 s, with no shift; the filter only waits
// for the samples behind it.
//
// The Kaiser window puts images and aliases some 80 dB down; the band passes
// up to 0.88 of the lower rate's half (7 of 8 kHz for a 16 kHz microphone).
type resampler struct {
	channels int
	up, down int // 48000/rate in lowest terms
	phases   int
	bank     []float32   // phases filters of taps
	taps     int         // a filter's length, input samples
	in       [][]float32 // a channel: history and what has come
	at       int         // where in in the next output's filter begins
	fraction int         // and how far behind that it lies, in 1/up
}

const (
	kaiserBeta  = 8.0
	sincLobes   = 32   // a side, at the lower rate
	mostPhases  = 2048 // odd rates take the nearest of these: error below -80 dB in the speech band
	cutoffShare = 0.94 // of the lower rate's half: the middle of the slope
)

// newResampler serves rates of 8 to 192 kHz. For 48 kHz it is nil, which
// process takes as nothing to do.
func newResampler(rate, channels int) (*resampler, error) {
	if rate < 8000 || rate > 192000 {
		return nil, fmt.Errorf("sound of %d samples a second cannot be used: 8000 to 192000 can", rate)
	}
	if rate == opusRate {
		return nil, nil
	}
	d := gcd(opusRate, rate)
	r := &resampler{channels: channels, up: opusRate / d, down: rate / d}
	r.phases = min(r.up, mostPhases)
	lower := math.Min(1, float64(opusRate)/float64(rate)) // of the two rates, over the input's
	half := int(math.Ceil(sincLobes / lower))
	r.taps = 2 * half
	r.bank = make([]float32, r.phases*r.taps)
	for p := range r.phases {
		filter := r.bank[p*r.taps : (p+1)*r.taps]
		h := make([]float64, r.taps)
		sum := 0.0
		for i := range h {
			x := float64(i-half+1) - float64(p)/float64(r.phases)
			h[i] = sinc(x*lower*cutoffShare) * kaiser(x/float64(half))
			sum += h[i]
		}
		for i := range h {
			filter[i] = float32(h[i] / sum)
		}
	}
	for range channels {
		r.in = append(r.in, make([]float32, half-1, 4*r.taps+rate/10))
	}
	return r, nil
}

// process appends to out what pcm makes available.
func (r *resampler) process(out, pcm []int16) []int16 {
	if r == nil {
		return append(out, pcm...)
	}
	for c := range r.in {
		for i := c; i < len(pcm); i += r.channels {
			r.in[c] = append(r.in[c], float32(pcm[i]))
		}
	}
	have := len(r.in[0])
	whole, part := r.down/r.up, r.down%r.up
	for r.at+r.taps <= have {
		p, shift := r.fraction, 0
		if r.phases != r.up { // the nearest, which may be the next input sample's first
			p = (p*r.phases + r.up/2) / r.up
			if p == r.phases {
				p, shift = 0, 1
			}
			if r.at+shift+r.taps > have {
				break
			}
		}
		filter := r.bank[p*r.taps : (p+1)*r.taps]
		for _, in := range r.in {
			out = append(out, clip(dot(filter, in[r.at+shift:])))
		}
		r.at += whole
		if r.fraction += part; r.fraction >= r.up {
			r.fraction -= r.up
			r.at++
		}
	}
	if drop := min(r.at, have); drop > 0 {
		for c, in := range r.in {
			r.in[c] = in[:copy(in, in[drop:])]
		}
		r.at -= drop
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

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
