package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/pion/logging"
	"github.com/pion/turn/v5"

	"github.com/peercam/peercam/signaling"
)

// testCert writes a certificate and its key, good from after to before.
func testCert(t testing.TB, dir string, after, before time.Time, names ...string) (cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: after, NotAfter: before,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, secret.Public(), secret)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: bare}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func goodCert(t testing.TB, dir string, names ...string) (cert, key string) {
	t.Helper()
	return testCert(t, dir, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), names...)
}

func TestBadCertificatesAreExplained(t *testing.T) {
	now := time.Now()
	cert, key := goodCert(t, t.TempDir(), "localhost")
	_, otherKey := goodCert(t, t.TempDir(), "localhost")
	old, oldKey := testCert(t, t.TempDir(), now.Add(-2*time.Hour), now.Add(-time.Hour), "localhost")
	early, earlyKey := testCert(t, t.TempDir(), now.Add(time.Hour), now.Add(2*time.Hour), "localhost")
	junk := write(t, "junk.pem", []byte("this is no certificate"))
	files := func(cert, key string) tlsFlags { return tlsFlags{TLSCert: cert, TLSKey: key} }
	for name, c := range map[string]struct {
		flags tlsFlags
		want  string
	}{
		"no key":          {files(cert, ""), "--tls-key"},
		"no certificate":  {files("", key), "--tls-cert"},
		"not there":       {files("/nowhere/cert.pem", key), "/nowhere/cert.pem"},
		"key not there":   {files(cert, "/nowhere/key.pem"), "--tls-key"},
		"a directory":     {files(t.TempDir(), key), "is a directory"},
		"another's key":   {files(cert, otherKey), "the key the certificate's"},
		"junk":            {files(junk, key), "PEM"},
		"expired":         {files(old, oldKey), "expired on"},
		"not yet good":    {files(early, earlyKey), "clock"},
		"two at once":     {tlsFlags{TLSCert: cert, TLSKey: key, TLSSelfSigned: true}, "exclude each other"},
		"ACME for an IP":  {tlsFlags{ACMEDomain: []string{"192.0.2.1"}}, "--acme-domain"},
		"ACME, bare name": {tlsFlags{ACMEDomain: []string{"kitchen"}}, "--acme-domain"},
		"ACME directory":  {tlsFlags{ACMEDomain: []string{"a.example"}, ACMEDirectory: "http://x"}, "--acme-directory"},
		"no ACME":         {tlsFlags{ACMEDirectory: "https://x"}, "--acme-domain"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.flags.certificates(func() (string, error) { return t.TempDir(), nil }, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: does not say %q", err, c.want)
			}
		})
	}
}

func TestCertificatesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := goodCert(t, dir, "one.example")
	var log bytes.Buffer
	c := &certFile{cert: cert, key: key, log: slog.New(slog.NewTextHandler(&log, nil))}
	now := time.Now()
	if err := c.load(now); err != nil {
		t.Fatal(err)
	}
	name := func() string { return c.get(now).Leaf.DNSNames[0] }
	goodCert(t, dir, "two.example")
	if got := name(); got != "one.example" {
		t.Errorf("looked at the files at once: %s", got)
	}
	now = now.Add(recheck)
	if got := name(); got != "two.example" {
		t.Errorf("still %s", got)
	}
	if err := os.WriteFile(key, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		now = now.Add(recheck)
		if got := name(); got != "two.example" {
			t.Errorf("bad files made it %s", got)
		}
	}
	if n := strings.Count(log.String(), "the old one still is"); n != 1 {
		t.Errorf("said %d times that the new one is bad:\n%s", n, log.String())
	}
	testCert(t, dir, now.Add(-2*time.Hour), now.Add(-time.Hour), "old.example")
	if now = now.Add(recheck); name() != "two.example" || !strings.Contains(log.String(), "expired on") {
		t.Errorf("an expired one came to be %s:\n%s", name(), log.String())
	}
	goodCert(t, dir, "three.example")
	if now = now.Add(recheck); name() != "three.example" {
		t.Errorf("still %s", name())
	}
}

func TestNamesInLinks(t *testing.T) {
	for _, c := range []struct {
		names   []string
		address string
		want    string
	}{
		{[]string{"cam.example.org"}, "192.168.1.7", "cam.example.org"},
		{[]string{"cam.example.org", "192.168.1.7"}, "192.168.1.7", "192.168.1.7"},
		{[]string{"*.example.org", "example.org"}, "192.168.1.7", "example.org"},
		{[]string{"10.0.0.1"}, "192.168.1.7", "10.0.0.1"},
		{[]string{"*.example.org"}, "192.168.1.7", "192.168.1.7"},
	} {
		var log bytes.Buffer
		cert, key := goodCert(t, t.TempDir(), c.names...)
		certs, err := tlsFlags{TLSCert: cert, TLSKey: key}.certificates(nil, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if got := certs.at(c.address + ":8443"); got != c.want+":8443" {
			t.Errorf("%v at %s: the link has %s, want %s", c.names, c.address, got, c.want)
		}
		if got := certs.at(c.address + ":443"); got != c.want {
			t.Errorf("%v: the link has %s, want %s without a port", c.names, got, c.want)
		}
		if warned := strings.Contains(log.String(), "browsers will refuse it"); warned != (c.names[0] == "*.example.org" && len(c.names) == 1) {
			t.Errorf("%v: warned: %v", c.names, warned)
		}
	}
}

// trusting asks as somebody who trusts a certificate in a file.
func trusting(t testing.TB, cert string) *http.Client {
	t.Helper()
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Timeout: patience, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// One port: pages over HTTP/2, who forgot the s, and TURN inside TLS.
func TestHTTPSAndTURNOnOnePort(t *testing.T) {
	cert, key := goodCert(t, t.TempDir(), "127.0.0.1")
	p := start(t, environment{}, "serve", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--turn", "127.0.0.1:0")
	if !strings.HasPrefix(p.first, "https://127.0.0.1:") {
		t.Fatalf("serve printed %q", p.first)
	}
	client := trusting(t, cert)
	resp, err := client.Get(p.at("/kitchen"))
	if err != nil {
		t.Fatal(err)
	}
	page, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 || !bytes.Contains(page, []byte("<html")) {
		t.Errorf("the page: %s %s", resp.Proto, resp.Status)
	}
	if resp, err = client.Get("http://" + p.addr() + "/kitchen?x=1"); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if where := resp.Header.Get("Location"); resp.StatusCode != http.StatusTemporaryRedirect || where != p.at("/kitchen?x=1") {
		t.Errorf("without the s: %s %q", resp.Status, where)
	}

	leaf := certOf(t, cert)
	dial, err := signaling.DialPinned(p.ws(), "sha-256:"+strings.ToLower(signaling.CertificateFingerprint(leaf)))
	if err != nil {
		t.Fatal(err)
	}
	ice := p.welcomeBy(dial, "kitchen", "").ICEServers
	servers := only(ice, p.addr()+"?transport=tcp")
	if servers == nil || !strings.HasPrefix(servers[0].URLs[0], "turns:") {
		t.Fatalf("the welcome names no TURN inside TLS: %+v", ice)
	}
	stream, err := tls.Dial("tcp", p.addr(), &tls.Config{RootCAs: client.Transport.(*http.Transport).TLSClientConfig.RootCAs})
	if err != nil {
		t.Fatal(err)
	}
	c, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: p.addr(), Username: servers[0].Username, Password: servers[0].Credential.(string), Conn: turn.NewSTUNConn(stream),
		LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	defer c.Close()
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	relay, err := c.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	_ = relay.Close() // the connection closes with it
}

func certOf(t testing.TB, path string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// A server that signed its certificate itself: cameras trust it by its
// fingerprint, browsers when they are told to.
func TestSelfSigned(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	server := start(t, environment{}, "serve", "--listen", "127.0.0.1:0", "--tls-self-signed")
	_, said, _ := strings.Cut(server.stderr.String(), "fingerprint=")
	fingerprint, _, _ := strings.Cut(said, " ")

	stranger := shareOn(t, server.ws(), "--room", "cellar")
	stranger.logged("--signal-fingerprint")
	deceived := shareOn(t, server.ws(), "--room", "attic", "--signal-fingerprint", strings.Repeat("00:", 31)+"00")
	deceived.logged("somebody is in between")
	stranger.stop()
	deceived.stop()

	camera := shareOn(t, server.ws(), "--signal-fingerprint", fingerprint)
	ctx, stop, err := launch(chromedp.Flag("ignore-certificate-errors", true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	v := openIn(t, ctx, camera.first)
	v.live()
	if !strings.HasPrefix(camera.first, server.first+"kitchen#k=") {
		t.Errorf("the camera's link is %s", camera.first)
	}

	camera.stop()
	server.stop()
	again := start(t, environment{}, "serve", "--listen", "127.0.0.1:0", "--tls-self-signed")
	if !strings.Contains(again.stderr.String(), fingerprint) {
		t.Error("after a new start the fingerprint is another")
	}
}

func TestTheFingerprintIsChecked(t *testing.T) {
	for args, want := range map[string]string{
		"--signal wss://x --signal-fingerprint abc":                                     "32 pairs",
		"--signal ws://x --signal-fingerprint " + strings.Repeat("00:", 31) + "00":      "wss://",
		"--signal-fingerprint " + strings.Repeat("00:", 31) + "00 --listen 127.0.0.1:0": "--signal only",
		"--signal wss://x --turn :0":                                                    "peercam serve",
		"--signal wss://x --tls-self-signed":                                            "peercam serve",
		"--turn-ports 5-1 --turn 127.0.0.1:0 --listen 127.0.0.1:0":                      "--turn-ports",
		"--turn-allow here --turn 127.0.0.1:0 --listen 127.0.0.1:0":                     "--turn-allow",
		"--turn-external-ip here --turn 127.0.0.1:0 --listen 127.0.0.1:0":               "--turn-external-ip",
		"--turn nowhere --listen 127.0.0.1:0":                                           "--turn nowhere",
		"--turn 127.0.0.1:0 --turn-relays 0 --listen 127.0.0.1:0":                       "--turn-relays",
	} {
		code, _, stderr := runToEnd(t, append([]string{"share", "--camera", "test", "--mic", "none", "--open"}, strings.Fields(args)...)...)
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: code %d, does not say %q: %s", args, code, want, stderr)
		}
	}
}
