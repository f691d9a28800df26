package capture

import (
	"io"
	"log/slog"
)

// Options are what sources share.
type Options struct {
	Log   *slog.Logger
	Stdin io.Reader
	Want  Format
}
