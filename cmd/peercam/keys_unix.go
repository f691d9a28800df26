//go:build linux || darwin

package main

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const canReadKeys = true

// keyPause is how long a wait for a key lasts at most: then it is looked
// whether the program is in the foreground still.
const keyPause = 200 * time.Millisecond

// readKeys hands over each key that is pressed, without a return and without an
// echo, until ctx is done. It leaves Ctrl-C and Ctrl-Z what they are, and the
// terminal alone while the program is in the background, where touching it would
// stop the program.
func readKeys(ctx context.Context, f *os.File, press func(key byte)) error {
	fd := int(f.Fd())
	var before *unix.Termios // nil: it is as it was
	for ctx.Err() == nil {
		if !inForeground(fd) {
			before = nil // the shell has taken it back
			select {
			case <-ctx.Done():
			case <-time.After(keyPause):
			}
			continue
		}
		if now, err := unix.IoctlGetTermios(fd, getTermios); err == nil && now.Lflag&unix.ICANON != 0 {
			quiet := *now
			quiet.Lflag &^= unix.ICANON | unix.ECHO
			quiet.Cc[unix.VMIN], quiet.Cc[unix.VTIME] = 1, 0
			if unix.IoctlSetTermios(fd, setTermios, &quiet) == nil {
				before = now
			}
		}
		if !readable(fd, keyPause) || !inForeground(fd) {
			continue
		}
		var keys [16]byte
		n, err := unix.Read(fd, keys[:])
		if n <= 0 && err != unix.EINTR && err != unix.EAGAIN {
			<-ctx.Done() // the terminal is gone, which is no reason to stop
			return nil
		}
		for _, key := range keys[:max(n, 0)] {
			press(key)
		}
	}
	if before != nil && inForeground(fd) {
		return unix.IoctlSetTermios(fd, setTermios, before)
	}
	return nil
}

func inForeground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// readable waits for so long. It selects, since macOS cannot poll a terminal.
func readable(fd int, d time.Duration) bool {
	var set unix.FdSet
	set.Set(fd)
	wait := unix.NsecToTimeval(d.Nanoseconds())
	n, err := unix.Select(fd+1, &set, nil, nil, &wait)
	return err == nil && n > 0
}
