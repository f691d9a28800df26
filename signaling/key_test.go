package signaling

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

type keyVectors struct {
	Proofs []struct {
		Key, Token, Kv, Kc   string
		Room, Session, Nonce string
		ViewerFingerprint    string
		CameraFingerprint    string
		OfferProof           string
		AnswerProof          string
	}
	Fingerprints []struct {
		Name, SDP   string
		Fingerprint *string
	}
	BadKeys []string
}

func loadVectors(t testing.TB) keyVectors {
	t.Helper()
	text, err := os.ReadFile("testdata/key_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v keyVectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// The vectors were computed by another implementation (Python's hmac).
func TestKeyVectors(t *testing.T) {
	protocol, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range loadVectors(t).Proofs {
		k, err := ParseKey(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		h := Handshake{Room: v.Room, Session: v.Session, Nonce: v.Nonce, Viewer: v.ViewerFingerprint, Camera: v.CameraFingerprint}
		for _, c := range []struct{ what, got, want string }{
			{"key", strings.TrimPrefix(k.Fragment(), "k="), v.Key},
			{"token", k.Token(), v.Token},
			{"Kv", hex.EncodeToString(k.derive("viewer proof")), v.Kv},
			{"Kc", hex.EncodeToString(k.derive("camera proof")), v.Kc},
			{"offer.proof", k.OfferProof(h), v.OfferProof},
			{"answer.proof", k.AnswerProof(h), v.AnswerProof},
		} {
			if c.got != c.want {
				t.Errorf("vector %d: %s is %s, want %s", i, c.what, c.got, c.want)
			}
			if i == 0 && !bytes.Contains(protocol, []byte("`"+c.want+"`")) {
				t.Errorf("PROTOCOL.md does not show %s %s", c.what, c.want)
			}
		}
		if !k.VerifyOffer(h, v.OfferProof) || !k.VerifyAnswer(h, v.AnswerProof) {
			t.Errorf("vector %d: a right proof is refused", i)
		}
	}
}

func TestProofsBindEveryField(t *testing.T) {
	k := NewKey()
	h := Handshake{Room: "kitchen", Session: NewSession(), Nonce: NewNonce(), Viewer: "AA", Camera: "BB"}
	offer, answer := k.OfferProof(h), k.AnswerProof(h)
	changed := map[string]Handshake{}
	for name, change := range map[string]func(*Handshake){
		"room":    func(h *Handshake) { h.Room = "cellar" },
		"session": func(h *Handshake) { h.Session = NewSession() },
		"nonce":   func(h *Handshake) { h.Nonce = NewNonce() },
		"viewer":  func(h *Handshake) { h.Viewer = "AB" },
		"camera":  func(h *Handshake) { h.Camera = "BA" },
	} {
		c := h
		change(&c)
		changed[name] = c
	}
	for name, c := range changed {
		if k.VerifyAnswer(c, answer) {
			t.Errorf("the answer's proof holds with another %s", name)
		}
		if name != "camera" && k.VerifyOffer(c, offer) {
			t.Errorf("the offer's proof holds with another %s", name)
		}
	}
	other := NewKey()
	for what, ok := range map[string]bool{
		"another key's offer":   other.VerifyOffer(h, offer),
		"another key's answer":  other.VerifyAnswer(h, answer),
		"an offer as an answer": k.VerifyAnswer(h, offer),
		"an answer as an offer": k.VerifyOffer(h, answer),
		"no proof":              k.VerifyOffer(h, "") || k.VerifyAnswer(h, ""),
		"half a proof":          k.VerifyOffer(h, offer[:20]),
	} {
		if ok {
			t.Errorf("%s is accepted", what)
		}
	}
	// One field must not pass for two.
	shifted := Handshake{Room: "kitchen\n" + h.Session, Session: h.Nonce, Nonce: "AA", Viewer: "BB"}
	if k.VerifyOffer(shifted, k.OfferProof(shifted)) {
		t.Error("a handshake with line feeds in its fields is accepted")
	}
}

func TestKeyIsNeverPrinted(t *testing.T) {
	k := NewKey()
	secret := strings.TrimPrefix(k.Fragment(), "k=")
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b"} {
		fmt.Fprintf(&out, verb+" ", k)
		fmt.Fprintf(&out, verb+" ", &k)
		fmt.Fprintf(&out, verb+" ", struct{ K Key }{k})
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "key", k, "in", struct{ K Key }{k})
	}
	_ = json.NewEncoder(&out).Encode(struct{ K Key }{k})
	text := strings.ToLower(out.String())
	numbers := strings.Trim(fmt.Sprint([]byte(k[:])), "[]")
	for _, s := range []string{strings.ToLower(secret), hex.EncodeToString(k[:]), numbers, hex.EncodeToString(k[:])[:16]} {
		if strings.Contains(text, s) {
			t.Fatalf("the key is printed: %s", text)
		}
	}
	if !strings.Contains(text, hidden) {
		t.Fatal("nothing says that there is a key")
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, s := range loadVectors(t).BadKeys {
		k, err := ParseKey(s)
		if !errors.Is(err, ErrKey) || k != (Key{}) {
			t.Errorf("ParseKey(%q): %v", s, err)
		} else if len(s) > 3 && strings.Contains(err.Error(), s) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, s := range loadVectors(f).BadKeys {
		f.Add(s)
	}
	f.Add("AAECAwQFBgcICQoLDA0ODw")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseKey(s)
		if err == nil && k.Fragment() != "k="+s {
			t.Fatalf("%q and %q are the same key", s, k.Fragment())
		}
		if len(s) >= 16 && err != nil && strings.Contains(err.Error(), s) {
			t.Fatalf("the error shows what may be a key: %v", err)
		}
	})
}

func TestFingerprint(t *testing.T) {
	for _, v := range loadVectors(t).Fingerprints {
		got, err := Fingerprint(v.SDP)
		switch {
		case v.Fingerprint == nil && !errors.Is(err, ErrFingerprint):
			t.Errorf("%s: accepted as %s (%v)", v.Name, got, err)
		case v.Fingerprint != nil && got != *v.Fingerprint:
			t.Errorf("%s: got %q, want %q (%v)", v.Name, got, *v.Fingerprint, err)
		}
	}
}

func FuzzFingerprint(f *testing.F) {
	for _, v := range loadVectors(f).Fingerprints {
		f.Add(v.SDP)
	}
	f.Fuzz(func(t *testing.T, sdp string) {
		fp, err := Fingerprint(sdp)
		if err != nil {
			return
		}
		if again, err := Fingerprint("a=fingerprint:sha-256 " + fp + "\r\n"); err != nil || again != fp {
			t.Fatalf("%q is not what it says itself: %q, %v", fp, again, err)
		}
		if !strings.Contains(strings.ToUpper(sdp), fp) {
			t.Fatalf("%q is not in the SDP", fp)
		}
	})
}

func TestLoadKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "b", "key")
	k, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700, filepath.Join(dir, "a"): 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", p, info.Mode().Perm(), err, want)
		}
	}
	if again, err := LoadKey(path); err != nil || again != k {
		t.Errorf("the second start has another key (%v)", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "a", "b", ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLoadKeyOfTwoStartsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	keys := make([]Key, 20)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			k, err := LoadKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = k
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Fatal("two starts have two keys")
		}
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	secret := "AAECAwQFBgcICQoLDA0ODw"
	for name, c := range map[string]struct {
		make func(dir string) (path string, err error)
		want string
	}{
		"open to others": {func(dir string) (string, error) {
			path := filepath.Join(dir, "key")
			return path, os.WriteFile(path, []byte(secret+"\n"), 0o644)
		}, "chmod 600"},
		"malformed": {func(dir string) (string, error) {
			path := filepath.Join(dir, "key")
			return path, os.WriteFile(path, []byte(secret+"x\n"), 0o600)
		}, "delete the file"},
		"empty": {func(dir string) (string, error) {
			path := filepath.Join(dir, "key")
			return path, os.WriteFile(path, nil, 0o600)
		}, "delete the file"},
		"a directory": {func(dir string) (string, error) { return dir, nil }, "--key-file"},
		"a file as directory": {func(dir string) (string, error) {
			path := filepath.Join(dir, "file")
			return filepath.Join(path, "key"), os.WriteFile(path, nil, 0o600)
		}, "--key-file"},
		"nowhere to write": {func(string) (string, error) { return "/proc/peercam/key", nil }, "--key-file"},
	} {
		t.Run(name, func(t *testing.T) {
			path, err := c.make(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			_, err = LoadKey(path)
			if err == nil {
				t.Fatal("accepted")
			}
			if text := err.Error(); !strings.Contains(text, path) || !strings.Contains(text, c.want) || strings.Contains(text, secret) {
				t.Errorf("unclear, or shows the key: %v", err)
			}
		})
	}
}

func TestCheckRoom(t *testing.T) {
	for name, ok := range map[string]bool{
		"kitchen": true, "A.b_c~d-9": true, strings.Repeat("x", 64): true, "ws2": true,
		"": false, ".hidden": false, strings.Repeat("x", 65): false, "ws": false, "whep": false, "whip": false,
		"snapshot": false, "healthz": false, "metrics": false, "viewer": false, "favicon.ico": false,
		"a b": false, "a/b": false, "küche": false, "a\n": false, "a%20": false, "\xff": false,
	} {
		if err := CheckRoom(name); (err == nil) != ok {
			t.Errorf("CheckRoom(%q): %v", name, err)
		}
	}
}

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"FaceTime HD Camera": "FaceTime HD Camera", " USB\x00\ncam ": "USB cam", "\xffdoor": "door",
		strings.Repeat("é", 100): strings.Repeat("é", 80),
	} {
		if got := CleanName(in); got != want || !validName(got) {
			t.Errorf("CleanName(%q) = %q", in, got)
		}
	}
}
