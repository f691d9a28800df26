package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/peercam/peercam/encode"
)

// version is set by the build (-ldflags -X main.version=...).
var version = "development"

type versionCommand struct{}

// Run prints what an error report needs.
func (versionCommand) Run(env environment) error {
	fmt.Fprintf(env.stdout, "peercam %s\n", version)
	fmt.Fprintf(env.stdout, "libvpx  %s\n", encode.LibvpxVersion())
	fmt.Fprintf(env.stdout, "opus    %s\n", encode.OpusVersion())
	fmt.Fprintf(env.stdout, "pion    %s\n", pionVersion())
	fmt.Fprintf(env.stdout, "go      %s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

func pionVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/pion/webrtc/v4" {
			return m.Version
		}
	}
	return "unknown"
}
