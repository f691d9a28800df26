//go:build !linux

package capture

import "os"

func growPipe(*os.File) {}

func pollable(f *os.File) *os.File { return f }

// isTerminal takes every character device but the null device for one.
func isTerminal(f *os.File) bool { return f.Name() != os.DevNull }
