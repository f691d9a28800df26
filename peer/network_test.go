package peer

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

func addrs(list ...string) (all []netip.Addr) {
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

func TestMoves(t *testing.T) {
	at := time.Now().Round(0)
	seen := func(awake, asleep time.Duration, list ...string) look {
		return look{awake, at.Add(awake + asleep), addrs(list...)}
	}
	for name, c := range map[string]struct {
		before, now look
		matters     bool
		lost        string // address that nothing can be sent from any more
	}{
		"nothing":           {seen(0, 0, "10.0.0.1"), seen(time.Second, 0, "10.0.0.1"), false, ""},
		"another address":   {seen(0, 0, "10.0.0.1"), seen(time.Second, 0, "10.0.0.2"), true, "10.0.0.1"},
		"one more":          {seen(0, 0, "10.0.0.1"), seen(time.Second, 0, "10.0.0.1", "10.8.0.1"), true, ""},
		"one less":          {seen(0, 0, "10.0.0.1", "fd00::1"), seen(time.Second, 0, "10.0.0.1"), true, "fd00::1"},
		"no network":        {seen(0, 0, "10.0.0.1"), seen(time.Second, 0), false, ""},
		"the first":         {seen(0, 0), seen(time.Second, 0, "10.0.0.1"), true, ""},
		"slept":             {seen(0, 0, "10.0.0.1"), seen(time.Second, time.Hour, "10.0.0.1"), true, "10.0.0.1"},
		"slept, no network": {seen(0, 0, "10.0.0.1"), seen(time.Second, time.Hour), false, ""},
		"the clock was set": {seen(0, 0, "10.0.0.1"), seen(time.Second, -time.Hour, "10.0.0.1"), false, ""},
	} {
		m, matters := c.before.until(c.now)
		if matters != c.matters {
			t.Errorf("%s: matters %v", name, matters)
		}
		for _, a := range append(c.before.addrs, addrs("127.0.0.1")...) {
			if matters && m.Lost(a) != (a.String() == c.lost || m.Slept) {
				t.Errorf("%s: lost from %v: %v", name, a, m.Lost(a))
			}
		}
	}
}

func TestWhereAViewerCanBe(t *testing.T) {
	for ip, want := range map[string]bool{
		"192.168.1.2": true, "203.0.113.1": true, "2001:db8::1": true, "169.254.3.4": true,
		"127.0.0.1": false, "::1": false, "169.254.169.254": false, "224.0.0.251": false, "255.255.255.255": false, "0.0.0.0": false, "ff02::1": false, "fe80::1": false,
	} {
		if got := plausible(net.ParseIP(ip), false); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
	if !plausible(net.ParseIP("127.0.0.1"), true) {
		t.Error("a machine without a network cannot watch itself")
	}
}

// freePort is a UDP and TCP port that nobody has just now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func newTestNetwork(t *testing.T, c NetworkConfig) *Network {
	t.Helper()
	n, err := NewNetwork(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func TestAllSessionsOnOnePort(t *testing.T) {
	port := freePort(t)
	n := newTestNetwork(t, NetworkConfig{UDPPort: port})
	s := newStage(t, Config{Network: n})
	for _, id := range []string{"one", "two"} {
		v := newViewer(t, nil)
		v.watch(s.pub, id)
		next(t, v.sound, "sound")
		for _, c := range strings.Split(v.pc.RemoteDescription().SDP, "\n") {
			if f := strings.Fields(c); strings.HasPrefix(c, "a=candidate:") && (f[5] != strconv.Itoa(port) || f[2] != "udp") {
				t.Errorf("%s: candidate %s, want port %d", id, c, port)
			}
		}
	}
}

func TestAViewerByTCP(t *testing.T) {
	port := freePort(t)
	s := newStage(t, Config{Network: newTestNetwork(t, NetworkConfig{TCPPort: port})})
	v := newViewer(t, func(e *webrtc.SettingEngine) {
		e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
		e.DisableActiveTCP(false)
	})
	v.watch(s.pub, "one")
	next(t, v.frames, "frame")
	pair, err := v.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair.Remote.Protocol != webrtc.ICEProtocolTCP || int(pair.Remote.Port) != port {
		t.Errorf("the picture comes by %v, %v", pair, err)
	}
}

func TestThePublicAddressIsOfferedBesideOurs(t *testing.T) {
	n := newTestNetwork(t, NetworkConfig{UDPPort: freePort(t), PublicIPs: addrs("203.0.113.9")})
	s := newStage(t, Config{Network: n})
	v := newViewer(t, nil)
	v.watch(s.pub, "one")
	next(t, v.frames, "frame")
	answer := v.pc.RemoteDescription().SDP
	if !strings.Contains(answer, " 203.0.113.9 ") || strings.Count(answer, "typ host") < 2 {
		t.Errorf("candidates in the answer: %s", answer)
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	port := freePort(t)
	newTestNetwork(t, NetworkConfig{UDPPort: port, TCPPort: port})
	for name, c := range map[string]NetworkConfig{"UDP": {UDPPort: port}, "TCP": {TCPPort: port}} {
		_, err := NewNetwork(c)
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), name+" port "+strconv.Itoa(port)) || !strings.Contains(err.Error(), "choose another") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnInterfaceThatIsNotThere(t *testing.T) {
	if _, err := NewNetwork(NetworkConfig{Interfaces: []string{"wlan77"}}); err == nil || !strings.Contains(err.Error(), "wlan77") || !strings.Contains(err.Error(), "lo") {
		t.Errorf("%v", err)
	}
}

// The port opens at addresses that come, and outlives those that go for a moment.
func TestThePortFollowsTheAddresses(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	u := newUDPPort(freePort(t), log)
	defer u.Close()
	open := func() (n int) { return len(u.all()) }
	now := time.Now()
	for i, c := range []struct {
		after        time.Duration
		addrs        []netip.Addr
		offered, all int
	}{
		{0, addrs("127.0.0.1"), 1, 1},
		{1, addrs("127.0.0.1", "127.0.0.2"), 2, 2},
		{2, addrs("127.0.0.2"), 1, 2},
		{3, addrs("127.0.0.1", "127.0.0.2"), 2, 2},
		{4, addrs("127.0.0.2"), 1, 2},
		{5 + lingerTime, addrs("127.0.0.2"), 1, 1},
	} {
		if err := u.follow(now.Add(c.after), c.addrs); err != nil {
			t.Fatal(err)
		}
		if offered := len(u.GetListenAddresses()); offered != c.offered || open() != c.all {
			t.Errorf("step %d: %d offered of %d, want %d of %d", i, offered, open(), c.offered, c.all)
		}
	}
	if _, err := u.GetConn("ufrag", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err == nil {
		t.Error("a share at an address where the port is closed")
	}
}

// An address where the port cannot be opened does not hinder the others, is told
// of once, and is tried again.
func TestAnAddressThatIsNotUsable(t *testing.T) {
	var said strings.Builder
	u := newUDPPort(freePort(t), slog.New(slog.NewTextHandler(&said, nil)))
	defer u.Close()
	now := time.Now()
	if err := u.follow(now, addrs("192.0.2.77")); err == nil || !strings.Contains(err.Error(), "192.0.2.77") {
		t.Errorf("open nowhere: %v", err)
	}
	for range 3 {
		if err := u.follow(now, addrs("192.0.2.77", "127.0.0.1")); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(u.GetListenAddresses()); n != 1 || strings.Count(said.String(), "\n") != 1 {
		t.Errorf("open at %d addresses; the log: %s", n, said.String())
	}
	taken, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2), Port: u.port})
	if err != nil {
		t.Fatal(err)
	}
	for want := 1; want < 3; want++ {
		if err := u.follow(now, addrs("127.0.0.1", "127.0.0.2")); err != nil || len(u.GetListenAddresses()) != want {
			t.Errorf("open at %v, want %d: %v", u.GetListenAddresses(), want, err)
		}
		taken.Close()
	}
}
