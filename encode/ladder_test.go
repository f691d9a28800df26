package encode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercam/peercam/capture"
)

// fakeCamera is a source whose pictures the test hands over one by one.
type fakeCamera struct {
	mu       sync.Mutex
	fail     error // what Open returns
	opened   int
	open     bool
	pictures chan any // *capture.Frame or error
	closed   chan struct{}
}

func (c *fakeCamera) failWith(err error) {
	c.mu.Lock()
	c.fail = err
	c.mu.Unlock()
}

func (c *fakeCamera) String() string { return "fake camera" }

func (c *fakeCamera) Open(ctx context.Context, want capture.Format) (capture.VideoReader, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened++
	if c.fail != nil {
		return nil, c.fail
	}
	if c.open {
		return nil, errors.New("opened twice at once")
	}
	c.open = true
	c.pictures, c.closed = make(chan any), make(chan struct{})
	return c, nil
}

func (c *fakeCamera) Read() (*capture.Frame, error) {
	select {
	case p := <-c.pictures:
		if err, ok := p.(error); ok {
			return nil, err
		}
		return p.(*capture.Frame), nil
	case <-c.closed:
		return nil, errors.New("closed")
	}
}

func (c *fakeCamera) Format() capture.Format {
	return capture.Format{Width: 64, Height: 48, FPS: 30}
}

func (c *fakeCamera) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open {
		return errors.New("closed twice")
	}
	c.open = false
	close(c.closed)
	return nil
}

func (c *fakeCamera) state() (opened int, open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened, c.open
}

// give hands p to whoever reads, and waits until all has come to rest.
func (c *fakeCamera) give(p any) {
	c.pictures <- p
	synctest.Wait()
}

// released tells whether f has been given back.
func released(f *capture.Frame) bool {
	return reflect.ValueOf(f).Elem().FieldByName("released").FieldByName("v").Uint() != 0
}

// studio is a ladder that runs in a bubble, with what came out of it.
type studio struct {
	t      *testing.T
	camera *fakeCamera
	*Ladder
	log    *logBuffer
	cancel context.CancelFunc
	result chan error
	scene  *scene
	n      int
	given  []*capture.Frame

	frames []*Frame // copies of what the sink saw
	hold   chan struct{}
	slow   time.Duration // that a frame takes to encode
}

func inStudio(t *testing.T, c LadderConfig, test func(s *studio)) {
	scene := newScene(64, 48)
	synctest.Test(t, func(t *testing.T) {
		s := &studio{t: t, camera: &fakeCamera{}, log: &logBuffer{}, scene: scene, result: make(chan error, 1)}
		c.Source = s.camera
		c.Log = slog.New(slog.NewTextHandler(s.log, nil))
		s.Ladder = NewLadder(c)
		ctx, cancel := context.WithCancel(t.Context())
		s.cancel = cancel
		go func() {
			s.result <- s.Run(ctx, func(f *Frame) {
				s.frames = append(s.frames, &Frame{Data: bytes.Clone(f.Data), Time: f.Time, Rung: f.Rung, Layer: f.Layer, Sync: f.Sync, Key: f.Key, Width: f.Width, Height: f.Height})
				time.Sleep(s.slow)
				if s.hold != nil {
					<-s.hold
				}
			})
		}()
		synctest.Wait()
		test(s)
		cancel()
		synctest.Wait()
		if _, open := s.camera.state(); open {
			t.Error("the camera is still open after Run")
		}
		for i, f := range s.given {
			if !released(f) {
				t.Errorf("picture %d was never released", i)
			}
		}
	})
}

func (s *studio) picture(width, height int) *capture.Frame {
	if size := (Size{s.scene.width, s.scene.height}); size != (Size{width, height}) {
		s.scene = newScene(width, height)
	}
	img := s.scene.frame(float64(s.n) / 30)
	f := &capture.Frame{YCbCr: img, Time: at(s.n, 30)}
	s.n++
	s.given = append(s.given, f)
	return f
}

// shoot gives n pictures, and returns the frames that came of them.
func (s *studio) shoot(n int) []*Frame {
	had := len(s.frames)
	for range n {
		s.camera.give(s.picture(64, 48))
	}
	return s.frames[had:]
}

func (s *studio) want(rungs uint32) { s.wantLayered(rungs, 0) }

func (s *studio) wantLayered(rungs, layered uint32) {
	s.Want(rungs, layered)
	synctest.Wait()
}

func (s *studio) expect(opened int, open bool) {
	s.t.Helper()
	if o, is := s.camera.state(); o != opened || is != open {
		s.t.Fatalf("the camera was opened %d times and open is %v; want %d, %v", o, is, opened, open)
	}
	if got := s.Stats().Open; got != open {
		s.t.Errorf("Stats().Open is %v, want %v", got, open)
	}
}

func TestOpenWhileWatched(t *testing.T) {
	inStudio(t, LadderConfig{Linger: 10 * time.Second}, func(s *studio) {
		time.Sleep(time.Hour)
		synctest.Wait()
		s.expect(0, false)

		s.want(1)
		s.expect(1, true)
		if got := s.shoot(3); len(got) != 3 || !got[0].Key || got[1].Key || got[2].Key {
			t.Errorf("three pictures gave %d frames, want 3, the first a key frame", len(got))
		}

		s.want(0)
		time.Sleep(10*time.Second - 1)
		synctest.Wait()
		s.expect(1, true)
		if got := s.shoot(2); len(got) != 0 {
			t.Errorf("%d frames encoded for nobody", len(got))
		}
		time.Sleep(1)
		synctest.Wait()
		s.expect(1, false)

		s.want(1)
		s.expect(2, true)
		if got := s.shoot(1); len(got) != 1 || !got[0].Key {
			t.Error("the first frame after reopening is no key frame")
		}

		// Back within the linger: never closed, but a key frame for who came.
		s.want(0)
		time.Sleep(6 * time.Second)
		s.shoot(1)
		s.want(1)
		time.Sleep(time.Hour)
		synctest.Wait()
		s.expect(2, true)
		if got := s.shoot(2); len(got) != 2 || !got[0].Key || got[1].Key {
			t.Error("a key frame was due to the returning viewer, and only one")
		}
	})
}

func TestOpenForWhoIsOnTheWay(t *testing.T) {
	inStudio(t, LadderConfig{Linger: time.Second}, func(s *studio) {
		s.Expect(true)
		synctest.Wait()
		s.expect(1, true)
		if got := s.shoot(3); len(got) != 0 {
			t.Errorf("%d frames encoded before anybody is there", len(got))
		}
		s.want(1)
		s.expect(1, true)
		if s.shoot(2); len(s.frames) != 3 || !s.frames[0].Key || s.frames[1].Key || s.frames[2].Key {
			t.Error("whoever comes wants a key frame first, and only one")
		}
		s.want(0)
		s.Expect(false)
		time.Sleep(time.Second)
		synctest.Wait()
		s.expect(1, false)
	})
}

// Who arrives between two pictures sees the one before.
func TestANewcomerSeesTheNewestPicture(t *testing.T) {
	inStudio(t, LadderConfig{}, func(s *studio) {
		s.Expect(true)
		synctest.Wait()
		s.shoot(2)
		if len(s.frames) != 0 || !released(s.given[0]) {
			t.Fatalf("%d frames for nobody; the older picture was released: %v", len(s.frames), released(s.given[0]))
		}
		s.want(1)
		if len(s.frames) != 1 || !s.frames[0].Key || !s.frames[0].Time.Equal(s.given[1].Time) || !released(s.given[1]) {
			t.Fatalf("the newcomer sees %d frames", len(s.frames))
		}
		s.want(1) // asked twice
		if frames := s.shoot(1); len(frames) != 1 || frames[0].Key || len(s.frames) != 2 {
			t.Errorf("the next picture makes %d frames", len(frames))
		}
		s.want(0) // it pauses
		s.shoot(1)
		if s.want(1); len(s.frames) != 3 || !s.frames[2].Key {
			t.Errorf("after a pause there are %d frames", len(s.frames))
		}
		// who did not come after all leaves no picture behind
		s.want(0)
		s.shoot(1)
		s.Expect(false)
		synctest.Wait()
		s.want(1)
		if len(s.frames) != 3 {
			t.Errorf("somebody who comes later sees an old picture")
		}
	})
}

func TestOtherRungsAreNobody(t *testing.T) {
	inStudio(t, LadderConfig{}, func(s *studio) {
		s.want(0xfffffff8)
		s.KeyFrame(7)
		s.KeyFrame(-1)
		s.SetBitrate(7, 1)
		s.expect(0, false)
	})
}

func TestAlwaysOpen(t *testing.T) {
	inStudio(t, LadderConfig{Always: true, Linger: time.Second}, func(s *studio) {
		s.expect(1, true)
		if got := s.shoot(3); len(got) != 0 {
			t.Errorf("%d frames encoded for nobody", len(got))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		s.expect(1, true)
		if got := s.Stats(); got.Captured != 3 || got.Dropped != 0 {
			t.Errorf("captured %d, dropped %d; want 3, 0: nobody missed them", got.Captured, got.Dropped)
		}
	})
}

func TestNewestFrameWins(t *testing.T) {
	inStudio(t, LadderConfig{}, func(s *studio) {
		s.hold = make(chan struct{})
		s.want(1)
		s.shoot(5) // the sink is busy with the first
		if n := len(s.frames); n != 1 {
			t.Fatalf("%d frames while the first is not done", n)
		}
		newest := s.given[4]
		close(s.hold)
		synctest.Wait()
		if len(s.frames) != 2 || !s.frames[1].Time.Equal(newest.Time) {
			t.Errorf("then %d more frames, the last of %v; want the newest picture's alone", len(s.frames)-1, s.frames[len(s.frames)-1].Time)
		}
		if got := s.Stats(); got.Captured != 5 || got.Dropped != 3 || got.Rungs[0].Encoded != 2 {
			t.Errorf("captured %d, dropped %d, encoded %d; want 5, 3, 2", got.Captured, got.Dropped, got.Rungs[0].Encoded)
		}
	})
}

func TestKeyFrameRequestsAreOne(t *testing.T) {
	inStudio(t, LadderConfig{}, func(s *studio) {
		s.want(1)
		s.shoot(3)
		for range 5 {
			s.KeyFrame(0)
		}
		got := s.shoot(3)
		if len(got) != 3 || !got[0].Key || got[1].Key || got[2].Key {
			t.Errorf("five requests at once want one key frame, the next")
		}
		if n := s.Stats().Rungs[0].KeyFrames; n != 2 {
			t.Errorf("%d key frames counted, want 2", n)
		}
	})
}

func TestBitrateStaysInBounds(t *testing.T) {
	inStudio(t, LadderConfig{Bitrate: 800_000}, func(s *studio) {
		for ask, want := range map[int]int{500_000: 500_000, 9_000_000: 800_000, 0: leastBitrate, -5: leastBitrate} {
			s.SetBitrate(0, ask)
			if got := s.Stats().Rungs[0].Bitrate; got != want {
				t.Errorf("asked for %d: %d, want %d", ask, got, want)
			}
		}
		s.want(1)
		if got := s.shoot(2); len(got) == 0 {
			t.Error("no frame at the least bit rate")
		}
	})
}

func TestSourceEnds(t *testing.T) {
	inStudio(t, LadderConfig{}, func(s *studio) {
		s.want(1)
		s.shoot(1)
		s.camera.give(io.EOF)
		err := <-s.result
		if !errors.Is(err, ErrEnded) || !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "fake camera") {
			t.Errorf("Run returned %v", err)
		}
		if _, err := s.Snapshot(s.t.Context()); !errors.Is(err, ErrEnded) {
			t.Errorf("a snapshot afterwards: %v", err)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	inStudio(t, LadderConfig{}, func(s *studio) {
		s.want(1)
		s.shoot(1)
		s.cancel()
		if err := <-s.result; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestBrokenSourceIsTriedAgain(t *testing.T) {
	inStudio(t, LadderConfig{}, func(s *studio) {
		s.want(1)
		s.shoot(1)
		s.camera.failWith(errors.New("no such device: plug it in"))
		s.camera.give(errors.New("unplugged"))
		s.expect(1, false)
		if err := s.Stats().Err; err == nil || !strings.Contains(err.Error(), "unplugged") {
			t.Errorf("Stats().Err is %v", err)
		}
		time.Sleep(firstRetry)
		synctest.Wait()
		s.expect(2, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		opened, _ := s.camera.state()
		if opened < 8 || opened > 13 {
			t.Errorf("opened %d times in a minute, want every %v in the end", opened, lastRetry)
		}
		if n := strings.Count(s.log.String(), "no such device"); n != 1 {
			t.Errorf("the same failure is logged %d times", n)
		}

		s.want(0) // nobody waits: leave the device alone
		time.Sleep(time.Hour)
		synctest.Wait()
		s.expect(opened, false)

		s.camera.failWith(nil)
		s.want(1)
		s.expect(opened+1, true)
		if got := s.shoot(1); len(got) != 1 || !got[0].Key {
			t.Error("the replugged camera does not begin with a key frame")
		}
		if err := s.Stats().Err; err != nil {
			t.Errorf("Stats().Err is still %v", err)
		}
	})
}

func TestLadderFollowsTheSize(t *testing.T) {
	inStudio(t, LadderConfig{}, func(s *studio) {
		s.want(1)
		s.shoot(2)
		s.camera.give(s.picture(96, 64))
		last := s.frames[len(s.frames)-1]
		if !last.Key || last.Width != 96 || last.Height != 64 {
			t.Errorf("after the change: %dx%d, key frame %v", last.Width, last.Height, last.Key)
		}
		if got := s.Stats(); got.Width != 96 || got.Height != 64 {
			t.Errorf("Stats says %dx%d", got.Width, got.Height)
		}
	})
}

func TestEncodingFailsOnceAndGoesOn(t *testing.T) {
	inStudio(t, LadderConfig{}, func(s *studio) {
		s.want(1)
		s.shoot(1)
		for range 100 { // more than three seconds of pictures that cannot be encoded
			f := s.picture(64, 48)
			f.YCbCr = image.NewYCbCr(f.Rect, image.YCbCrSubsampleRatio444)
			s.camera.give(f)
		}
		if n := strings.Count(s.log.String(), "4:4:4"); n != 1 {
			t.Errorf("the failure is logged %d times: %s", n, s.log)
		}
		got := s.shoot(31)
		if len(got) == 0 || !got[0].Key {
			t.Errorf("a second later %d frames, want some again, the first a key frame", len(got))
		}
	})
}

func TestSnapshot(t *testing.T) {
	inStudio(t, LadderConfig{Linger: time.Second}, func(s *studio) {
		type result struct {
			f   *capture.Frame
			err error
		}
		ask := func(ctx context.Context) chan result {
			ch := make(chan result, 1)
			go func() {
				f, err := s.Snapshot(ctx)
				ch <- result{f, err}
			}()
			synctest.Wait()
			return ch
		}
		one, two := ask(s.t.Context()), ask(s.t.Context())
		s.expect(1, true)
		given := s.picture(64, 48)
		s.camera.give(given)
		for _, ch := range []chan result{one, two} {
			r := <-ch
			if r.err != nil {
				t.Fatal(r.err)
			}
			if db := psnr(given.YCbCr, r.f.YCbCr); db < 99 {
				t.Errorf("the copy differs: %.0f dB", db)
			}
			if &r.f.Y[0] == &given.Y[0] || !r.f.Time.Equal(given.Time) {
				t.Error("the snapshot is not a copy with the picture's time")
			}
		}
		if len(s.frames) != 0 {
			t.Error("a snapshot made the encoder work")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		s.expect(1, false)

		ctx, cancel := context.WithCancel(s.t.Context())
		gone := ask(ctx)
		s.expect(2, true)
		cancel()
		if r := <-gone; !errors.Is(r.err, context.Canceled) {
			t.Errorf("a snapshot given up: %v", r.err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		s.expect(2, false)
	})
}

func TestMeasuredRate(t *testing.T) {
	inStudio(t, LadderConfig{}, func(s *studio) {
		s.want(1)
		s.shoot(60)
		if fps := s.Stats().FPS; fps < 29.9 || fps > 30.1 {
			t.Errorf("30 frames a second measured as %.2f", fps)
		}
	})
}

func TestRequestsFromEverywhere(t *testing.T) {
	inStudio(t, LadderConfig{Linger: time.Millisecond}, func(s *studio) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 50 {
					s.Want(uint32(j&1), 0)
					s.KeyFrame(0)
					s.SetBitrate(0, 100_000*(i+1))
					s.Stats()
					time.Sleep(time.Millisecond)
				}
			})
		}
		wg.Wait()
		s.want(1)
		if got := s.shoot(2); len(got) != 2 || !got[0].Key {
			t.Errorf("after the crowd: %d frames", len(got))
		}
	})
}

func ExampleLadder_Stats() {
	l := NewLadder(LadderConfig{Source: &fakeCamera{}})
	s := l.Stats()
	fmt.Println(s.Open, len(s.Rungs), s.Rungs[0].Bitrate)
	// Output: false 3 2500000
}
