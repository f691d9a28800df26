package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// pebble is Let's Encrypt's ACME server for tests, in a process of its own.
type pebble struct {
	directory string
	trust     string // PEM of who signed its own certificate
	roots     *x509.CertPool
	stdout    transcript
}

// startPebble starts one that finds every name at 127.0.0.1, and proves names
// at a port.
func startPebble(t *testing.T, tlsPort string) *pebble {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "pebble")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/letsencrypt/pebble/v2/cmd/pebble").CombinedOutput(); err != nil {
		t.Fatalf("building pebble: %v\n%s", err, out)
	}
	cert, key := goodCert(t, dir, "127.0.0.1")
	addr, management := freeAddr(t), freeAddr(t)
	config := filepath.Join(dir, "config.json")
	text, _ := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": addr, "managementListenAddress": management, "certificate": cert, "privateKey": key,
		"httpPort": 1, "tlsPort": json.Number(tlsPort), "keyAlgorithm": "ecdsa",
	}})
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &pebble{directory: "https://" + addr + "/dir", trust: cert}
	cmd := exec.Command(binary, "-config", config, "-dnsserver", everywhere(t))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it knows no other end
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("pebble:\n%s", p.stdout.String())
		}
	})
	client := trusting(t, cert)
	p.roots = x509.NewCertPool()
	eventually(t, "pebble is there", func() bool {
		resp, err := client.Get("https://" + management + "/roots/0")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		root, err := io.ReadAll(resp.Body)
		return err == nil && p.roots.AppendCertsFromPEM(root)
	})
	return p
}

// everywhere is a DNS server over TCP that says 127.0.0.1.
func everywhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			resolve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// resolve answers one question; who gets no answer asks again.
func resolve(c net.Conn) {
	var size uint16
	if binary.Read(c, binary.BigEndian, &size) != nil {
		return
	}
	b := make([]byte, size)
	var m dnsmessage.Message
	if _, err := io.ReadFull(c, b); err != nil || m.Unpack(b) != nil || len(m.Questions) != 1 {
		return
	}
	q := m.Questions[0]
	answer := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true}, Questions: m.Questions}
	if q.Type == dnsmessage.TypeA {
		answer.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
	}
	if out, err := answer.AppendPack(make([]byte, 2)); err == nil {
		binary.BigEndian.PutUint16(out, uint16(len(out)-2))
		_, _ = c.Write(out)
	}
}

func TestCertificatesFromACME(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("LOUD: not tried, SSL_CERT_FILE, by which peercam is to trust the test's ACME server, is of other systems")
	}
	listen := freeAddr(t)
	_, port, _ := net.SplitHostPort(listen)
	ca := startPebble(t, port)
	t.Setenv("SSL_CERT_FILE", ca.trust)
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	args := []string{"serve", "--listen", listen, "--acme-domain", "cam.example.org", "--acme-directory", ca.directory, "--turn", "127.0.0.1:0"}
	p := spawn(t, nil, args...)
	if p.first != "https://cam.example.org:"+port+"/" {
		t.Errorf("serve printed %s", p.first)
	}
	if said := p.stderr.String(); !strings.Contains(said, "port 443") {
		t.Errorf("it does not say that ACME wants port 443: %s", said)
	}
	first := ca.serial(t, listen)
	if c, err := tls.Dial("tcp", listen, &tls.Config{ServerName: "other.example.org", RootCAs: ca.roots}); err == nil {
		c.Close()
		t.Error("a certificate was given out for a name that is not ours")
	}
	p.signal(os.Interrupt)
	spawn(t, nil, args...)
	if second := ca.serial(t, listen); second != first {
		t.Error("after a new start there is another certificate: Let's Encrypt would soon refuse us")
	}
	if kept, _ := filepath.Glob(filepath.Join(home, "peercam", "acme", "cam.example.org*")); len(kept) == 0 {
		t.Error("nothing is kept beside the key")
	}
}

// serial of the certificate that is shown, which must be the CA's.
func (p *pebble) serial(t *testing.T, addr string) string {
	t.Helper()
	d := &net.Dialer{Timeout: patience}
	c, err := tls.DialWithDialer(d, "tcp", addr, &tls.Config{ServerName: "cam.example.org", RootCAs: p.roots})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	leaf := c.ConnectionState().PeerCertificates[0]
	if left := time.Until(leaf.NotAfter); left < 24*time.Hour {
		t.Errorf("it is good for %v only", left)
	}
	return fmt.Sprint(leaf.SerialNumber)
}
