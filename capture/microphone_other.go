//go:build !linux

package capture

func hushALSA() {}
