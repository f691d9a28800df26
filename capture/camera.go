package capture

import (
	"context"
	"fmt"
)

type cameraSource struct{ spec string }

func newCamera(spec string, o Options) (VideoSource, error) { return &cameraSource{spec: spec}, nil }

func (c *cameraSource) Open(ctx context.Context, want Format) (VideoReader, error) {
	return nil, fmt.Errorf("camera %q: %w", c.spec, ErrNoDevice)
}

func (c *cameraSource) String() string { return "camera " + c.spec }
