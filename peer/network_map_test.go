package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

var cameraPort = mappedPort{Port: 8189}

// pmpServer answers packets at the loopback until the test ends; say returns
// what, if anything.
func pmpServer(t *testing.T, say func(request []byte) [][]byte) *pmpRouter {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() { conn.Close(); serving.Wait() })
	serving.Go(func() {
		b := make([]byte, 2000)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			for _, answer := range say(b[:n]) {
				_, _ = conn.WriteTo(answer, from) // who asked may be gone
			}
		}
	})
	return &pmpRouter{at: conn.LocalAddr().(*net.UDPAddr).AddrPort(), nonce: newPCPNonce()}
}

// pcpAnswer is what an honest router says.
func pcpAnswer(request []byte, change func([]byte)) []byte {
	if len(request) != 60 {
		return nil // NAT-PMP
	}
	b := append([]byte(nil), request...)
	b[1] |= 0x80
	b[3] = 0
	for i := 8; i < 24; i++ {
		b[i] = 0
	}
	copy(b[42:44], b[40:42])
	at := netip.MustParseAddr("203.0.113.9").As16()
	copy(b[44:], at[:])
	if change != nil {
		change(b)
	}
	return b
}

// natPMPAnswer is that of one that knows NAT-PMP only.
func natPMPAnswer(request []byte, external uint16) []byte {
	switch {
	case request[0] != 0:
		return []byte{0, 128 + request[1], 0, 1, 0, 0, 0, 1}
	case request[1] == 0:
		return []byte{0, 128, 0, 0, 0, 0, 0, 1, 203, 0, 113, 9}
	}
	b := append([]byte{0, 128 + request[1], 0, 0, 0, 0, 0, 1}, request[4:]...)
	binary.BigEndian.PutUint16(b[10:], external)
	return b
}

func TestPortMapping(t *testing.T) {
	one := func(b []byte) [][]byte { return [][]byte{b} }
	for name, c := range map[string]struct {
		say   func([]byte) [][]byte
		lease time.Duration
		want  string // of the error
	}{
		"PCP": {func(b []byte) [][]byte { return one(pcpAnswer(b, nil)) }, mapLease, ""},
		"a short lease": {func(b []byte) [][]byte {
			return one(pcpAnswer(b, func(b []byte) { binary.BigEndian.PutUint32(b[4:], 60) }))
		}, time.Minute, ""},
		"a lease for ever": {func(b []byte) [][]byte {
			return one(pcpAnswer(b, func(b []byte) { binary.BigEndian.PutUint32(b[4:], 1<<32-1) }))
		}, mapLease, ""},
		"others' packets first": {func(b []byte) [][]byte {
			return [][]byte{{}, {2}, make([]byte, 1100), b, pcpAnswer(b, func(b []byte) { b[24] ^= 1 }), pcpAnswer(b, nil)}
		}, mapLease, ""},
		"another port":    {func(b []byte) [][]byte { return one(pcpAnswer(b, func(b []byte) { b[43]++ })) }, 0, "8190: somebody else has the port"},
		"it says no":      {func(b []byte) [][]byte { return one(pcpAnswer(b, func(b []byte) { b[3] = 2 })) }, 0, "PCP result code 2"},
		"NAT-PMP":         {func(b []byte) [][]byte { return one(natPMPAnswer(b, 8189)) }, mapLease, ""},
		"NAT-PMP, taken":  {func(b []byte) [][]byte { return one(natPMPAnswer(b, 8190)) }, 0, "8190: somebody else has the port"},
		"NAT-PMP says no": {func(b []byte) [][]byte { return one(append([]byte{0, 128 + b[1], 0, 3}, make([]byte, 12)...)) }, 0, "result code 3"},
		"silent":          {func([]byte) [][]byte { return nil }, 0, "does not answer"},
		"nonsense": {func([]byte) [][]byte {
			return [][]byte{{0}, {0, 128}, {2, 0x81, 0}, []byte(strings.Repeat("x", 1100))}
		}, 0, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := pmpServer(t, c.say)
			at, lease, err := r.forward(context.Background(), cameraPort, mapLease)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, %v: %v, want %s", at, lease, err, c.want)
				}
				return
			}
			if err != nil || at.String() != "203.0.113.9" || lease != c.lease {
				t.Errorf("%v for %v: %v", at, lease, err)
			}
			if err := r.withdraw(context.Background(), cameraPort); err != nil {
				t.Error(err)
			}
		})
	}
}

const igdXML = `<?xml version="1.0" encoding="iso-8859-1"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
<deviceList><device><deviceList><device><serviceList><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>
<controlURL>%s</controlURL></service></serviceList></device></deviceList></device></deviceList></device></root>`

// igdServer is a router of UPnP at the loopback: serve answers its HTTP, and what
// its search answers holds location, or its own.
func igdServer(t *testing.T, location string, serve http.HandlerFunc) *igdRouter {
	t.Helper()
	web := httptest.NewServer(serve)
	if location == "" {
		location = web.URL + "/igd.xml"
	}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() { conn.Close(); serving.Wait(); web.Close() })
	serving.Go(func() {
		b := make([]byte, 2000)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if !strings.HasPrefix(string(b[:n]), "M-SEARCH * HTTP/1.1\r\n") {
				t.Errorf("a search: %q", b[:n])
			}
			for _, answer := range []string{"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nST: x\r\nLOCATION: " + location + "\r\n\r\n"} {
				_, _ = conn.WriteTo([]byte(answer), from) // who asked may be gone
			}
		}
	})
	return &igdRouter{from: func() []netip.Addr { return addrs("127.0.0.1", "::1") }, search: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
}

// soap answers an action.
func soap(w http.ResponseWriter, action, values string) {
	fmt.Fprintf(w, `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><u:%sResponse xmlns:u="x">%s</u:%[1]sResponse></s:Body></s:Envelope>`, action, values)
}

func soapFault(w http.ResponseWriter, code int) {
	w.WriteHeader(http.StatusInternalServerError)
	fmt.Fprintf(w, `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>%d</errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>`, code)
}

func TestPortMappingByUPnP(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("led to another machine: %v", r.URL) }))
	t.Cleanup(elsewhere.Close)
	_, port, _ := strings.Cut(elsewhere.Listener.Addr().String(), ":")
	other := "http://localhost:" + port + "/"
	endless := func(w http.ResponseWriter) {
		for line := strings.Repeat("<a>", 10_000); ; {
			if _, err := w.Write([]byte(line)); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		location, control string
		describe          func(http.ResponseWriter, *http.Request) // instead of a description
		act               func(w http.ResponseWriter, r *http.Request, action string) bool
		want              string // of the error
	}{
		"honest": {},
		"only for ever": {act: func(w http.ResponseWriter, r *http.Request, action string) bool {
			b := make([]byte, 4000)
			n, _ := r.Body.Read(b)
			if action == "AddPortMapping" && !strings.Contains(string(b[:n]), "<NewLeaseDuration>0<") {
				soapFault(w, 725)
				return true
			}
			return false
		}},
		"taken":      {act: func(w http.ResponseWriter, _ *http.Request, _ string) bool { soapFault(w, 718); return true }, want: "somebody else has the port"},
		"it says no": {act: func(w http.ResponseWriter, _ *http.Request, _ string) bool { soapFault(w, 606); return true }, want: "UPnP error code 606"},
		"not connected": {act: func(w http.ResponseWriter, _ *http.Request, action string) bool {
			soap(w, action, "<NewExternalIPAddress></NewExternalIPAddress>")
			return true
		}, want: "no address on the internet"},
		"an endless answer": {act: func(w http.ResponseWriter, _ *http.Request, _ string) bool { endless(w); return true }, want: "more than 16384 bytes"},
		"an answer that leads elsewhere": {act: func(w http.ResponseWriter, r *http.Request, _ string) bool {
			http.Redirect(w, r, other, http.StatusTemporaryRedirect)
			return true
		}, want: "307"},
		"silent": {describe: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, want: "deadline"},
		"a dripping description": {describe: func(w http.ResponseWriter, r *http.Request) {
			for drip := time.NewTicker(100 * time.Millisecond); ; <-drip.C {
				if _, err := w.Write([]byte(" ")); err != nil || http.NewResponseController(w).Flush() != nil || r.Context().Err() != nil {
					return
				}
			}
		}, want: "deadline"},
		"an endless description":        {describe: func(w http.ResponseWriter, _ *http.Request) { endless(w) }, want: "more than 262144 bytes"},
		"a description elsewhere":       {describe: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusFound) }, want: "302"},
		"a description of nothing":      {describe: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<root/>") }, want: "no connection to the internet"},
		"no XML":                        {describe: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<<<") }, want: "description"},
		"a service elsewhere":           {control: other, want: "another machine"},
		"a service of another protocol": {control: "file:///etc/passwd", want: "another machine"},
		"another machine's description": {location: other, want: "nobody answers"},
		"no URL":                        {location: "http://%zz/", want: "nobody answers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var acted sync.Map
			r := igdServer(t, c.location, func(w http.ResponseWriter, req *http.Request) {
				action := strings.Trim(req.Header.Get("SOAPAction"), `"`)
				_, action, _ = strings.Cut(action, "#")
				control := c.control
				if control == "" {
					control = "/control"
				}
				switch {
				case req.URL.Path == "/igd.xml" && c.describe != nil:
					c.describe(w, req)
				case req.URL.Path == "/igd.xml":
					fmt.Fprintf(w, igdXML, control)
				case c.act != nil && c.act(w, req, action):
				case action == "GetExternalIPAddress":
					soap(w, action, "<NewExternalIPAddress>203.0.113.9</NewExternalIPAddress>")
				default:
					acted.Store(action, true)
					soap(w, action, "")
				}
			})
			at, lease, err := r.forward(context.Background(), cameraPort, mapLease)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, %v: %v, want %s", at, lease, err, c.want)
				}
				return
			}
			if err != nil || at.String() != "203.0.113.9" || lease != mapLease {
				t.Fatalf("%v for %v: %v", at, lease, err)
			}
			if err := r.withdraw(context.Background(), cameraPort); err != nil {
				t.Error(err)
			}
			if _, ok := acted.Load("DeletePortMapping"); !ok {
				t.Error("the port is still forwarded")
			}
		})
	}
}

// fakeRouter forwards as it is told.
type fakeRouter struct {
	at    string
	err   error
	calls []string
}

func (r *fakeRouter) String() string { return "fake" }

func (r *fakeRouter) forward(_ context.Context, p mappedPort, lease time.Duration) (netip.Addr, time.Duration, error) {
	r.calls = append(r.calls, "forward "+p.String())
	if r.err != nil {
		return netip.Addr{}, 0, r.err
	}
	return netip.MustParseAddr(r.at), lease, nil
}

func (r *fakeRouter) withdraw(_ context.Context, p mappedPort) error {
	r.calls = append(r.calls, "withdraw "+p.String())
	return nil
}

func TestPortMapperGoesOn(t *testing.T) {
	deaf, good := &fakeRouter{err: errors.New("deaf")}, &fakeRouter{at: "203.0.113.9"}
	var said strings.Builder
	m := newPortMapper([]mappedPort{{Port: 1}, {TCP: true, Port: 2}}, func() []router { return []router{deaf, good} }, slog.New(slog.NewTextHandler(&said, nil)))
	ctx := context.Background()
	step := func(what string, wait time.Duration, at string) {
		t.Helper()
		if got := m.renew(ctx); got != wait {
			t.Errorf("%s: again after %v, want %v", what, got, wait)
		}
		if got := m.external(); got.IsValid() != (at != "") || at != "" && got.String() != at {
			t.Errorf("%s: at %v, want %q", what, got, at)
		}
	}
	step("the first time", mapRenew, "203.0.113.9")
	step("renewed", mapRenew, "203.0.113.9")
	if len(deaf.calls) != 1 || len(good.calls) != 4 {
		t.Errorf("calls: %q, %q", deaf.calls, good.calls)
	}
	good.at = "198.51.100.9"
	step("another address", mapRenew, "198.51.100.9")
	good.err = errors.New("rebooting")
	step("lost", mapRetryFirst, "")
	step("still lost", 2*mapRetryFirst, "")
	good.err = nil
	step("back", mapRenew, "198.51.100.9")
	for _, lie := range []string{"0.0.0.0", "127.0.0.1", "255.255.255.255", "224.0.0.1", "169.254.169.254", "2001:db8::1"} {
		good.at = lie
		good.calls = nil
		step(lie, retryAfter(m.failed+1), "")
	}
	if n := strings.Count(said.String(), "no router forwards"); n != 2 {
		t.Errorf("it was said %d times that there is no router, want once each time: %s", n, said.String())
	}
	good.at, good.calls = "192.168.7.7", nil
	step("a router behind another", mapRenew, "192.168.7.7")
	if !strings.Contains(said.String(), "behind another one") {
		t.Errorf("nothing is said about the second router: %s", said.String())
	}
	m.leave(ctx)
	if got := strings.Join(good.calls, ", "); got != "forward UDP 1, forward TCP 2, withdraw UDP 1, withdraw TCP 2" {
		t.Error(got)
	}
}

func TestMappingTimes(t *testing.T) {
	for lease, want := range map[time.Duration]time.Duration{
		0: mapRetryFirst, -1: mapRetryFirst, time.Minute: 30 * time.Second, mapLease: mapRenew, 1000 * time.Hour: mapRenew,
	} {
		if got := renewAfter(lease); got != want {
			t.Errorf("a lease of %v is renewed after %v", lease, got)
		}
	}
	for failed, want := range map[int]time.Duration{1: mapRetryFirst, 2: 2 * mapRetryFirst, 7: mapRetryLast, 1 << 30: mapRetryLast} {
		if got := retryAfter(failed); got != want {
			t.Errorf("failed %d times: again after %v", failed, got)
		}
	}
}

func TestGateways(t *testing.T) {
	// The kernel writes addresses as numbers of its machine.
	number := func(a, b, c, d byte) string {
		return fmt.Sprintf("%08X", binary.NativeEndian.Uint32([]byte{a, b, c, d}))
	}
	table := "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t" + number(192, 168, 1, 1) + "\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"wg0\t00000000\t" + number(192, 168, 2, 1) + "\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth0\t" + number(192, 168, 1, 0) + "\t00000000\t0001\t0\t0\t0\t" + number(255, 255, 255, 0) + "\t0\t0\t0\nnonsense\n\n"
	got := parseRoutes(table, func(name string) bool { return name != "wg0" })
	if len(got) != 1 || got[0].String() != "192.168.1.1" {
		t.Errorf("%v", got)
	}
}

func FuzzIGD(f *testing.F) {
	f.Add([]byte(fmt.Sprintf(igdXML, "/control")))
	f.Add([]byte(`<root><device><deviceList><device>`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		var d igdDescription
		if unmarshal(b, &d) == nil {
			d.Device.find()
		}
		var values igdValues
		_ = unmarshal(b, &values)
		parseRoutes(string(b), func(string) bool { return true })
	})
}
