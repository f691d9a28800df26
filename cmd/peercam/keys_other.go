//go:build !linux && !darwin

package main

import (
	"context"
	"os"
)

const canReadKeys = false

// readKeys is for terminals that can be asked for single keys.
func readKeys(ctx context.Context, _ *os.File, _ func(key byte)) error {
	<-ctx.Done()
	return nil
}
