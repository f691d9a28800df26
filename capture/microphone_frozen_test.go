package capture

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAFrozenSoundSystemIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSoundCalls()
		thaw, late := make(chan struct{}), make(chan string, 1)
		var calls atomic.Int32
		var closed atomic.Bool
		open := func() (string, error) {
			calls.Add(1)
			<-thaw
			return "opened", nil
		}
		began := time.Now()
		if _, err := ask(t.Context(), c, micAnswer, open, func(s string) { late <- s }); !errors.Is(err, errFrozen) || time.Since(began) != micAnswer {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if _, err := ask(t.Context(), c, micAnswer, open, nil); !errors.Is(err, errFrozen) || calls.Load() != 1 {
			t.Errorf("asked again while the first call hangs: %d calls, %v", calls.Load(), err)
		}
		leaving, leave := context.WithCancel(t.Context())
		leave()
		began = time.Now()
		if _, err := ask(leaving, c, micAnswer, open, nil); !errors.Is(err, context.Canceled) || time.Since(began) != 0 {
			t.Errorf("who leaves waits %v: %v", time.Since(began), err)
		}
		began = time.Now()
		if err := c.letGo(func() error { closed.Store(true); return nil }); !errors.Is(err, errFrozen) || time.Since(began) != micLetGo || closed.Load() {
			t.Errorf("closed %v after %v: %v", closed.Load(), time.Since(began), err)
		}
		close(thaw)
		if got := <-late; got != "opened" {
			t.Errorf("what was opened late is %q", got)
		}
		synctest.Wait()
		if !closed.Load() {
			t.Error("what was to be closed never was")
		}
		if got, err := ask(t.Context(), c, micAnswer, open, nil); got != "opened" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}
