package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// terminalKeys is the terminal on which a person can press keys while the
// program runs, nil when there is none: stdin and stderr must both be one.
func terminalKeys(stdin io.Reader, stderr io.Writer) *os.File {
	f, ok := stdin.(*os.File)
	if _, status := stderr.(*statusWriter); !ok || !status || !canReadKeys || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return f
}

// showKeys says which keys there are.
func showKeys(w io.Writer, sound bool) {
	mute := ""
	if sound {
		mute = ", m to mute the microphone"
	}
	fmt.Fprintf(w, "Press p to cover the camera%s, Ctrl-C to stop.\n", mute)
}

// listenForKeys carries out what is pressed until ctx is done.
func listenForKeys(ctx context.Context, terminal *os.File, r *remote, changed func()) error {
	return readKeys(ctx, terminal, func(key byte) {
		switch key {
		case 'p', 'P':
			r.togglePrivacy()
		case 'm', 'M':
			r.toggleMute()
		}
		changed()
	})
}
