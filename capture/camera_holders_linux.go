package capture

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// holders names the programs that have node open, as far as proc, usually
// /proc, lets this one see: without being root, those of the same user.
func holders(proc, node string) (all []string) {
	processes, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	for _, p := range processes {
		if _, err := strconv.Atoi(p.Name()); err != nil || !opens(filepath.Join(proc, p.Name(), "fd"), node) {
			continue
		}
		if p.Name() == strconv.Itoa(os.Getpid()) {
			all = append(all, "this program itself")
			continue
		}
		name, err := os.ReadFile(filepath.Join(proc, p.Name(), "comm"))
		if err != nil {
			continue // it has ended
		}
		all = append(all, fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), p.Name()))
	}
	return all
}

// opens tells whether one of the links in dir, a process's fd, is to node.
func opens(dir, node string) bool {
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(fds, func(fd os.DirEntry) bool {
		to, err := os.Readlink(filepath.Join(dir, fd.Name()))
		return err == nil && to == node
	})
}

// nodeGroup is the group that may use node.
func nodeGroup(node string) string {
	var st unix.Stat_t
	if unix.Stat(node, &st) == nil && st.Gid != 0 {
		if g, err := user.LookupGroupId(strconv.Itoa(int(st.Gid))); err == nil {
			return g.Name
		}
	}
	return "video"
}

// inGroup tells whether the user is in a group by the system's files, which
// takes effect at the next login only.
func inGroup(name string) bool {
	u, err := user.Current()
	if err != nil {
		return false
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return false
	}
	ids, err := u.GroupIds()
	return err == nil && slices.Contains(ids, g.Gid)
}
