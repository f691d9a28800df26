package signaling

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPinnedServers(t *testing.T) {
	s := startServer(t, ServerConfig{})
	h := httptest.NewTLSServer(s.Server)
	t.Cleanup(h.Close)
	h.Config.ErrorLog = nil
	url := "wss" + strings.TrimPrefix(h.URL, "https")
	right := CertificateFingerprint(h.Certificate())
	for fingerprint, want := range map[string]string{
		right:                              "",
		"sha-256:" + right:                 "",
		"SHA256:" + strings.ToLower(right): "",
		"":                                 "--signal-fingerprint",
		strings.Replace(right, right[:2], "zz", 1): "32 pairs",
		"AA:" + strings.Repeat("00:", 30) + "BB":   "somebody is in between",
	} {
		dial, err := DialPinned(url, fingerprint)
		if err == nil {
			var c Conn
			if c, err = dial(context.Background()); err == nil {
				c.Close("", "")
				drain(c)
			}
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("fingerprint %q: %v, want %q", fingerprint, err, want)
		}
	}
}

func TestBadCertificatesOfServersAreExplained(t *testing.T) {
	cert := &x509.Certificate{DNSNames: []string{"a.example"}}
	for want, err := range map[string]error{
		"renewed":              x509.CertificateInvalidError{Cert: cert, Reason: x509.Expired},
		"a name that":          x509.HostnameError{Certificate: cert, Host: "b.example"},
		"--signal-fingerprint": x509.UnknownAuthorityError{Cert: cert},
	} {
		err = explainTLS(fmt.Errorf("dialing: %w", &tls.CertificateVerificationError{Err: err}))
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not say %q", err, want)
		}
	}
}
