package capture

import (
	"context"
	"errors"
	"io"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// dealer is a source that does what a test tells it.
type dealer struct {
	mu     sync.Mutex
	fail   error // of Open
	opened int
	open   bool
	deal   chan any // *Samples or error
}

// dealt is its reader.
type dealt struct {
	*dealer
	closed chan struct{}
}

func (d *dealer) String() string { return "dealer" }

func (d *dealer) Open(context.Context) (AudioReader, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened++
	if d.fail != nil {
		return nil, d.fail
	}
	d.open = true
	return dealt{d, make(chan struct{})}, nil
}

func (d dealt) Read() (*Samples, error) {
	select {
	case what := <-d.deal:
		if err, ok := what.(error); ok {
			return nil, err
		}
		return what.(*Samples), nil
	case <-d.closed:
		return nil, ErrClosed
	}
}

func (d dealt) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = false
	close(d.closed)
	return nil
}

func (d *dealer) set(fail error) {
	d.mu.Lock()
	d.fail = fail
	d.mu.Unlock()
}

func (d *dealer) isOpen() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

func (d *dealer) times() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.opened
}

// speak deals 10 ms of ones now; as a device it gives them when they are over.
func (d *dealer) speak(runs int) {
	for range runs {
		taken := time.Now()
		time.Sleep(runTime)
		pcm := make([]int16, 480)
		for i := range pcm {
			pcm[i] = 1
		}
		d.deal <- &Samples{PCM: pcm, Rate: 48000, Channels: 1, Time: taken}
	}
	synctest.Wait()
}

// hearing is what a reader gave, joined.
type hearing struct {
	mu    sync.Mutex
	begun time.Time
	pcm   []int16
	err   error
	t     *testing.T
}

// listenTo reads until an error, and checks that runs join without a seam.
func listenTo(t *testing.T, r AudioReader) *hearing {
	h := &hearing{t: t}
	go func() {
		for {
			s, err := r.Read()
			h.mu.Lock()
			if err != nil {
				h.err = err
				h.mu.Unlock()
				return
			}
			if len(h.pcm) == 0 {
				h.begun = s.Time
			}
			want := h.begun.Add(ticks(int64(len(h.pcm)), 48000, 1))
			if off := s.Time.Sub(want).Abs(); off > 50*time.Microsecond {
				t.Errorf("after %d samples a run is %v off", len(h.pcm), s.Time.Sub(want))
			}
			if s.Time.After(time.Now()) {
				t.Errorf("a run is from the future by %v", time.Until(s.Time))
			}
			h.pcm = append(h.pcm, s.PCM...)
			h.mu.Unlock()
		}
	}()
	return h
}

// at tells what was heard so long after the beginning: 0 or 1; -1 if nothing yet.
func (h *hearing) at(d time.Duration) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := samplesIn(d, 48000); i < len(h.pcm) {
		return int(h.pcm[i])
	}
	return -1
}

func (h *hearing) length() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return ticks(int64(len(h.pcm)), 48000, 1)
}

func withSound(t *testing.T, test func(t *testing.T, d *dealer, s *Sound)) {
	synctest.Test(t, func(t *testing.T) {
		d := &dealer{deal: make(chan any)}
		test(t, d, NewSound(d, SoundOptions{}))
	})
}

func openDealt(t *testing.T, s *Sound) AudioReader {
	r, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestSilenceStandsInForALostMicrophone(t *testing.T) {
	withSound(t, func(t *testing.T, d *dealer, s *Sound) {
		d.set(errors.New("not plugged in"))
		r := openDealt(t, s)
		defer r.Close()
		h := listenTo(t, r)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := h.length(); got < 2900*time.Millisecond {
			t.Fatalf("3 s without a microphone gave %v of silence", got)
		}
		if s.Err() == nil {
			t.Error("nobody says why there is silence")
		}
		d.set(nil) // it is plugged in
		plugged := time.Now()
		for !d.isOpen() {
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
		}
		if took := time.Since(plugged); took > 1500*time.Millisecond {
			t.Errorf("a microphone plugged in was opened after %v", took)
		}
		d.speak(100)
		if s.Err() != nil {
			t.Errorf("there is sound, and still: %v", s.Err())
		}
		if got := h.at(h.length() - 500*time.Millisecond); got != 1 {
			t.Errorf("heard %d, want the microphone", got)
		}
		d.deal <- errors.New("it was unplugged")
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if got := h.at(h.length() - 100*time.Millisecond); got != 0 {
			t.Errorf("after the unplug %d is heard", got)
		}
		d.speak(50)
		if got := h.at(h.length() - 100*time.Millisecond); got != 1 {
			t.Errorf("heard %d, want the microphone that is back", got)
		}
		h.mu.Lock()
		ones := 0
		for _, v := range h.pcm {
			ones += int(v)
		}
		h.mu.Unlock()
		if want := 150 * 480; ones < want-2*480 {
			t.Errorf("%d samples of %d were heard", ones, want)
		}
	})
}

func TestMutedSoundClosesTheMicrophone(t *testing.T) {
	withSound(t, func(t *testing.T, d *dealer, s *Sound) {
		r := openDealt(t, s)
		defer r.Close()
		h := listenTo(t, r)
		d.speak(20)
		s.Mute(true)
		synctest.Wait()
		if d.isOpen() {
			t.Error("the microphone of a muted source is open")
		}
		before := h.length()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := h.at(before + 20*time.Millisecond); got != 0 {
			t.Errorf("muted, and %d is heard", got)
		}
		if got := h.length() - before; got < 900*time.Millisecond {
			t.Errorf("a second of mute gave %v of silence", got)
		}
		if s.Err() != nil {
			t.Errorf("muted is no error: %v", s.Err())
		}
		s.Mute(false)
		synctest.Wait()
		d.speak(50)
		if got := h.at(h.length() - 100*time.Millisecond); got != 1 {
			t.Errorf("heard %d after the mute", got)
		}
	})
}

func TestMutedFromTheStart(t *testing.T) {
	withSound(t, func(t *testing.T, d *dealer, s *Sound) {
		s.Mute(true)
		r := openDealt(t, s)
		defer r.Close()
		if sound, err := r.Read(); err != nil || sound.PCM[0] != 0 || d.times() != 0 {
			t.Errorf("got %v, %v; opened %d times", sound, err, d.times())
		}
	})
}

func TestAFrozenMicrophoneIsSilence(t *testing.T) {
	withSound(t, func(t *testing.T, d *dealer, s *Sound) {
		r := openDealt(t, s)
		defer r.Close()
		h := listenTo(t, r)
		d.speak(20)
		before := h.length()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := h.length() - before; got < 1900*time.Millisecond {
			t.Errorf("2 s of a frozen source gave %v", got)
		}
		d.speak(20)
		if got := h.at(h.length() - 50*time.Millisecond); got != 1 {
			t.Errorf("heard %d, want the source that goes on", got)
		}
	})
}

func TestTheMicrophoneChangesAtOnce(t *testing.T) {
	withSound(t, func(t *testing.T, d *dealer, s *Sound) {
		r := openDealt(t, s)
		defer r.Close()
		listenTo(t, r)
		d.speak(5)
		d.deal <- errMoved
		synctest.Wait()
		if d.times() != 2 || !d.isOpen() || s.Err() != nil {
			t.Errorf("opened %d times, open %v, err %v", d.times(), d.isOpen(), s.Err())
		}
	})
}

func TestSoundEndsAfterItsLastRun(t *testing.T) {
	withSound(t, func(t *testing.T, d *dealer, s *Sound) {
		r := openDealt(t, s)
		defer r.Close()
		d.speak(3)
		d.deal <- io.EOF
		synctest.Wait()
		heard := 0
		for {
			sound, err := r.Read()
			if err != nil {
				if err != io.EOF {
					t.Errorf("ended with %v", err)
				}
				break
			}
			for _, v := range sound.PCM {
				heard += int(v)
			}
		}
		if heard != 3*480 {
			t.Errorf("%d samples were heard before the end, want %d", heard, 3*480)
		}
	})
}

func TestAfterASleepThereIsNoFlood(t *testing.T) {
	withSound(t, func(t *testing.T, d *dealer, s *Sound) {
		d.set(errors.New("none"))
		r := openDealt(t, s)
		defer r.Close()
		time.Sleep(time.Hour)
		began := time.Now()
		for range 100 {
			if _, err := r.Read(); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 900*time.Millisecond {
			t.Errorf("a second of silence after a sleep took %v", took)
		}
	})
}

func TestGain(t *testing.T) {
	tone := func(amplitude float64) []int16 {
		pcm := make([]int16, 2*480)
		for i := range 480 {
			v := int16(amplitude * math.Sin(2*math.Pi*1000*float64(i)/48000))
			pcm[2*i], pcm[2*i+1] = v, -v
		}
		return pcm
	}
	peak := func(pcm []int16) (most float64) {
		for _, v := range pcm {
			most = max(most, math.Abs(float64(v)))
		}
		return most
	}
	for _, c := range []struct{ db, in, want float64 }{
		{0, 12000, 12000}, {6, 3000, 5986}, {-20, 10000, 1000}, {40, 100, 10000},
		{20, 20000, limiterCeiling}, {60, 32767, limiterCeiling}, // what would clip is turned down
		{0, 32767, 32767},
	} {
		l := newLimiter(c.db)
		var pcm []int16
		for range 3 {
			pcm = tone(c.in)
			l.apply(pcm, 2, 48000)
		}
		if got := peak(pcm); math.Abs(got-c.want) > 0.01*c.want {
			t.Errorf("%.0f at %+.0f dB became %.0f, want %.0f", c.in, c.db, got, c.want)
		}
	}
	l := newLimiter(20)
	loud := tone(30000)
	l.apply(loud, 2, 48000)
	clipped := 0
	for _, v := range loud {
		if v == math.MaxInt16 || v == math.MinInt16 {
			clipped++
		}
	}
	if clipped > 2*48 {
		t.Errorf("%d samples clip at the first loud moment, want a millisecond's at most", clipped)
	}
	for range 300 { // three quiet seconds
		l.apply(tone(10), 2, 48000)
	}
	quiet := tone(1000)
	l.apply(quiet, 2, 48000)
	if got := peak(quiet); got < 9900 {
		t.Errorf("after a loud moment the gain does not come back: %.0f", got)
	}
}

// A run is cut where silence stood in for its beginning; the next one, which
// came with it in a burst and is stamped right after it, does not go back.
func TestSoundStampsRiseAfterSilence(t *testing.T) {
	withSound(t, func(t *testing.T, d *dealer, s *Sound) {
		d.set(errors.New("not plugged in"))
		r := openDealt(t, s)
		first, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		last := first.Time
		d.set(nil)
		began := last.Add(runTime / 2)
		time.Sleep(2 * time.Second) // until it is opened again
		for i := range 2 {
			d.deal <- &Samples{PCM: make([]int16, 480), Rate: 48000, Channels: 1, Time: began.Add(time.Duration(i) * time.Microsecond)}
		}
		synctest.Wait()
		for range 10 {
			got, err := r.Read()
			if err != nil {
				t.Fatal(err)
			}
			if !got.Time.After(last) {
				t.Errorf("stamped %v after the one before", got.Time.Sub(last))
			}
			last = got.Time
		}
	})
}
