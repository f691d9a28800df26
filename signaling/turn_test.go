package signaling

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

type testTURN struct {
	*TURN
	t    testing.TB
	addr map[string]string // by transport: udp, tcp, tls
	stop func()
}

// startTURN serves on loopback.
func startTURN(t testing.TB, cfg TURNConfig) *testTURN {
	t.Helper()
	s := &testTURN{t: t, addr: map[string]string{}}
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr["udp"] = udp.LocalAddr().String()
	cfg.Packets = append(cfg.Packets, udp)
	for _, kind := range []string{"tcp", "tls"} {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.addr[kind] = l.Addr().String()
		if kind == "tls" {
			l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}})
		}
		cfg.Streams = append(cfg.Streams, l)
	}
	if cfg.Public == nil {
		cfg.Public = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	}
	if s.TURN, err = NewTURN(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err, ok := <-ended; ok && err != nil {
			t.Error(err)
		}
		close(ended)
		s.stop = func() {}
	}
	t.Cleanup(func() { s.stop() })
	return s
}

func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// turnClient is a client that has or gets a relay.
type turnClient struct {
	*turn.Client
	t     testing.TB
	relay net.PacketConn
}

// client connects, with credentials for user.
func (s *testTURN) client(transport, user string) *turnClient {
	s.t.Helper()
	servers, _ := s.ICE(time.Hour, "turn:x")(user, time.Now())
	return s.clientAs(transport, servers[0].Username, servers[0].Credential)
}

func (s *testTURN) clientAs(transport, username, password string) *turnClient {
	s.t.Helper()
	var conn net.PacketConn
	var err error
	if transport == "udp" {
		conn, err = net.ListenPacket("udp4", "127.0.0.1:0")
	} else {
		var stream net.Conn
		if transport == "tcp" {
			stream, err = net.Dial("tcp4", s.addr[transport])
		} else {
			stream, err = tls.Dial("tcp4", s.addr[transport], &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // its name is not what is tested
		}
		if err == nil {
			conn = turn.NewSTUNConn(stream)
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: s.addr[transport], STUNServerAddr: s.addr[transport], Username: username, Password: password, Conn: conn,
		LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		s.t.Fatal(err)
	}
	client := &turnClient{Client: c, t: s.t}
	s.t.Cleanup(func() {
		client.hangUp()
		c.Close()
		conn.Close()
	})
	return client
}

func (c *turnClient) hangUp() {
	if c.relay != nil {
		_ = c.relay.Close() // the server may be gone
	}
	c.relay = nil
}

// allocate gets a relay.
func (c *turnClient) allocate() *turnClient {
	c.t.Helper()
	var err error
	if c.relay, err = c.Allocate(); err != nil {
		c.t.Fatal(err)
	}
	return c
}

// refused fails the test if there is a relay, or another reason why not.
func (c *turnClient) refused(why string) {
	c.t.Helper()
	var err error
	if c.relay, err = c.Allocate(); err == nil {
		c.t.Error("got a relay")
	} else if !strings.Contains(err.Error(), why) {
		c.t.Errorf("refused with %v, want %s", err, why)
	}
}

// socket is a UDP socket on loopback.
func udpSocket(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// say sends until it is received: UDP may lose it, and the first packets of a
// client wait for its permission.
func say(t testing.TB, from net.PacketConn, to net.Addr, at net.PacketConn) net.Addr {
	t.Helper()
	buf := make([]byte, 2000)
	text := fmt.Sprint("hello ", to)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if _, err := from.WriteTo([]byte(text), to); err != nil {
			t.Fatal(err)
		}
		_ = at.SetReadDeadline(time.Now().Add(time.Second))
		if n, sender, err := at.ReadFrom(buf); err == nil && string(buf[:n]) == text {
			return sender
		}
	}
	t.Fatalf("nothing came from %v to %v", from.LocalAddr(), to)
	return nil
}

func TestTURNRelaysToTheCamera(t *testing.T) {
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			s := startTURN(t, TURNConfig{})
			camera := udpSocket(t)
			s.Admit("session", camera.LocalAddr().(*net.UDPAddr).AddrPort())
			viewer := s.client(transport, "v1").allocate()
			sender := say(t, viewer.relay, camera.LocalAddr(), camera)
			if sender.String() != viewer.relay.LocalAddr().String() {
				t.Errorf("it came from %v, not from the relay %v", sender, viewer.relay.LocalAddr())
			}
			say(t, camera, sender, viewer.relay)
			if got := s.TURN.Stats(); got.Relays != 1 || got.Packets < 2 || got.Bytes == 0 {
				t.Errorf("%+v", got)
			}
			viewer.hangUp()
			s.awaitRelays(0)
		})
	}
}

func (s *testTURN) awaitRelays(n int) {
	s.t.Helper()
	for end := time.Now().Add(patience); s.TURN.Stats().Relays != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("never %d relays: %+v", n, s.TURN.Stats())
		}
	}
}

// Camera and viewer that both can only reach the server meet inside it, also
// where its public address is a router's.
func TestTURNBetweenTwoRelays(t *testing.T) {
	for _, public := range []string{"127.0.0.1", "198.51.100.9"} {
		t.Run(public, func(t *testing.T) {
			s := startTURN(t, TURNConfig{Public: []netip.Addr{netip.MustParseAddr(public)}})
			viewer, camera := s.client("udp", "v1").allocate(), s.client("tcp", "c1").allocate()
			if at := viewer.relay.LocalAddr().(*net.UDPAddr); at.IP.String() != public {
				t.Fatalf("the relay is at %v", at)
			}
			ip := &net.UDPAddr{IP: net.ParseIP(public)}
			for _, c := range []*turnClient{viewer, camera} {
				if err := c.CreatePermission(ip); err != nil {
					t.Fatal(err)
				}
			}
			sender := say(t, viewer.relay, camera.relay.LocalAddr(), camera.relay)
			if sender.String() != viewer.relay.LocalAddr().String() {
				t.Errorf("it came from %v, not from %v", sender, viewer.relay.LocalAddr())
			}
			say(t, camera.relay, sender, viewer.relay)
		})
	}
}

// The server's own machine has services that trust it: only the ports that were
// admitted are reached, for as long as they are.
func TestTURNDoesNotReachOtherServicesOfItsMachine(t *testing.T) {
	s := startTURN(t, TURNConfig{})
	service, camera := udpSocket(t), udpSocket(t)
	s.Admit("session", camera.LocalAddr().(*net.UDPAddr).AddrPort())
	viewer := s.client("udp", "v1").allocate()
	say(t, viewer.relay, camera.LocalAddr(), camera)
	for range 5 {
		if _, err := viewer.relay.WriteTo([]byte("let me in"), service.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	say(t, viewer.relay, camera.LocalAddr(), camera) // what was sent before is through
	quiet(t, service)
	s.Dismiss("session")
	dropped := s.TURN.Stats().Dropped
	if dropped < 5 {
		t.Errorf("%d packets were dropped, want 5", dropped)
	}
	_, _ = viewer.relay.WriteTo([]byte("still there?"), camera.LocalAddr())
	for end := time.Now().Add(patience); s.TURN.Stats().Dropped == dropped; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a port is reached after its session")
		}
	}
}

// quiet fails the test if something has arrived.
func quiet(t testing.TB, c net.PacketConn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	buf := make([]byte, 100)
	if n, from, err := c.ReadFrom(buf); err == nil {
		t.Errorf("%q came from %v", buf[:n], from)
	}
}

func TestTURNIsNoOpenRelay(t *testing.T) {
	known := netip.MustParseAddr("203.0.113.5")
	for _, c := range []struct {
		name, peer string
		allow      string
		ok         bool
	}{
		{"somebody connected to the server", "203.0.113.5", "", true},
		{"a stranger", "8.8.8.8", "", false},
		{"loopback", "127.0.0.1", "", false},
		{"loopback, another", "127.8.8.8", "", false},
		{"this host", "0.0.0.0", "", false},
		{"link-local", "169.254.169.254", "", false},
		{"private 10", "10.1.2.3", "", false},
		{"private 172", "172.31.0.1", "", false},
		{"private 192", "192.168.1.1", "", false},
		{"a carrier's", "100.64.0.1", "", false},
		{"multicast", "224.0.0.251", "", false},
		{"broadcast", "255.255.255.255", "", false},
		{"reserved", "240.0.0.1", "", false},
		{"allowed", "192.168.1.1", "192.168.1.0/24", true},
		{"beside what is allowed", "192.168.2.1", "192.168.1.0/24", false},
		{"loopback that is allowed", "127.0.0.1", "127.0.0.0/8", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := TURNConfig{Known: func(netip.Addr) bool { return true }} // a liar joins from anywhere
			if c.peer == "8.8.8.8" {
				cfg.Known = func(a netip.Addr) bool { return a == known }
			}
			if c.allow != "" {
				cfg.Allow = []netip.Prefix{netip.MustParsePrefix(c.allow)}
			}
			s := startTURN(t, cfg)
			r := s.reach
			client := tupleOf(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, &net.UDPAddr{Port: 3478})
			r.begin(client, &relay{})
			if got := r.permits(client, netip.MustParseAddr(c.peer)); got != c.ok {
				t.Errorf("a relay may reach %s: %v", c.peer, got)
			}
			for _, transport := range []string{"udp", "tcp", "tls"} {
				viewer := s.client(transport, "v1").allocate()
				err := viewer.CreatePermission(&net.UDPAddr{IP: net.ParseIP(c.peer), Port: 9})
				if own := c.peer[:4] == "127." || c.peer == "0.0.0.0"; !own && (err == nil) != c.ok {
					t.Errorf("%s: permission to reach %s: %v", transport, c.peer, err)
				} else if !c.ok && !own && !strings.Contains(err.Error(), "403") {
					t.Errorf("%s: refused with %v, want 403", transport, err)
				}
			}
		})
	}
	for _, ip := range []string{"::1", "fe80::1", "fd00::1", "ff02::1", "::", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::"} {
		if routable(netip.MustParseAddr(ip)) {
			t.Errorf("%s is taken for a public address", ip)
		}
	}
	if !routable(netip.MustParseAddr("2a00:1450::1")) {
		t.Error("a public IPv6 address is taken for another")
	}
}

// A viewer whose signaling is away keeps what it was granted, with the relay.
func TestTURNPermissionsOutliveSignaling(t *testing.T) {
	here := true
	r := newReach(nil, func(netip.Addr) bool { return here })
	camera := netip.MustParseAddr("203.0.113.5")
	ip := net.IPv4(203, 0, 113, 1)
	client := tupleOf(&net.UDPAddr{IP: ip, Port: 1}, &net.UDPAddr{Port: 3478})
	var first, second relay
	if r.permits(client, camera) {
		t.Error("granted without a relay")
	}
	r.begin(client, &first)
	if !r.permits(client, camera) {
		t.Fatal("refused at first")
	}
	here = false
	if !r.permits(client, camera) {
		t.Error("refused when it was renewed")
	}
	for name, other := range map[string]tuple{
		"over TCP":        tupleOf(&net.TCPAddr{IP: ip, Port: 1}, &net.TCPAddr{Port: 3478}),
		"by another port": tupleOf(&net.UDPAddr{IP: ip, Port: 1}, &net.UDPAddr{Port: 3479}),
		"of another port": tupleOf(&net.UDPAddr{IP: ip, Port: 2}, &net.UDPAddr{Port: 3478}),
	} {
		r.begin(other, &second)
		if r.permits(other, camera) {
			t.Errorf("granted to the client's relay %s", name)
		}
		r.end(other, &second)
		if !r.permits(client, camera) {
			t.Errorf("taken back with the client's relay %s", name)
		}
	}
	r.begin(client, &second)
	if r.permits(client, camera) {
		t.Error("granted to the next relay")
	}
	here = true
	r.permits(client, camera)
	r.end(client, &first) // late
	here = false
	if !r.permits(client, camera) {
		t.Error("taken back from the next relay")
	}
	here = true
	for i := range 1000 {
		r.permits(client, netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}))
	}
	if n := len(r.granted[client].to); n != maxRelayPeers {
		t.Errorf("%d addresses are kept for one client, want %d", n, maxRelayPeers)
	}
	r.end(client, &second)
	if len(r.granted) != 0 {
		t.Errorf("%d clients without a relay are remembered", len(r.granted))
	}
}

func TestTURNCredentialsAreAskedFor(t *testing.T) {
	s := startTURN(t, TURNConfig{})
	old, _ := s.ICE(-time.Minute, "turn:x")("v1", time.Now())
	good, _ := s.ICE(time.Hour, "turn:x")("v1", time.Now())
	other, _ := TURNSecret("other").ICE(time.Hour, "turn:x")("v1", time.Now())
	for name, c := range map[string]struct{ username, password string }{
		"none":             {"", ""},
		"expired":          {old[0].Username, old[0].Credential},
		"another server's": {other[0].Username, other[0].Credential},
		"life prolonged":   {"9" + good[0].Username, good[0].Credential},
		"another user":     {good[0].Username + "2", good[0].Credential},
		"no time":          {"v1", good[0].Credential},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.clientAs("udp", c.username, c.password)
			client.t = t
			client.refused("")
		})
	}
	if n := s.TURN.Stats().Relays; n != 0 {
		t.Errorf("%d relays", n)
	}
	// Who has a relay keeps it beyond its credentials' time.
	for method, want := range map[stun.Method]bool{stun.MethodAllocate: false, stun.MethodRefresh: true, stun.MethodCreatePermission: true} {
		ask := &turn.RequestAttributes{Username: good[0].Username, Realm: turnRealm, Method: method}
		if _, _, ok := s.authenticate(ask, time.Now().Add(24*time.Hour)); ok != want {
			t.Errorf("%v after a day: %v", method, ok)
		}
	}
}

func TestTURNQuotas(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   TURNConfig
		users [3]string // the third is refused
	}{
		"of a user":     {TURNConfig{RelaysPerUser: 2}, [3]string{"a", "a", "a"}},
		"of an address": {TURNConfig{RelaysPerAddress: 2}, [3]string{"a", "b", "c"}},
		"of all":        {TURNConfig{Relays: 2}, [3]string{"a", "b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := startTURN(t, c.cfg)
			first := s.client("udp", c.users[0]).allocate()
			s.client("udp", c.users[1]).allocate()
			s.client("udp", c.users[2]).refused("486")
			first.hangUp()
			s.awaitRelays(1)
			s.client("udp", c.users[2]).allocate()
		})
	}
	t.Run("of connections", func(t *testing.T) {
		s := startTURN(t, TURNConfig{RelaysPerAddress: 2})
		for range 2 {
			s.client("tcp", "a").allocate()
		}
		c, err := net.Dial("tcp", s.addr["tcp"])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("a third connection is kept: %v", err)
		}
	})
}

func TestTURNDropsWhatIsOverTheBitRate(t *testing.T) {
	s := startTURN(t, TURNConfig{Bitrate: 80_000})
	camera := udpSocket(t)
	s.Admit("session", camera.LocalAddr().(*net.UDPAddr).AddrPort())
	viewer := s.client("tcp", "v1").allocate() // TCP: nothing is lost before the relay
	say(t, viewer.relay, camera.LocalAddr(), camera)
	for range 200 {
		if _, err := viewer.relay.WriteTo(make([]byte, 1000), camera.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(patience); s.TURN.Stats().Packets+s.TURN.Stats().Dropped < 200; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v", s.TURN.Stats())
		}
	}
	if got := s.TURN.Stats(); got.Dropped < 50 || got.Bytes > 150_000 {
		t.Errorf("of 200000 bytes at once: %+v", got)
	}
}

// A stream that is no TURN ends, whatever it says about itself.
func TestTURNStreamsOfNonsenseEnd(t *testing.T) {
	s := startTURN(t, TURNConfig{})
	header := func(kind, length uint16) string {
		b := binary.BigEndian.AppendUint16(nil, kind)
		return string(binary.BigEndian.AppendUint16(b, length))
	}
	cookie := "\x21\x12\xa4\x42"
	for name, said := range map[string]string{
		"HTTP":                    "GET / HTTP/1.1\r\n\r\n",
		"STUN of 65536 bytes":     header(1, 65516) + cookie + strings.Repeat("x", 12),
		"STUN of 60000 bytes":     header(1, 60000) + cookie + strings.Repeat("x", 12),
		"STUN of an odd length":   header(1, 3) + cookie + strings.Repeat("x", 15),
		"channel data, too large": header(0x4000, 65533) + strings.Repeat("x", 100),
		"channel data of nothing": strings.Repeat(header(0x4000, 0), 10),
		"noise":                   strings.Repeat("\xff", 2000),
	} {
		c, err := net.Dial("tcp", s.addr["tcp"])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(said))
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: the connection is kept", name)
		}
		c.Close()
	}
}

// Whatever a stream is cut into, it is followed the same, and to its end.
func FuzzTURNFraming(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x00aaaabbbbccccdddd\x40\x00\x00\x05hello   \x00\x01\x00\x04"), uint8(3))
	f.Add([]byte("GET / HTTP/1.1"), uint8(1))
	f.Add([]byte("\x00\x01\xff\xec!\x12\xa4B"), uint8(7))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		var whole, parts framing
		want := whole.take(b)
		var got error
		for rest := b; len(rest) > 0 && got == nil; {
			n := min(len(rest), int(cut)+1)
			got = parts.take(rest[:n])
			rest = rest[n:]
		}
		if (got == nil) != (want == nil) || got == nil && parts != whole {
			t.Errorf("whole: %+v %v; in parts: %+v %v", whole, want, parts, got)
		}
		if want == nil && whole.left > maxFrame {
			t.Errorf("it waits for %d bytes", whole.left)
		}
	})
}

func TestTURNEndsWithClientsInIt(t *testing.T) {
	s := startTURN(t, TURNConfig{})
	for _, transport := range []string{"udp", "tcp", "tls"} {
		s.client(transport, "v1").allocate()
	}
	idle, err := net.Dial("tcp", s.addr["tls"])
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	s.stop()
	if got := s.TURN.Stats(); got.Relays != 0 || got.Streams != 0 {
		t.Errorf("after the end: %+v", got)
	}
}

// endedConn is a connection of which only the addresses matter.
type endedConn struct {
	net.Conn
	local, remote net.Addr
}

func (c endedConn) LocalAddr() net.Addr  { return c.local }
func (c endedConn) RemoteAddr() net.Addr { return c.remote }
func (c endedConn) Close() error         { return nil }

func TestTURNTellsStreamsOfOnePortApart(t *testing.T) {
	turn, err := NewTURN(TURNConfig{Public: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, RelaysPerAddress: 2})
	if err != nil {
		t.Fatal(err)
	}
	client := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5000}
	at := func(port int) net.Conn {
		return endedConn{local: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: port}, remote: client}
	}
	bare, inTLS := turn.stream(at(443)), turn.stream(at(3478))
	if turn.stream(at(5349)) != nil {
		t.Error("an address has more streams than it may")
	}
	turn.opened(client, inTLS.LocalAddr(), "v1", &net.UDPAddr{})
	if bare.member.Load() || !inTLS.member.Load() {
		t.Errorf("the relay is counted for another stream: %v %v", bare.member.Load(), inTLS.member.Load())
	}
	for left, s := range []*turnStream{inTLS, bare} {
		_ = s.Close()
		if n := turn.Stats().Streams; n != 1-left {
			t.Errorf("%d streams are left, want %d", n, 1-left)
		}
	}
	turn.running.Wait()
}

func TestTURNOffersNoTCPRelays(t *testing.T) {
	s := startTURN(t, TURNConfig{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if _, err := s.client("tcp", "v1").AllocateTCP(); err == nil {
		t.Error("got a TCP relay")
	}
}
