package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// tlsFlags are shared by share and serve: where the server's certificate comes from.
type tlsFlags struct {
	TLSCert       string   `name:"tls-cert" help:"Serve https and wss with this certificate (PEM, with the chain). Read again when it changes." placeholder:"FILE"`
	TLSKey        string   `name:"tls-key" help:"The certificate's private key (PEM)." placeholder:"FILE"`
	TLSSelfSigned bool     `name:"tls-self-signed" help:"Serve https and wss with a certificate that peercam makes itself and keeps beside the key; its fingerprint is logged. Browsers ask before they trust it."`
	ACMEDomain    []string `name:"acme-domain" help:"Serve https and wss with a certificate from Let's Encrypt for this name, which must lead to port 443 here. May be repeated. Accepts its terms of service." placeholder:"NAME"`
	ACMEDirectory string   `name:"acme-directory" help:"Another ACME server than Let's Encrypt's." placeholder:"URL"`
}

// certificates is how a server proves who it is.
type certificates struct {
	config *tls.Config
	// name is what to call this server in links, given the address it has.
	name func(address string) string
	// trusted tells that browsers trust it without being asked.
	trusted bool
}

// tlsConfig is nil for plain http.
func (c *certificates) tlsConfig() *tls.Config {
	if c == nil {
		return nil
	}
	return c.config
}

// at is the host in links, with the port unless it is https' own.
func (c *certificates) at(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	host = c.name(host)
	if port != "443" {
		return net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// certificates checks the flags; nil: plain http. dir is where to keep what is
// made here.
func (f tlsFlags) certificates(dir func() (string, error), log *slog.Logger) (*certificates, error) {
	files := f.TLSCert != "" || f.TLSKey != ""
	switch {
	case files && (f.TLSSelfSigned || len(f.ACMEDomain) > 0), f.TLSSelfSigned && len(f.ACMEDomain) > 0:
		return nil, usage("--tls-cert, --tls-self-signed and --acme-domain exclude each other: there is one certificate")
	case f.ACMEDirectory != "" && len(f.ACMEDomain) == 0:
		return nil, usage("--acme-directory is of use with --acme-domain only")
	case files && (f.TLSCert == "" || f.TLSKey == ""):
		return nil, usage("--tls-cert and --tls-key go together: the certificate and its private key")
	case files:
		c := &certFile{cert: f.TLSCert, key: f.TLSKey, log: log}
		if err := c.load(time.Now()); err != nil {
			return nil, usageError{err}
		}
		leaf := c.now.Leaf
		return &certificates{trusted: true, name: func(address string) string { return certName(leaf, address, log) },
			config: serverTLS(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(time.Now()), nil })}, nil
	case f.TLSSelfSigned:
		return selfSigned(dir, log)
	case len(f.ACMEDomain) > 0:
		return f.acme(dir, log)
	}
	return nil, nil
}

func serverTLS(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: get}
}

// certName is the name of a certificate's that links should have.
func certName(leaf *x509.Certificate, address string, log *slog.Logger) string {
	if leaf.VerifyHostname(address) == nil {
		return address
	}
	for _, name := range leaf.DNSNames {
		if !strings.Contains(name, "*") {
			return name
		}
	}
	for _, ip := range leaf.IPAddresses {
		return ip.String()
	}
	log.Warn("the certificate is not for the address in the link: browsers will refuse it; open the link by a name that the certificate has",
		"names", leaf.DNSNames, "address", address)
	return address
}

// certFile is a certificate in files that may be replaced.
type certFile struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	now     *tls.Certificate
	files   [2][]byte // as they were when they were last looked at
	checked time.Time
}

// recheck is how often files are looked at, at most: when somebody connects.
const recheck = time.Second

// get is the newest certificate that is good. New files that are not leave the
// old ones in use, and are logged once.
func (c *certFile) get(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checked) < recheck {
		return c.now
	}
	before, old := c.files, c.now
	switch err := c.load(now); {
	case err != nil && !c.same(before):
		c.log.Error("the new TLS certificate is not used; the old one still is", "err", err)
	case err == nil && c.now != old:
		c.log.Info("the TLS certificate was replaced", "file", c.cert, "expires", c.now.Leaf.NotAfter)
	}
	return c.now
}

func (c *certFile) same(files [2][]byte) bool {
	return bytes.Equal(files[0], c.files[0]) && bytes.Equal(files[1], c.files[1])
}

// load reads the files if they have changed.
func (c *certFile) load(now time.Time) error {
	c.checked = now
	certPEM, err := os.ReadFile(c.cert)
	if err != nil {
		c.files = [2][]byte{}
		return fmt.Errorf("--tls-cert: the certificate cannot be read: %w: check the path, and that the user who runs peercam may read it", err)
	}
	keyPEM, err := os.ReadFile(c.key)
	if err != nil {
		c.files = [2][]byte{}
		return fmt.Errorf("--tls-key: the private key cannot be read: %w: check the path, and that the user who runs peercam may read it", err)
	}
	if c.same([2][]byte{certPEM, keyPEM}) && c.now != nil {
		return nil
	}
	c.files = [2][]byte{certPEM, keyPEM}
	pair, err := parsePair(certPEM, keyPEM, now)
	if err != nil {
		return fmt.Errorf("--tls-cert %s, --tls-key %s: %w", c.cert, c.key, err)
	}
	c.now = pair
	return nil
}

func parsePair(certPEM, keyPEM []byte, now time.Time) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%w: both files must be PEM, and the key the certificate's", err)
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, err
		}
	}
	switch leaf := pair.Leaf; {
	case now.After(leaf.NotAfter):
		return nil, fmt.Errorf("the certificate expired on %s: renew it", leaf.NotAfter.Format(time.DateTime))
	case now.Before(leaf.NotBefore):
		return nil, fmt.Errorf("the certificate is good from %s only: wait, or set this machine's clock", leaf.NotBefore.Format(time.DateTime))
	}
	return &pair, nil
}

// isAddress tells whether a host is an address rather than a name.
func isAddress(host string) bool { return net.ParseIP(host) != nil }
