package capture

import (
	"context"
	"math"
	"time"
)

// testAudio beeps at each full second of the wall clock, with the test
// picture's flash: 1 kHz for 100 ms, else silence, mono at 48 kHz.
type testAudio struct{}

const (
	beepRate = 48000
	beepHz   = 1000
	beepRun  = beepRate / 100 // samples in 10 ms
	runTime  = 10 * time.Millisecond
)

func (testAudio) String() string { return "test" }

func (testAudio) Open(context.Context) (AudioReader, error) {
	r := newBeepReader()
	now := time.Now()
	r.pacer = newPacer(now.Add(-time.Duration(now.Nanosecond())))
	r.n = int64(now.Nanosecond())/int64(runTime) + 1
	return r, nil
}

type beepReader struct {
	pacer   *pacer
	n       int64 // of the next run
	beep    []int16
	pcm     [beepRun]int16
	samples Samples
}

func newBeepReader() *beepReader {
	r := &beepReader{beep: make([]int16, beepRate*flash/time.Second)}
	const fade = beepRate / 500 // 2 ms, so that it does not click
	for i := range r.beep {
		gain := min(1, float64(i)/fade, float64(len(r.beep)-i)/fade)
		r.beep[i] = int16(12000 * gain * math.Sin(2*math.Pi*beepHz*float64(i)/beepRate))
	}
	return r
}

func (r *beepReader) Read() (*Samples, error) {
	if r.pacer.late(time.Duration(r.n)*runTime) > time.Second { // the reader slept
		r.n = int64(r.pacer.late(0) / runTime)
	}
	at, err := r.pacer.wait(time.Duration(r.n) * runTime)
	if err != nil {
		return nil, err
	}
	r.n++
	at = at.Add(-runTime) // a run is there when its last sample is
	r.fill(at)
	r.samples = Samples{PCM: r.pcm[:], Rate: beepRate, Channels: 1, Time: at}
	return &r.samples, nil
}

// fill writes the sound of the run that begins at that time.
func (r *beepReader) fill(at time.Time) {
	// To the nearest sample: the clocks behind a time.Time are some ns apart.
	first := int((int64(at.Nanosecond())*beepRate + int64(time.Second)/2) / int64(time.Second))
	for i := range r.pcm {
		r.pcm[i] = 0
		if s := (first + i) % beepRate; s < len(r.beep) {
			r.pcm[i] = r.beep[s]
		}
	}
}

func (r *beepReader) Close() error {
	r.pacer.stop()
	return nil
}
