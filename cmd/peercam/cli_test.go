package main

import (
	"bytes"
	"encoding/json"
	"image/jpeg"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestBadInputIsExplained(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("XDG_CONFIG_HOME", dir)
	busy := serve(t, "127.0.0.1:0").addr()
	_, busyPort, _ := strings.Cut(busy, ":")
	badKey := write(t, "key", []byte("not a key\n"))
	aFile := write(t, "file", []byte("x"))
	config := func(text string) string { return write(t, "peercam.yaml", []byte(text)) }
	says := func(words ...string) []string { return words }
	for _, c := range []struct {
		args string // of share, after what works by itself
		want []string
	}{
		{"--nonsense", says("--nonsense")},
		{"nonsense", says("nonsense")},
		{"--size big", says("--size", `"big"`, "1280x720")},
		{"--size 1280", says("--size", `"1280"`, "1280x720")},
		{"--size 0x0", says("--size", `"0x0"`, "from 16")},
		{"--size 99999x99999", says("--size", "to 8192")},
		{"--bitrate fast", says("--bitrate", `"fast"`, "2500k")},
		{"--bitrate 1k", says("--bitrate", `"1k"`, "from 100k")},
		{"--bitrate nan", says("--bitrate", `"nan"`, "2500k")},
		{"--fps many", says("--fps", `"many"`)},
		{"--fps 0", says("--fps 0", "from 1 to 120")},
		{"--fps nan", says("--fps", "from 1 to 120")},
		{"--fps 1000", says("--fps 1000", "from 1 to 120")},
		{"--camera none", says("--camera none", "--camera test")},
		{"--camera nosuchcamera", says("nosuchcamera", "choose another")},
		{"--camera /dev/nosuchvideo", says("/dev/nosuchvideo")},
		{"--camera file:/no/such.y4m", says("/no/such.y4m", "no such file")},
		{"--camera file:", says("--camera file:")},
		{"--camera file:" + dir, says(dir, "directory")},
		{"--camera " + aFile, says(aFile, "file:"+aFile)},
		{"--camera exec:", says("exec:", "Y4M")},
		{"--camera - --mic -", says("--camera -", "--mic -", "stdin")},
		{"--mic nosuchmic", says("nosuchmic")},
		{"--mic file:/no/such.wav", says("/no/such.wav", "no such file")},
		{"--mic exec:", says("exec:", "WAV")},
		{"--room a/b", says("--room", `"a/b"`, "letters")},
		{"--room ws", says("--room", `"ws"`, "another")},
		{"--udp-port 70000", says("--udp-port 70000", "1 to 65535")},
		{"--tcp-port " + busyPort, says("TCP port "+busyPort, "in use", "choose another")},
		{"--public-ip here --udp-port 8189", says("--public-ip", `"here"`, "203.0.113.7")},
		{"--public-ip 127.0.0.1 --udp-port 8189", says("--public-ip", `"127.0.0.1"`)},
		{"--public-ip 203.0.113.7", says("--public-ip", "--udp-port")},
		{"--public-ip 203.0.113.7 --public-ip 203.0.113.8 --udp-port 8189", says("203.0.113.8", "one IPv4")},
		{"--map-port", says("--map-port", "--udp-port 8189")},
		{"--interface nosuch0", says("nosuch0", "lo")},
		{"--whip example.org/whip", says("--whip (number 1)", "https://")},
		{"--whip https://user:hidden@example.org/", says("--whip (number 1)", "user name")},
		{"--whip-token hidden", says("--whip-token", "--whip 0 times")},
		{"--listen " + busy, says(busy, "in use", "--listen")},
		{"--listen nonsense", says("--listen nonsense")},
		{"--listen 127.0.0.1:99999", says("--listen 127.0.0.1:99999")},
		{"--signal ftp://example.org", says("--signal", "ftp://example.org", "ws://")},
		{"--signal ws://", says("--signal", "ws://", "names no host")},
		{"--signal http://example.org/kitchen#k=AAECAwQFBgcICQoLDA0ODw", says("--signal", "#")},
		{"--ice-server stun.example.org", says("--ice-server", "stun.example.org", "stun:")},
		{"--ice-server http://example.org", says("--ice-server", "http", "stun:")},
		{"--ice-server stun:example.org?transport=udp", says("--ice-server", "stun:example.org?transport=udp")},
		{"--ice-server turn:example.org?transport=foo", says("--ice-server", "transport=foo")},
		{"--ice-server stun:example.org:65536", says("--ice-server", "65536")},
		{"--ice-server stun:", says("--ice-server", `"stun:"`)},
		{"--ice-server turn:example.org", says("--ice-server", "turn:example.org", "--ice-username", "--ice-credential", "--turn-secret")},
		{"--turn-secret x", says("--turn-secret", "--ice-server")},
		{"--ice-server turn:example.org --turn-secret x --ice-username y", says("--turn-secret", "--ice-username")},
		{"--key-file " + badKey, says(badKey, "holds no key", "delete")},
		{"--key-file " + aFile + "/key", says(aFile+"/key", "--key-file")},
		{"--key-file " + dir, says(dir, "--key-file")},
		{"--open --key-file " + badKey, says("--open", "--key-file")},
		{"--linger soon", says("--linger", `"soon"`)},
		{"--viewers 0", says("--viewers 0", "1 or more")},
		{"--log-level loud", says("--log-level", "loud", "debug")},
		{"--config /no/such.yaml", says("/no/such.yaml")},
		{"--config " + config("size: 640x360\ncolour: blue\n"), says("colour", "--help")},
		{"--config " + config("size: [\n"), says("YAML")},
		{"--config " + config("- size\n"), says("YAML")},
		{"--config " + config("size: big\n"), says("size", `"big"`)},
	} {
		args := append([]string{"share", "--camera", "test", "--mic", "none", "--listen", "127.0.0.1:0"}, strings.Fields(c.args)...)
		t.Run(c.args, func(t *testing.T) {
			code, stdout, stderr := runToEnd(t, args...)
			if code != exitUsage || stdout != "" {
				t.Errorf("code %d, stdout %q, want 2 and nothing", code, stdout)
			}
			for _, word := range c.want {
				if !strings.Contains(stderr, word) {
					t.Errorf("it does not say %q, but:\n%s", word, stderr)
				}
			}
			if lines := strings.Count(strings.TrimSpace(stderr), "\n"); lines > 5 {
				t.Errorf("the reason drowns in %d lines:\n%s", lines, stderr)
			}
		})
	}
}

func TestBadInputOfServe(t *testing.T) {
	busy := serve(t, "127.0.0.1:0").addr()
	for args, want := range map[string]string{
		"--listen " + busy:                     "in use",
		"--max-sockets 0":                      "--max-sockets 0",
		"--ice-server turn:example.org":        "--ice-credential",
		"--camera test":                        "--camera",
		"--config " + t.TempDir() + "/nothing": "nothing",
	} {
		code, stdout, stderr := runToEnd(t, append([]string{"serve"}, strings.Fields(args)...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("serve %s: code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

func TestAPasswordInABadURLIsNotPrinted(t *testing.T) {
	_, _, stderr := runToEnd(t, "share", "--camera", "test", "--mic", "none", "--open", "--signal", "ftp://me:sesame@example.org")
	if strings.Contains(stderr, "sesame") {
		t.Errorf("it says: %s", stderr)
	}
}

func TestAKeyFileThatOthersCanReadIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("LOUD: not tried, Windows keeps permissions elsewhere")
	}
	path := filepath.Join(t.TempDir(), "key")
	share(t, "--key-file", path).stop()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the new key file: %v %v", info, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := runToEnd(t, "share", "--camera", "test", "--mic", "none", "--key-file", path)
	if code != exitUsage || !strings.Contains(stderr, "chmod 600 "+path) {
		t.Errorf("code %d: %s", code, stderr)
	}
}

// The size of a snapshot shows which setting won.
func TestFlagsWinOverEnvironmentOverFile(t *testing.T) {
	file := write(t, "peercam.yaml", []byte("size: 320x180\nroom: cellar\nfps: 10\n"))
	args := []string{"share", "--camera", "test", "--mic", "none", "--open", "--listen", "127.0.0.1:0", "--config", file}
	size := func(args []string) int {
		p := start(t, environment{}, args...)
		if !strings.HasSuffix(p.first, "/cellar") {
			t.Errorf("the link is %s, the file says that the room is cellar", p.first)
		}
		_, body := request(t, "GET", p.at("/snapshot/cellar.jpg"), "")
		picture, err := jpeg.Decode(bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		return picture.Bounds().Dx()
	}
	if got := size(args); got != 320 {
		t.Errorf("the file says 320 pixels, got %d", got)
	}
	t.Setenv("PEERCAM_SIZE", "480x270")
	if got := size(args); got != 480 {
		t.Errorf("the environment says 480 pixels, got %d", got)
	}
	if got := size(append(args, "--size", "160x90")); got != 160 {
		t.Errorf("the flag says 160 pixels, got %d", got)
	}
	t.Setenv("PEERCAM_SIZE", "big")
	if code, _, stderr := runToEnd(t, args...); code != exitUsage || !strings.Contains(stderr, `"big"`) {
		t.Errorf("a bad environment gives code %d: %s", code, stderr)
	}
}

func TestHelp(t *testing.T) {
	code, stdout, _ := runToEnd(t, "--help")
	if code != exitDone {
		t.Errorf("code %d", code)
	}
	for _, word := range []string{"share", "serve", "view", "paste", "devices", "token", "version", "--config"} {
		if !strings.Contains(stdout, word) {
			t.Errorf("--help does not mention %q:\n%s", word, stdout)
		}
	}
	for _, command := range []string{"share", "serve", "view", "paste", "devices", "token", "version"} {
		code, stdout, stderr := runToEnd(t, command, "--help")
		if code != exitDone || !strings.Contains(stdout, "peercam "+command) && !strings.Contains(stdout, "peercam share") {
			t.Errorf("%s --help: code %d\n%s%s", command, code, stdout, stderr)
		}
	}
}

func TestDevices(t *testing.T) {
	code, stdout, stderr := runToEnd(t, "devices", "--json")
	var list []struct{ Kind, Name, ID string }
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || code != exitDone {
		t.Errorf("code %d, %v: %s%s", code, err, stdout, stderr)
	}
	for _, d := range list {
		if d.Kind == "" || d.Name == "" || d.ID == "" {
			t.Errorf("a device without kind, name or id: %+v", d)
		}
	}
	code, stdout, stderr = runToEnd(t, "devices")
	if code != exitDone || stdout == "" {
		t.Errorf("code %d: %s%s", code, stdout, stderr)
	}
}

// What the command prints must let a player in.
func TestTokenLetsAPlayerIn(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	p := share(t, "--key-file", key)
	code, stdout, stderr := runToEnd(t, "token", "--key-file", key)
	if code != exitDone {
		t.Fatalf("code %d: %s", code, stderr)
	}
	play(t, p.at("/whep/kitchen"), "Authorization: Bearer "+strings.TrimSpace(stdout)).watch()
}

func TestVersion(t *testing.T) {
	code, stdout, stderr := runToEnd(t, "version")
	if code != exitDone || stderr != "" {
		t.Errorf("code %d: %s", code, stderr)
	}
	for _, part := range []string{"peercam", "libvpx", "opus", "pion", "go"} {
		found := false
		for line := range strings.Lines(stdout) {
			fields := strings.Fields(line)
			found = found || len(fields) >= 2 && fields[0] == part && fields[1] != "unknown"
		}
		if !found {
			t.Errorf("the version of %s is missing:\n%s", part, stdout)
		}
	}
}

func TestJSONLogs(t *testing.T) {
	p := share(t, "--log-format", "json")
	p.stop()
	for line := range strings.Lines(p.stderr.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("%q is no JSON", line)
		}
	}
}
