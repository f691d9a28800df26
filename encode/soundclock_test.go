package encode

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/peercam/peercam/capture"
)

// card is a sound card whose clock is off, as seen through stamps that jitter.
type card struct {
	ppm    float64       // how much too slow its samples come
	jitter time.Duration // mean lateness of a stamp
	gaps   bool          // every ten minutes half a second is lost
	rng    *rand.Rand
	taken  time.Duration // true time of the next run, since the start
	runs   int
}

const cardRun = 10 * time.Millisecond // by the card's own clock

func newCard(ppm float64, jitter time.Duration, gaps bool) *card {
	return &card{ppm: ppm, jitter: jitter, gaps: gaps, rng: rand.New(rand.NewPCG(9, 10))}
}

// next is when the next run was taken, and the stamp that it bears.
func (c *card) next() (taken, stamp time.Duration) {
	if c.runs++; c.gaps && c.runs%60_000 == 0 {
		c.taken += 500 * time.Millisecond
	}
	taken = c.taken
	c.taken += time.Duration(float64(cardRun) * (1 + c.ppm*1e-6))
	return taken, taken + time.Duration(c.rng.ExpFloat64()*float64(c.jitter))
}

// TestAnHourOfSoundStaysInStep reckons an hour of sound: how far the time that
// a listener takes a sample for, by its RTP timestamp alone, is from when it
// was taken.
func TestAnHourOfSoundStaysInStep(t *testing.T) {
	for _, ppm := range []float64{-300, -20, 0, 50, 300} {
		for _, jitter := range []time.Duration{0, 3 * time.Millisecond} {
			for _, gaps := range []bool{false, true} {
				t.Run(fmt.Sprintf("%+.0fppm-jitter=%v-gaps=%v", ppm, jitter, gaps), func(t *testing.T) {
					c := newCard(ppm, jitter, gaps)
					var clock soundClock
					start := at(0, 1)
					var first time.Duration
					stretch, ahead := 0.0, 0.0 // as the resampler does, to a fraction of a sample
					worst, bends, gapsSeen := time.Duration(0), 0.0, 0
					for c.taken < time.Hour {
						taken, stamp := c.next()
						more, gap := clock.push(start.Add(stamp), cardRun, ahead)
						if gap {
							gapsSeen++
							ahead = 0
						}
						if c.runs == 1 {
							first = taken
						}
						if more != stretch {
							bends = math.Max(bends, math.Abs(more-stretch))
							stretch = more
						}
						if taken > 2*settleTime {
							heard := time.Duration(int64(clock.timestamp()))*time.Second/opusRate + time.Duration(ahead*float64(time.Second)/opusRate)
							worst = max(worst, (heard - (taken - first)).Abs())
						}
						ahead += 480 * (1 + stretch)
						n := int(ahead)
						clock.take(n)
						ahead -= float64(n)
					}
					t.Logf("at worst %v off; the pitch bent by %.0f ppm at most at once", worst, bends*1e6)
					if worst > 20*time.Millisecond {
						t.Errorf("sound is off by %v, want 20 ms at most", worst)
					}
					if bends > 100e-6 && !gaps {
						t.Errorf("the pitch bends by %.0f ppm at once: that is wow and flutter", bends*1e6)
					}
					if want := map[bool]int{true: 5}[gaps]; gapsSeen != want {
						t.Errorf("%d gaps, want %d", gapsSeen, want)
					}
				})
			}
		}
	}
}

// TestSoundOfASlowCardIsClean encodes what a real card would give, and listens
// to what goes into Opus: a tone of 1 kHz, by the card's clock.
func TestSoundOfASlowCardIsClean(t *testing.T) {
	for rate, ppm := range map[int]float64{44100: 300, 48000: -300} {
		t.Run(fmt.Sprintf("%d%+.0fppm", rate, ppm), func(t *testing.T) {
			const seconds = 25
			c := newCard(ppm, time.Millisecond, false)
			e := voiceEncoder{}
			var heard []int16
			var packets int
			n := 0
			for c.taken < seconds*time.Second {
				_, stamp := c.next()
				s := capture.Samples{PCM: make([]int16, rate/100), Rate: rate, Channels: 1, Time: at(0, 1).Add(stamp)}
				for i := range s.PCM {
					// The room's tone is 1 kHz; the card is off, its tone is so too.
					s.PCM[i] = int16(math.Round(16000 * math.Sin(2*math.Pi*1000*(1+ppm*1e-6)*float64(n)/float64(rate))))
					n++
				}
				before := len(e.pending)
				if gap, err := e.put(&s, 0); err != nil || gap {
					t.Fatal(gap, err)
				}
				heard = append(heard, e.pending[before:]...)
				if err := e.flush(func(*AudioFrame) { packets++ }); err != nil {
					t.Fatal(err)
				}
			}
			if off := float64(packets)/50 - seconds; math.Abs(off) > 0.06 {
				t.Errorf("%d s became %.3f s", seconds, seconds+off)
			}
			last := heard[len(heard)-opusRate/10:] // pitch still glides: it learns the rate
			best, level1, rest1 := 0.0, 0.0, math.Inf(1)
			for hz := 999.5; hz <= 1000.5; hz += 0.005 {
				if l, r := level(last, opusRate, hz); r < rest1 {
					best, level1, rest1 = hz, l, r
				}
			}
			t.Logf("%.3f Hz, THD+N %.4f %%", best, 100*rest1/level1)
			if math.Abs(best-1000) > 0.2 {
				t.Errorf("the room's 1000 Hz became %.3f Hz", best)
			}
			if rest1 > 0.002*level1 {
				t.Errorf("THD+N is %.3f %%, want 0.2 at most", 100*rest1/level1)
			}
		})
	}
}

// TestOpusDelay compares where a click is in what goes into Opus and comes out.
func TestOpusDelay(t *testing.T) {
	for _, channels := range []int{1, 2} {
		voice := speech(opusRate, channels, 3)
		e := voiceEncoder{}
		back := hear(t, packets(t, &e, voice, opusRate, channels, 0, 0), channels)
		best, delay := 0.0, 0
		for lag := range 1000 {
			sum := 0.0
			for i := opusRate; i < 2*opusRate; i++ {
				sum += float64(voice[i*channels]) * float64(back[(i+lag)*channels])
			}
			if sum > best {
				best, delay = sum, lag
			}
		}
		if got := span(int64(delay), opusRate); (got - opusDelay).Abs() > time.Millisecond {
			t.Errorf("%d channels: Opus delays by %d samples (%v), not by %v", channels, delay, got, opusDelay)
		}
	}
}
