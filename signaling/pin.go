package signaling

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// CertificateFingerprint is what browsers and `openssl x509 -fingerprint
// -sha256` show of a certificate: upper case hex with colons.
func CertificateFingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// pin trusts the one certificate that has the fingerprint, whoever signed it
// and whatever it is for.
func pin(fingerprint string) (*tls.Config, error) {
	want := strings.ToUpper(strings.TrimSpace(fingerprint))
	for _, prefix := range []string{"SHA-256:", "SHA256:"} {
		want = strings.TrimSpace(strings.TrimPrefix(want, prefix))
	}
	if !isFingerprint(want) {
		return nil, fmt.Errorf("fingerprint %.120q is not 32 pairs of hex digits with colons between, as the server logs it", fingerprint)
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection does more
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errors.New("it showed no certificate")
			}
			if got := CertificateFingerprint(state.PeerCertificates[0]); subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
				return fmt.Errorf("its certificate has the fingerprint %s, not the one that was given: somebody is in between, or it has a new certificate", got)
			}
			return nil
		},
	}, nil
}

// explainTLS adds what can be done about a certificate that is refused.
func explainTLS(err error) error {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: if the certificate is self-signed, give the fingerprint that the server logs (--signal-fingerprint)", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%w: it must be renewed there, or this machine's clock is wrong", err)
	case errors.As(err, &name):
		return fmt.Errorf("%w: use a name that the certificate has", err)
	}
	return err
}
