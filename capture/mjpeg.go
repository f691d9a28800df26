package capture

import (
	"errors"
	"io"
)

func newMJPEGFile(f io.ReadSeeker, fps float64) (videoDecoder, error) {
	return nil, errors.New("MJPEG is not read yet")
}
