//go:build linux || darwin

package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pasteTerminal lets a terminal hand over keys as they are pressed, and mark what
// is pasted: a line that it edits itself has at most 4096 characters, on macOS
// 1024, and an offer in JSON has more. Reads of keys end with done. nil: stdin is
// no terminal.
func pasteTerminal(stdin io.Reader, to io.Writer, done <-chan struct{}) (keys io.Reader, restore func()) {
	f, isFile := stdin.(*os.File)
	if !isFile {
		return nil, nil
	}
	before, err := unix.IoctlGetTermios(int(f.Fd()), getTermios)
	if err != nil {
		return nil, nil
	}
	quiet := *before
	quiet.Lflag &^= unix.ICANON | unix.ECHO
	quiet.Cc[unix.VMIN], quiet.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(f.Fd()), setTermios, &quiet); err != nil {
		return nil, nil
	}
	_, _ = io.WriteString(to, "\x1b[?2004h") // one that does not know it gets lines
	return keyReader{f, done}, func() {
		_, _ = io.WriteString(to, "\x1b[?2004l")
		_ = unix.IoctlSetTermios(int(f.Fd()), setTermios, before)
	}
}

// keyReader reads a terminal until done.
type keyReader struct {
	f    *os.File
	done <-chan struct{}
}

func (k keyReader) Read(b []byte) (int, error) {
	for {
		select {
		case <-k.done:
			return 0, io.EOF
		default:
		}
		if readable(int(k.f.Fd()), keyPause) {
			return k.f.Read(b)
		}
	}
}
