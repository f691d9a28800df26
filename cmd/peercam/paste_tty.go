//go:build linux || darwin

package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pasteTerminal lets a terminal hand over keys as they are pressed, and mark what
// is pasted: a line that it edits itself has at most 4096 characters, on macOS
// 1024, and an offer in JSON has more. False: stdin is no terminal.
func pasteTerminal(stdin io.Reader, to io.Writer) (restore func(), ok bool) {
	f, isFile := stdin.(*os.File)
	if !isFile {
		return nil, false
	}
	before, err := unix.IoctlGetTermios(int(f.Fd()), getTermios)
	if err != nil {
		return nil, false
	}
	keys := *before
	keys.Lflag &^= unix.ICANON | unix.ECHO
	keys.Cc[unix.VMIN], keys.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(f.Fd()), setTermios, &keys); err != nil {
		return nil, false
	}
	_, _ = io.WriteString(to, "\x1b[?2004h") // one that does not know it gets lines
	return func() {
		_, _ = io.WriteString(to, "\x1b[?2004l")
		_ = unix.IoctlSetTermios(int(f.Fd()), setTermios, before)
	}, true
}
