package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"github.com/peercam/peercam/signaling"
)

// keyFinding judges the key file at path. What is not there yet is made at the
// first start.
func keyFinding(path string) finding {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return finding{Verdict: fine, Summary: "will be made at the first start: " + path}
	}
	if err == nil {
		_, err = signaling.LoadKey(path)
	}
	if err != nil {
		return finding{Verdict: problem, Summary: err.Error(), Remedy: "do that, or choose another file with --key-file"}
	}
	return finding{Verdict: fine, Summary: fmt.Sprintf("%s, mode %04o", path, info.Mode().Perm())}
}

// clockTime is how long the clock is watched for jumps.
const clockTime = time.Second

// checkClock watches the clock for a moment.
func checkClock(ctx context.Context) finding {
	began := time.Now()
	select {
	case <-time.After(clockTime):
	case <-ctx.Done():
	}
	now := time.Now()
	// Round strips the monotonic reading, so that the wall clock is left.
	drift := now.Round(0).Sub(began.Round(0)) - now.Sub(began)
	return clockFinding(now, builtAt(), drift)
}

// clockFinding judges the time and by how much the wall clock ran away from the
// monotonic one.
func clockFinding(now, built time.Time, drift time.Duration) finding {
	const remedy = "let the system keep the time: timedatectl set-ntp true, or the date settings"
	switch {
	case now.Before(built):
		return finding{Verdict: warning, Summary: fmt.Sprintf("it says %s, before this program was made: certificates of servers may be refused", now.Format(time.DateTime)), Remedy: remedy}
	case drift.Abs() > 20*time.Millisecond:
		return finding{Verdict: warning, Summary: fmt.Sprintf("it was set by %v while it was watched: the age of pictures that viewers see is wrong until it is steady", drift.Round(time.Millisecond)), Remedy: remedy}
	}
	return finding{Verdict: fine, Summary: now.Format(time.DateTime+" MST") + ", steady"}
}

// builtAt is when the source of this program was last changed, else when this
// check was written.
func builtAt() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				return t
			}
		}
	}
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
}
