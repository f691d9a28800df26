package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/peercam/peercam/signaling"
)

// selfSignedLife is long: what is trusted by its fingerprint must stay the same.
const selfSignedLife = 10 * 365 * 24 * time.Hour

// selfSigned reads the certificate that was made here, or makes it.
func selfSigned(dir func() (string, error), log *slog.Logger) (*certificates, error) {
	where, err := dir()
	if err != nil {
		return nil, usageError{err}
	}
	path := filepath.Join(where, "tls.pem")
	pair, err := readSelfSigned(path, time.Now())
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeSelfSigned(path, time.Now()); err == nil {
			pair, err = readSelfSigned(path, time.Now())
		}
	}
	if err != nil {
		return nil, usage("--tls-self-signed: %w: delete %s to get a new one", err, path)
	}
	fingerprint := signaling.CertificateFingerprint(pair.Leaf)
	log.Info("the TLS certificate is self-signed: browsers ask before they trust it, and should show this fingerprint",
		"fingerprint", fingerprint, "cameras", "--signal-fingerprint "+fingerprint)
	return &certificates{
		name:   func(address string) string { return address },
		config: serverTLS(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair, nil }),
	}, nil
}

func readSelfSigned(path string, now time.Time) (*tls.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parsePair(text, text, now)
}

// makeSelfSigned keeps a new key and certificate in one file.
func makeSelfSigned(path string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	host, _ := os.Hostname()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "peercam"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(selfSignedLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, DNSNames: []string{"localhost"},
	}
	if host != "" && host != "localhost" {
		template.DNSNames = append(template.DNSNames, host)
	}
	addrs, _ := net.InterfaceAddrs() // a certificate without is as good: nobody checks its names
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			template.IPAddresses = append(template.IPAddresses, n.IP)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // a Buffer takes all
	_ = pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".tls-*") // made with 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone when all went well
	_, err = tmp.Write(text.Bytes())
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("keeping the certificate: %w", err)
	}
	return nil
}
