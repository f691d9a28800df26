package capture

import (
	"context"
	"fmt"
)

type micSource struct{ spec string }

func newMicrophone(spec string, o Options) (AudioSource, error) { return &micSource{spec: spec}, nil }

func (m *micSource) Open(ctx context.Context) (AudioReader, error) {
	return nil, fmt.Errorf("microphone %q: %w", m.spec, ErrNoDevice)
}

func (m *micSource) String() string { return "microphone " + m.spec }

func listMicrophones() ([]Device, error) { return nil, nil }
