package encode

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercam/peercam/capture"
)

// fakeMic is a source whose runs the test hands over one by one.
type fakeMic struct {
	mu     sync.Mutex
	fail   error // what Open returns
	opened int
	open   bool
	runs   chan any // *capture.Samples or error
	closed chan struct{}
}

func (m *fakeMic) failWith(err error) {
	m.mu.Lock()
	m.fail = err
	m.mu.Unlock()
}

func (m *fakeMic) String() string { return "fake mic" }

func (m *fakeMic) Open(ctx context.Context) (capture.AudioReader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened++
	if m.fail != nil {
		return nil, m.fail
	}
	m.open, m.runs, m.closed = true, make(chan any), make(chan struct{})
	return m, nil
}

func (m *fakeMic) Read() (*capture.Samples, error) {
	select {
	case r := <-m.runs:
		if err, ok := r.(error); ok {
			return nil, err
		}
		return r.(*capture.Samples), nil
	case <-m.closed:
		return nil, errors.New("closed")
	}
}

func (m *fakeMic) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.open {
		return errors.New("closed twice")
	}
	m.open = false
	close(m.closed)
	return nil
}

func (m *fakeMic) state() (opened int, open bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.opened, m.open
}

type booth struct {
	t   *testing.T
	mic *fakeMic
	*Voice
	log    *logBuffer
	cancel context.CancelFunc
	result chan error
	frames []*AudioFrame
}

func inBooth(t *testing.T, c VoiceConfig, test func(b *booth)) {
	synctest.Test(t, func(t *testing.T) {
		b := &booth{t: t, mic: &fakeMic{}, log: &logBuffer{}, result: make(chan error, 1)}
		c.Source = b.mic
		c.Log = slog.New(slog.NewTextHandler(b.log, nil))
		b.Voice = NewVoice(c)
		ctx, cancel := context.WithCancel(t.Context())
		b.cancel = cancel
		go func() { b.result <- b.Run(ctx, func(f *AudioFrame) { b.frames = append(b.frames, f) }) }()
		synctest.Wait()
		test(b)
		cancel()
		synctest.Wait()
		if _, open := b.mic.state(); open {
			t.Error("the microphone is still open after Run")
		}
	})
}

// speak gives n runs of 20 ms, in step with the bubble's clock, and returns
// the packets that came of them.
func (b *booth) speak(n int) []*AudioFrame {
	had := len(b.frames)
	for range n {
		b.mic.runs <- &capture.Samples{PCM: make([]int16, packetSamples), Rate: opusRate, Channels: 1, Time: time.Now()}
		time.Sleep(20 * time.Millisecond)
	}
	synctest.Wait()
	return b.frames[had:]
}

func (b *booth) want(listen bool) {
	b.Want(listen)
	synctest.Wait()
}

func (b *booth) expect(opened int, open bool) {
	b.t.Helper()
	if o, is := b.mic.state(); o != opened || is != open {
		b.t.Fatalf("the microphone was opened %d times and open is %v; want %d, %v", o, is, opened, open)
	}
	if got := b.Stats().Open; got != open {
		b.t.Errorf("Stats().Open is %v, want %v", got, open)
	}
}

func TestListenWhileWanted(t *testing.T) {
	inBooth(t, VoiceConfig{Linger: 10 * time.Second}, func(b *booth) {
		time.Sleep(time.Hour)
		synctest.Wait()
		b.expect(0, false)

		b.want(true)
		b.expect(1, true)
		b.SetLoss(130)
		first := b.speak(5)
		if len(first) != 5 {
			t.Fatalf("100 ms gave %d packets", len(first))
		}
		if got := b.Stats(); got.Packets != 5 || got.Rate != opusRate || got.Channels != 1 || got.Loss != 100 || got.Bytes == 0 {
			t.Errorf("stats %+v", got)
		}

		b.want(false)
		if got := b.speak(5); len(got) != 0 {
			t.Errorf("%d packets for nobody", len(got))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		b.expect(1, false)

		b.want(true)
		b.expect(2, true)
		again := b.speak(1)
		if len(again) != 1 {
			t.Fatalf("%d packets after reopening", len(again))
		}
		// The listener's clock went on: so must the timestamp.
		passed := again[0].Time.Sub(first[4].Time)
		if want := uint32(passed * opusRate / time.Second); again[0].Timestamp-first[4].Timestamp != want {
			t.Errorf("%v later the timestamp is %d on, want %d", passed, again[0].Timestamp-first[4].Timestamp, want)
		}
		if got := b.Stats().Gaps; got != 1 {
			t.Errorf("%d gaps counted, want 1", got)
		}
	})
}

func TestMicAlwaysOpen(t *testing.T) {
	inBooth(t, VoiceConfig{Always: true}, func(b *booth) {
		b.expect(1, true)
		if got := b.speak(3); len(got) != 0 {
			t.Errorf("%d packets for nobody", len(got))
		}
	})
}

func TestSoundEnds(t *testing.T) {
	inBooth(t, VoiceConfig{}, func(b *booth) {
		b.want(true)
		b.speak(1)
		b.mic.runs <- io.EOF
		if err := <-b.result; !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "fake mic") {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestBrokenMicIsTriedAgain(t *testing.T) {
	inBooth(t, VoiceConfig{}, func(b *booth) {
		b.want(true)
		b.speak(1)
		b.mic.failWith(errors.New("no such microphone"))
		b.mic.runs <- errors.New("unplugged")
		synctest.Wait()
		b.expect(1, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if opened, _ := b.mic.state(); opened < 8 || opened > 13 {
			t.Errorf("opened %d times in a minute", opened)
		}
		if n := strings.Count(b.log.String(), "no such microphone"); n != 1 {
			t.Errorf("the same failure is logged %d times", n)
		}
		b.mic.failWith(nil)
		time.Sleep(lastRetry)
		synctest.Wait()
		if got := b.speak(2); len(got) != 2 {
			t.Errorf("%d packets from the replugged microphone", len(got))
		}
		if err := b.Stats().Err; err != nil {
			t.Errorf("Stats().Err is still %v", err)
		}
		b.cancel()
		if err := <-b.result; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestMicThatSpeaksNonsense(t *testing.T) {
	inBooth(t, VoiceConfig{}, func(b *booth) {
		b.want(true)
		b.mic.runs <- &capture.Samples{PCM: make([]int16, 6), Rate: opusRate, Channels: 3, Time: time.Now()}
		synctest.Wait()
		b.expect(1, false)
		if err := b.Stats().Err; err == nil || !strings.Contains(err.Error(), "3 channels") {
			t.Errorf("Stats().Err is %v", err)
		}
	})
}
