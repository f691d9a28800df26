package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/peercam/peercam/signaling"
)

// keyFlags are shared by share and token.
type keyFlags struct {
	KeyFile string `help:"Where the key is kept; made at the first start." placeholder:"PATH" type:"path"`
}

type tokenCommand struct{ keyFlags }

// Run prints the room token: what a WHEP player gives as bearer, and what
// /snapshot asks for.
func (t *tokenCommand) Run(env environment) error {
	key, err := loadKey(t.KeyFile)
	if err != nil {
		return err
	}
	fmt.Fprintln(env.stdout, key.Token())
	return nil
}

// loadKey reads the key, or makes it; "" is its place in the user's
// configuration.
func loadKey(path string) (signaling.Key, error) {
	if path == "" {
		var err error
		if path, err = keyPath(); err != nil {
			return signaling.Key{}, usageError{err}
		}
	}
	key, err := signaling.LoadKey(path)
	if err != nil {
		return signaling.Key{}, usageError{err}
	}
	return key, nil
}

// keyDir is where what belongs to the key is kept: beside it.
func (f keyFlags) keyDir() (string, error) {
	if f.KeyFile != "" {
		return filepath.Dir(f.KeyFile), nil
	}
	return configDir()
}

// keyPath is where the key is kept when nobody says otherwise.
func keyPath() (string, error) {
	dir, err := configDir()
	return filepath.Join(dir, "key"), err
}

func configDir() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("there is no place for keys (%w): set HOME, or name a file with --key-file", err)
	}
	return filepath.Join(dir, "peercam"), nil
}
