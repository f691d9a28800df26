package main

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// acme gets certificates when somebody first asks for a name, proves the names
// by TLS-ALPN-01 (RFC 8737) on the port that serves https, and renews in time.
func (f tlsFlags) acme(dir func() (string, error), log *slog.Logger) (*certificates, error) {
	for _, name := range f.ACMEDomain {
		if isAddress(name) || !strings.Contains(name, ".") || strings.ContainsAny(name, "*/: ") {
			return nil, usage("--acme-domain %q is no name that a certificate can be had for: write for instance cam.example.org", name)
		}
	}
	directory := f.ACMEDirectory
	if directory == "" {
		directory = autocert.DefaultACMEDirectory
	}
	if u, err := url.Parse(directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, usage("--acme-directory %q is no https URL", directory)
	}
	where, err := dir()
	if err != nil {
		return nil, usageError{err}
	}
	client := &http.Client{Timeout: time.Minute, Transport: &acmeWire{base: http.DefaultTransport, log: log, orders: map[string]string{}}}
	m := &autocert.Manager{
		Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist(f.ACMEDomain...), Cache: autocert.DirCache(filepath.Join(where, "acme")),
		Client: &acme.Client{DirectoryURL: directory, HTTPClient: client, UserAgent: "peercam"},
	}
	config := serverTLS(func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		cert, err := m.GetCertificate(hello)
		if err != nil && slices.Contains(f.ACMEDomain, strings.ToLower(hello.ServerName)) {
			log.Error("no certificate was given out: does the name lead here, and is port 443 open?", "name", hello.ServerName, "err", err)
		}
		return cert, err
	})
	config.NextProtos = append(config.NextProtos, acme.ALPNProto)
	return &certificates{config: config, trusted: true, name: func(string) string { return f.ACMEDomain[0] }}, nil
}

// warnACMEPort says what is to be done when https is not on the port that ACME
// servers connect to.
func warnACMEPort(l net.Addr, name string, log *slog.Logger) {
	if _, port, _ := net.SplitHostPort(l.String()); port != "443" {
		log.Warn("to give out a certificate the ACME server connects to port 443: listen there (--listen :443), or have it forwarded here", "name", name, "address", l.String())
	}
}
