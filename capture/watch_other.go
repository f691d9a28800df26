//go:build !linux

package capture

func watchCameras() *deviceWatch { return pollDevices(devicePoll) }
