//go:build !linux

package signaling

func raiseFileLimit(int) int { return 1 << 20 }
