//go:build !unix

package capture

import "time"

// processCPU is not known here.
func processCPU() time.Duration { return 0 }
