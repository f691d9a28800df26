package main

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds waits for what must come; nothing is asserted about time. It
// is longer than a viewer that vanished is waited for.
const patience = 45 * time.Second

func TestMain(m *testing.M) {
	cameraMain()  // as viewersMain
	viewersMain() // does not return in the process of a benchmark's viewers
	code := m.Run()
	// The browser's goroutines end with it, so that none has to be excused.
	closeBrowser()
	removeBinary()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goleak:", err)
		code = 1
	}
	os.Exit(code)
}
