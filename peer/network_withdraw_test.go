package peer

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// asked is what a router was asked for, in order; what was sent again counts once.
type asked struct {
	mu  sync.Mutex
	all []string
}

func (a *asked) note(format string, v ...any) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := fmt.Sprintf(format, v...)
	a.all = slices.Compact(append(a.all, s))
	return s
}

func (a *asked) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.all, ", ")
}

// noteIGD notes a request for a port, of UPnP.
func (a *asked) noteIGD(r *http.Request) string {
	b, _ := io.ReadAll(r.Body)
	value := func(name string) string {
		_, s, _ := strings.Cut(string(b), "<"+name+">")
		s, _, _ = strings.Cut(s, "<")
		return s
	}
	what := "withdraw"
	if value("NewInternalPort") != "" {
		what = "forward"
	}
	return a.note("%s %s %s", what, value("NewProtocol"), value("NewExternalPort"))
}

// notePMP notes a request for a port, of PCP or NAT-PMP.
func (a *asked) notePMP(b []byte) string {
	name, lease, tcp, port := "PCP", 4, len(b) == 60 && b[36] == 6, 40
	if b[0] == 0 {
		if name, lease, tcp, port = "NAT-PMP", 8, b[1] == 2, 4; b[1] == pmpAddress {
			return ""
		}
	}
	what := "forward"
	if binary.BigEndian.Uint32(b[lease:]) == 0 {
		what = "withdraw"
	}
	return a.note("%s %v by %s", what, mappedPort{TCP: tcp, Port: binary.BigEndian.Uint16(b[port:])}, name)
}

// A router that forwards one port of two forwards none in the end, and what
// another machine has there is left alone.
func TestPortsAreForwardedAllOrNone(t *testing.T) {
	igd := func(external string, second func(w http.ResponseWriter, leave func())) func(*testing.T, *asked, func()) router {
		return func(t *testing.T, a *asked, leave func()) router {
			return igdServer(t, "", func(w http.ResponseWriter, r *http.Request) {
				_, action, _ := strings.Cut(strings.Trim(r.Header.Get("SOAPAction"), `"`), "#")
				switch {
				case r.URL.Path == "/igd.xml":
					fmt.Fprintf(w, igdXML, "/control")
				case action == "GetExternalIPAddress":
					soap(w, action, "<NewExternalIPAddress>"+external+"</NewExternalIPAddress>")
				case a.noteIGD(r) == "forward TCP 2":
					second(w, leave)
				default:
					soap(w, action, "")
				}
			})
		}
	}
	pmp := func(answer func(request []byte, second bool) []byte) func(*testing.T, *asked, func()) router {
		return func(t *testing.T, a *asked, _ func()) router {
			return pmpServer(t, func(b []byte) [][]byte {
				return [][]byte{answer(b, !(b[0] == 2 && len(b) != 60) && strings.HasPrefix(a.notePMP(b), "forward TCP 2"))}
			})
		}
	}
	for name, c := range map[string]struct {
		router func(*testing.T, *asked, func()) router
		want   string
	}{
		"UPnP, another machine has the second": {
			igd("203.0.113.9", func(w http.ResponseWriter, _ func()) { soapFault(w, 718) }), "forward UDP 1, forward TCP 2, withdraw UDP 1"},
		"UPnP, the program ends meanwhile": {
			igd("203.0.113.9", func(w http.ResponseWriter, leave func()) { leave(); soapFault(w, 501) }), "forward UDP 1, forward TCP 2, withdraw UDP 1"},
		"UPnP, at no address of the internet": {igd("127.0.0.1", nil), "forward UDP 1, withdraw UDP 1"},
		"UPnP, not connected":                 {igd("", nil), ""},
		"PCP, another machine has the second": {pmp(func(b []byte, second bool) []byte {
			return pcpAnswer(b, func(b []byte) {
				if second {
					b[3] = 8
				}
			})
		}), "forward UDP 1 by PCP, forward TCP 2 by PCP, withdraw UDP 1 by PCP"},
		"PCP, silent about the second": {pmp(func(b []byte, second bool) []byte {
			if second {
				return nil
			}
			return pcpAnswer(b, nil)
		}), "forward UDP 1 by PCP, forward TCP 2 by PCP, withdraw UDP 1 by PCP"},
		"NAT-PMP, another machine has the second": {pmp(func(b []byte, second bool) []byte {
			answer := natPMPAnswer(b, 1)
			if second && b[0] == 0 {
				answer[3] = 2
			}
			return answer
		}), "forward UDP 1 by PCP, forward UDP 1 by NAT-PMP, forward TCP 2 by NAT-PMP, withdraw UDP 1 by NAT-PMP"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var a asked
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			r := c.router(t, &a, leave)
			m := newPortMapper([]mappedPort{{Port: 1}, {TCP: true, Port: 2}}, func() []router { return []router{r} }, slog.New(slog.DiscardHandler))
			if m.renew(ctx) != mapRetryFirst || m.external().IsValid() {
				t.Errorf("reached at %v", m.external())
			}
			if a.String() != c.want {
				t.Errorf("asked to %s\nwant %s", &a, c.want)
			}
		})
	}
}

// A PCP router that is found again knows whose its mappings are (RFC 6887, section 11.3).
func TestARouterFoundAgainKnowsUs(t *testing.T) {
	var owner []byte
	at := pmpServer(t, func(b []byte) [][]byte {
		if len(b) == 60 && owner == nil {
			owner = slices.Clone(b[24:36])
		}
		return [][]byte{pcpAnswer(b, func(b []byte) {
			if string(b[24:36]) != string(owner) {
				b[3] = 2 // NOT_AUTHORIZED
			}
		})}
	}).at
	n := newTestNetwork(t, NetworkConfig{})
	for range 2 {
		if _, _, err := n.pmpRouter(at).forward(t.Context(), cameraPort, mapLease); err != nil {
			t.Error(err)
		}
	}
	stranger := newTestNetwork(t, NetworkConfig{}).pmpRouter(at)
	if _, _, err := stranger.forward(t.Context(), cameraPort, mapLease); err == nil || !strings.Contains(err.Error(), "PCP result code 2") {
		t.Errorf("another program takes our port: %v", err)
	}
}

func FuzzPMP(f *testing.F) {
	nonce := pcpNonce{1, 2, 3}
	request := pcpRequest(cameraPort, mapLease, addrs("192.168.1.2")[0], nonce)
	f.Add(pcpAnswer(request, nil))
	f.Add(pcpAnswer(request, func(b []byte) { b[3] = 2 }))
	f.Add(natPMPAnswer(request, 8189))
	f.Add(natPMPAnswer(pmpRequest(pmpAddress, cameraPort, 0), 0))
	f.Add(natPMPAnswer(pmpRequest(pmpOp(cameraPort), cameraPort, mapLease), 8190))
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(protocol string, g pmpGrant, done bool, err error) {
			if !done && (err != nil || g != pmpGrant{}) || g.lease < 0 {
				t.Errorf("%s: %+v, answer: %v, %v", protocol, g, done, err)
			}
		}
		g, done, err := parsePCP(b, cameraPort, nonce)
		check("PCP", g, done, err)
		if done && err == nil && (!g.at.IsValid() || pcpNonce(b[24:36]) != nonce) {
			t.Errorf("PCP: %+v is not an answer to us", g)
		}
		for _, op := range []byte{pmpAddress, 1, 2} {
			g, done, err := parsePMP(b, op, cameraPort)
			check("NAT-PMP", g, done, err)
			if done && g.at.IsValid() != (op == pmpAddress) {
				t.Errorf("NAT-PMP: %+v is not an answer to request %d", g, op)
			}
		}
	})
}

func FuzzHostOf(f *testing.F) {
	for _, s := range []string{"http://192.168.1.1:5000/igd.xml", "http://[fe80::1%25eth0]/", "HTTP://me@10.0.0.1", "file:///etc/passwd", "http://router/", "http://10.0.0.1\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := hostOf(s)
		if a.IsValid() != (err == nil) {
			t.Errorf("%q: %v, %v", s, a, err)
		}
		if err == nil && !strings.HasPrefix(strings.ToLower(s), "http://") {
			t.Errorf("%q leads to %v", s, a)
		}
	})
}
