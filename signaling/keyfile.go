package signaling

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// LoadKey reads the key kept in the file at path, or makes one and keeps it
// there, readable to its owner only. Errors name the file and the way out.
func LoadKey(path string) (Key, error) {
	k, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	return k, err
}

func readKey(path string) (Key, error) {
	// Stat first: opening a FIFO would wait for somebody to write to it.
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, fmt.Errorf("key file: %w: check the path, or choose another with --key-file", err)
	}
	if !info.Mode().IsRegular() {
		return Key{}, fmt.Errorf("key file %s is not a file: choose another with --key-file", path)
	}
	// Windows keeps permissions elsewhere; what Go shows of them there says nothing.
	if perm := info.Mode().Perm(); perm&0o077 != 0 && runtime.GOOS != "windows" {
		return Key{}, fmt.Errorf("key file %s is open to other users (mode %#o), who can then watch: "+
			"run 'chmod 600 %s', or delete it to get a new key (links given out so far then stop working)", path, perm, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return Key{}, fmt.Errorf("key file: %w: make it readable for the user who runs peercam, or choose another with --key-file", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return Key{}, fmt.Errorf("key file: reading: %w", err)
	}
	k, err := ParseKey(strings.TrimSpace(string(text)))
	if err != nil {
		return Key{}, fmt.Errorf("key file %s holds no key: %w; put the right one back, or delete the file to get a new key "+
			"(links given out so far then stop working)", path, err)
	}
	return k, nil
}

// makeKey writes a whole key beside path and then gives it that name, so that
// neither a crash nor a second peercam that starts at once sees half a file.
func makeKey(path string) (Key, error) {
	fail := func(err error) (Key, error) {
		return Key{}, fmt.Errorf("key file %s cannot be made: %w: make its directory writable, or choose another with --key-file", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fail(err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*") // made with O_EXCL and 0600
	if err != nil {
		return fail(err)
	}
	defer os.Remove(tmp.Name())
	k := NewKey()
	_, err = tmp.WriteString(strings.TrimPrefix(k.Fragment(), "k=") + "\n")
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fail(err)
	}
	err = os.Link(tmp.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return readKey(path) // another peercam was first: its key is the key
	}
	if err != nil {
		err = os.Rename(tmp.Name(), path) // a file system without hard links
	}
	if err != nil {
		return fail(err)
	}
	return k, nil
}
