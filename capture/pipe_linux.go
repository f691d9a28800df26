package capture

import (
	"os"

	"golang.org/x/sys/unix"
)

// growPipe gives a pipe room for 1 MiB instead of 64 KiB, so that a frame takes
// few reads and few switches between writer and reader. Others stay as they are.
func growPipe(f *os.File) {
	c, err := f.SyscallConn()
	if err != nil {
		return
	}
	// Refused for what is no pipe, and to users over their quota.
	_ = c.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) })
}

// pollable opens stdin's pipe anew, as a file whose Read a Close wakes, without
// setting O_NONBLOCK on what is shared with other processes. Where that cannot
// be had, it is f.
func pollable(f *os.File) *os.File {
	if fi, err := f.Stat(); err != nil || fi.Mode()&os.ModeNamedPipe == 0 {
		return f
	}
	if p, err := os.Open("/proc/self/fd/0"); err == nil {
		return p
	}
	return f
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
