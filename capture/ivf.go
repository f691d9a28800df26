package capture

import (
	"errors"
	"io"
)

const ivfMagic = "DKIF"

func newIVFFile(f io.ReadSeeker) (videoDecoder, error) {
	return nil, errors.New("IVF is not read yet")
}
