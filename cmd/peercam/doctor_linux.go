package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// threadClock tells how long this thread has run.
func threadClock() func() time.Duration {
	return func() time.Duration {
		var t unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // fails only for a bad pointer
		return time.Duration(t.Nano())
	}
}

// opener names another process that has open what /proc shows as target, such
// as "socket:[123]"; "" when there is none, or it may not be seen.
func opener(target string) string {
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*") // fails only for a bad pattern
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err != nil || to != target {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		if pid == strconv.Itoa(os.Getpid()) {
			continue
		}
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			continue
		}
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
	}
	return ""
}

// portUser names the process that listens on a TCP port.
func portUser(port int) string {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		if inode := listenerInode(string(text), port); inode != "" {
			return opener("socket:[" + inode + "]")
		}
	}
	return ""
}

// listenerInode finds who listens on a port in a table like /proc/net/tcp, see
// proc(5); "" when nobody does.
func listenerInode(table string, port int) string {
	const listening = "0A" // TCP_LISTEN
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != listening {
			continue
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
			return fields[9]
		}
	}
	return ""
}
