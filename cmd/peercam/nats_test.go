package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// A camera at one server is watched at another. When the camera's server is
// killed, what is watched goes on; who comes after it is back sees the camera too.
func TestServersOverNATS(t *testing.T) {
	nats, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, Username: "u", Password: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	nats.Start()
	t.Cleanup(func() { nats.Shutdown(); nats.WaitForShutdown() })
	if !nats.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	url := "nats://u:s3cret@" + nats.Addr().String()
	here, there := freeAddr(t), freeAddr(t)
	serve := func(addr string) *process { return spawn(t, nil, "serve", "--listen", addr, "--nats", url) }
	near, far := serve(here), serve(there)
	film := write(t, "clip.y4m", []byte(y4mHeader(10)), red.y4mFrame(), red.y4mFrame())
	camera := spawn(t, nil, "share", "--signal", "ws://"+here, "--room", "kitchen", "--camera", "file:"+film, "--mic", "none",
		"--key-file", filepath.Join(t.TempDir(), "key"))
	link := strings.Replace(camera.first, here, there, 1)
	v := open(t, link)
	v.state("live")
	v.shows(red)

	near.signal(syscall.SIGKILL)
	v.shows(red)
	serve(here)
	late := open(t, link)
	late.state("live")
	late.shows(red)
	v.shows(red)
	if log := near.stderr.String() + far.stderr.String(); strings.Contains(log, "s3cret") {
		t.Errorf("the password of NATS is in the log:\n%s", log)
	}
}
