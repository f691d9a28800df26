package main

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// stunServer answers binding requests with what seen makes of where they came
// from. It leaves every first request unanswered, as a network that loses
// packets does.
func stunServer(t *testing.T, seen func(from *net.UDPAddr) *net.UDPAddr) (url string) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { c.Close(); <-ended })
	go func() {
		defer close(ended)
		b := make([]byte, 1500)
		for lost := false; ; lost = true {
			n, from, err := c.ReadFromUDP(b)
			if err != nil {
				return
			}
			request := &stun.Message{Raw: b[:n]}
			if !lost || request.Decode() != nil {
				continue
			}
			to := seen(from)
			answer := stun.MustBuild(stun.NewTransactionIDSetter(request.TransactionID), stun.BindingSuccess, &stun.XORMappedAddress{IP: to.IP, Port: to.Port})
			_, _ = c.WriteToUDP(answer.Raw, from) // one that is lost is asked for again
		}
	}()
	return "stun:" + c.LocalAddr().String()
}

func TestDoctorFindsTheKindOfNAT(t *testing.T) {
	outside := func(port int) func(*net.UDPAddr) *net.UDPAddr {
		return func(*net.UDPAddr) *net.UDPAddr { return &net.UDPAddr{IP: net.IPv4(203, 0, 113, 5), Port: port} }
	}
	one, same, other := stunServer(t, outside(4000)), stunServer(t, outside(4000)), stunServer(t, outside(4001))
	silent := "stun:" + silentPort(t)
	for name, c := range map[string]struct {
		servers []string
		want    verdict
		word    string
	}{
		"one mapping":     {[]string{one, same}, fine, "one mapping for all"},
		"a mapping each":  {[]string{one, other}, warning, "turn:HOST:3478"},
		"one answer":      {[]string{one, silent}, fine, "no answer"},
		"no answer":       {[]string{silent}, warning, "no STUN server answers"},
		"no such name":    {[]string{"stun:nosuch.invalid"}, warning, "no name server"},
		"nobody is asked": {nil, fine, "no STUN server was asked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := soundDoctor(t)
			for _, s := range c.servers {
				args = append(args, "--ice-server", s)
			}
			code, d := diagnose(t, args...)
			if code != exitDone {
				t.Errorf("code %d: what lies outside must not block what is inside", code)
			}
			d.named(t, "outside").says(t, c.want, c.word)
		})
	}
}

func TestDoctorKnowsAPublicAddress(t *testing.T) {
	own := netip.MustParseAddr("203.0.113.5")
	natFinding([]mapping{{server: "stun:a", addr: netip.AddrPortFrom(own, 1)}}, []netip.Addr{own}).says(t, fine, "no NAT")
	natFinding([]mapping{{server: "stun:a", err: errors.New("network is unreachable")}}, nil).says(t, warning, "network is unreachable")
}

func TestDoctorTriesRelays(t *testing.T) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	relays := &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"}
	log := logging.NewDefaultLoggerFactory()
	log.DefaultLogLevel = logging.LogLevelDisabled
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: "peercam", LoggerFactory: log,
		AuthHandler: func(a *turn.RequestAttributes) (string, []byte, bool) {
			return a.Username, turn.GenerateAuthKey("me", "peercam", "sesame"), a.Username == "me"
		},
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: c, RelayAddressGenerator: relays}},
		ListenerConfigs:   []turn.ListenerConfig{{Listener: l, RelayAddressGenerator: relays}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	udp, tcp := "turn:"+c.LocalAddr().String(), "turn:"+l.Addr().String()+"?transport=tcp"
	for name, c := range map[string]struct {
		url, password string
		want          verdict
		word          string
	}{
		"udp":      {udp, "sesame", fine, "relays"},
		"tcp":      {tcp, "sesame", fine, "relays"},
		"password": {udp, "open", warning, "--ice-credential"},
		"nobody":   {"turn:" + silentPort(t), "sesame", warning, "no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, d := diagnose(t, soundDoctor(t, "--ice-server", c.url, "--ice-username", "me", "--ice-credential", c.password)...)
			d.named(t, "outside").says(t, c.want, c.word)
		})
	}
}
