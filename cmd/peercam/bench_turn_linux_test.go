package main

import (
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"

	"github.com/peercam/peercam/signaling"
)

// BenchmarkTURNCost is what a relayed packet costs the TURN server, from a
// camera to a viewer, as channel data: our own server and coturn, by turns.
func BenchmarkTURNCost(b *testing.B) {
	const secret = "bench"
	user, _ := signaling.TURNSecret(secret).ICE(time.Hour, "turn:x")("v1", time.Now())
	own := func(b *testing.B) (addr string, ice signaling.ICEServer, pid int) {
		p := spawn(b, nil, "serve", "--listen", "127.0.0.1:0", "--turn", "127.0.0.1:0", "--turn-allow", "127.0.0.0/8", "--turn-bitrate", "50M")
		ice = p.welcome("kitchen", "").ICEServers[0]
		return ice.URLs[0][len("turn:") : len(ice.URLs[0])-len("?transport=udp")], ice, p.cmd.Process.Pid
	}
	coturn := func(b *testing.B) (addr string, ice signaling.ICEServer, pid int) {
		addr = freeAddr(b)
		_, port, _ := net.SplitHostPort(addr)
		dir := b.TempDir()
		cmd := exec.Command("turnserver", "-n", "--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "--listening-port", port, "--allow-loopback-peers",
			"--use-auth-secret", "--static-auth-secret", secret, "--realm", "example.org", "--no-cli", "--no-tls", "--no-dtls",
			"--log-file", filepath.Join(dir, "log"), "--pidfile", filepath.Join(dir, "pid"), "--userdb", filepath.Join(dir, "db"))
		if err := cmd.Start(); err != nil {
			b.Fatalf("%v: run `make deps-test`, which installs it (coturn)", err)
		}
		b.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		eventually(b, "coturn is there", func() bool {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		return addr, user[0], cmd.Process.Pid
	}
	for name, server := range map[string]func(*testing.B) (string, signaling.ICEServer, int){"peercam": own, "coturn": coturn} {
		b.Run(name, func(b *testing.B) {
			addr, ice, pid := server(b)
			measureRelay(b, addr, ice, pid)
		})
	}
}

// relayPackets of 1200 bytes go to relayClients in each measurement: frames of
// relayFrame packets, two a millisecond, which is what 66 viewers get at 30
// frames a second and 2.9 Mbit/s each.
const (
	relayClients = 10
	relayPackets = 100_000
	relayFrame   = 10
)

func measureRelay(b *testing.B, addr string, ice signaling.ICEServer, pid int) {
	camera, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer camera.Close()
	var relays []net.PacketConn
	received := make(chan int, relayClients)
	for range relayClients {
		relays = append(relays, relayFor(b, addr, ice, camera))
	}
	for b.Loop() {
		before := costOf(b, pid).cpu
		for _, r := range relays {
			go func() {
				n, buf := 0, make([]byte, 1500)
				for n < relayPackets/relayClients {
					_ = r.SetReadDeadline(time.Now().Add(time.Second))
					if _, _, err := r.ReadFrom(buf); err != nil {
						break // the rest was lost
					}
					n++
				}
				received <- n
			}()
		}
		packet := make([]byte, 1200)
		pace := time.NewTicker(time.Millisecond)
		for i := 0; i < relayPackets; i++ {
			if i%(2*relayFrame) == 0 {
				<-pace.C
			}
			if _, err := camera.WriteTo(packet, relays[i/relayFrame%relayClients].LocalAddr()); err != nil {
				b.Fatal(err)
			}
		}
		pace.Stop()
		total := 0
		for range relays {
			total += <-received
		}
		if total == 0 {
			b.Fatal("nothing came through")
		}
		b.ReportMetric(float64((costOf(b, pid).cpu-before).Microseconds())/float64(total), "cpu-µs/packet")
		b.ReportMetric(100*(1-float64(total)/relayPackets), "lost-%")
	}
}

// relayFor gets a relay with a channel to the camera.
func relayFor(b *testing.B, addr string, ice signaling.ICEServer, camera net.PacketConn) net.PacketConn {
	b.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	c, err := turn.NewClient(&turn.ClientConfig{TURNServerAddr: addr, Username: ice.Username, Password: ice.Credential, Conn: conn,
		LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close(); conn.Close() })
	if err := c.Listen(); err != nil {
		b.Fatal(err)
	}
	relay, err := c.Allocate()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { relay.Close() })
	// The second packet asks for a channel, and a third goes by it.
	buf := make([]byte, 100)
	for range 3 {
		if _, err := relay.WriteTo([]byte("hello"), camera.LocalAddr()); err != nil {
			b.Fatal(err)
		}
		_ = camera.SetReadDeadline(time.Now().Add(patience))
		if _, _, err := camera.ReadFrom(buf); err != nil {
			b.Fatal(err)
		}
	}
	return relay
}
