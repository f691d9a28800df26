package encode

import (
	"math"
	"math/rand/v2"
)

// tone is seconds of a sine, interleaved.
func tone(rate, channels int, hz, amplitude, seconds float64) []int16 {
	out := make([]int16, 0, int(float64(rate)*seconds)*channels)
	for i := range int(float64(rate) * seconds) {
		v := int16(math.Round(amplitude * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
		for range channels {
			out = append(out, v)
		}
	}
	return out
}

// speech is seconds of something that Opus takes for speech: a buzz of gliding
// pitch through two resonances, cut into syllables.
func speech(rate, channels int, seconds float64) []int16 {
	rng := rand.New(rand.NewPCG(3, 4))
	out := make([]int16, 0, int(float64(rate)*seconds)*channels)
	phase := 0.0
	var a, b [2]float64 // the resonators' last two outputs
	resonate := func(s *[2]float64, in, hz, width float64) float64 {
		r := math.Exp(-math.Pi * width / float64(rate))
		v := in + 2*r*math.Cos(2*math.Pi*hz/float64(rate))*s[0] - r*r*s[1]
		s[1], s[0] = s[0], v
		return v * (1 - r)
	}
	for i := range int(float64(rate) * seconds) {
		t := float64(i) / float64(rate)
		phase += (120 + 30*math.Sin(2*t)) / float64(rate)
		pulse := 0.02 * rng.NormFloat64()
		if phase >= 1 {
			phase--
			pulse += math.Sqrt(float64(rate))
		}
		loud := math.Pow(math.Sin(math.Pi*3*t), 2)
		v := resonate(&a, pulse, 500+200*math.Sin(5*t), 80) + 0.6*resonate(&b, pulse, 1500+400*math.Sin(3*t), 120)
		s := int16(max(-32000, min(32000, 9000*loud*v)))
		for range channels {
			out = append(out, s)
		}
	}
	return out
}

// level is the amplitude of the tone of hz in pcm, and rest the effective
// amplitude of everything else.
func level(pcm []int16, rate int, hz float64) (amplitude, rest float64) {
	// Least squares for a sine, a cosine and a constant: exact for any length.
	var m [3][4]float64
	for i, s := range pcm {
		w := 2 * math.Pi * hz * float64(i) / float64(rate)
		v := [4]float64{math.Sin(w), math.Cos(w), 1, float64(s)}
		for r := range 3 {
			for c := range 4 {
				m[r][c] += v[r] * v[c]
			}
		}
	}
	for p := range 3 {
		for r := range 3 {
			if r != p {
				f := m[r][p] / m[p][p]
				for c := range 4 {
					m[r][c] -= f * m[p][c]
				}
			}
		}
	}
	a, b, dc := m[0][3]/m[0][0], m[1][3]/m[1][1], m[2][3]/m[2][2]
	sum := 0.0
	for i, s := range pcm {
		w := 2 * math.Pi * hz * float64(i) / float64(rate)
		d := float64(s) - a*math.Sin(w) - b*math.Cos(w) - dc
		sum += d * d
	}
	return math.Hypot(a, b), math.Sqrt(2 * sum / float64(len(pcm)))
}
