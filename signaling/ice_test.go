package signaling

import (
	"strings"
	"testing"
	"time"
)

func TestTURNCredentials(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	servers, until := TURNSecret("north").ICE(time.Hour, "turn:turn.example.org:3478?transport=udp")("v7", now)
	// printf 1700003600:v7 | openssl dgst -sha1 -hmac north -binary | base64
	want := ICEServer{URLs: []string{"turn:turn.example.org:3478?transport=udp"}, Username: "1700003600:v7", Credential: "+a4DOcaUNHQZGeXSXen0klNy3a0="}
	if len(servers) != 1 || servers[0].Username != want.Username || servers[0].Credential != want.Credential || servers[0].URLs[0] != want.URLs[0] || until != now.Add(time.Hour) {
		t.Errorf("got %+v until %v, want %+v", servers, until, want)
	}
	for name, ok := range map[string]bool{"1700003600:v7": true, "1700003600": false, "1700003600:": false, "soon:v7": false, "": false} {
		if user, end, got := parseTURNUser(name); got != ok || ok && (user != "v7" || end != until) {
			t.Errorf("%q: %q until %v, %v", name, user, end, got)
		}
	}
}

func TestICESourcesJoined(t *testing.T) {
	now := time.Unix(1000, 0)
	lend := func(url string, end int64) ICESource {
		return func(string, time.Time) ([]ICEServer, time.Time) {
			if end == 0 {
				return []ICEServer{{URLs: []string{url}}}, time.Time{}
			}
			return []ICEServer{{URLs: []string{url}}}, time.Unix(end, 0)
		}
	}
	for name, c := range map[string]struct {
		sources []ICESource
		urls    string
		until   int64 // 0: for ever
	}{
		"none":            {nil, "", 0},
		"for ever":        {[]ICESource{lend("a", 0), lend("b", 0)}, "a b", 0},
		"the first ends":  {[]ICESource{lend("a", 2000), lend("b", 3000), lend("c", 0)}, "a b c", 2000},
		"a later one too": {[]ICESource{lend("a", 0), lend("b", 3000), lend("c", 2500)}, "a b c", 2500},
	} {
		servers, until := JoinICE(c.sources...)("v1", now)
		var urls []string
		for _, s := range servers {
			urls = append(urls, s.URLs...)
		}
		if got := strings.Join(urls, " "); got != c.urls || until.IsZero() != (c.until == 0) || c.until != 0 && until.Unix() != c.until {
			t.Errorf("%s: %q until %v", name, got, until)
		}
	}
}

// A socket may live for days: it must hold credentials that work when the
// network changes and candidates are gathered again.
func TestICEServersAreRenewed(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	h := &hub{rooms: map[string]*room{}, ice: TURNSecret("s").ICE(time.Hour, "turn:x"), refused: func(string) {}}
	p := newPeer(viewerJoin(), &fakeConn{}, h.refused)
	h.handle(event{what: eventJoin, peer: p, reply: make(chan *Error, 1)}, now)
	told := func() []Message { return p.conn.(*fakeConn).sent }
	if n := len(told()); n != 1 || told()[0].Type != TypeWelcome || len(told()[0].ICEServers) != 1 {
		t.Fatalf("welcomed with %v", told())
	}
	first := told()[0].ICEServers[0]
	if user, _, _ := parseTURNUser(first.Username); user != p.id {
		t.Errorf("the credentials are %q's, not %q's", user, p.id)
	}
	h.renew(now.Add(30 * time.Minute))
	if n := len(told()); n != 1 {
		t.Fatalf("told anew before half of the time: %v", told()[1:])
	}
	h.renew(now.Add(31 * time.Minute))
	h.renew(now.Add(32 * time.Minute))
	if n := len(told()); n != 2 || told()[1].Type != TypeICEServers {
		t.Fatalf("after half of the time: %v", told()[1:])
	}
	if second := told()[1].ICEServers[0]; second.Username == first.Username || second.Credential == first.Credential {
		t.Errorf("told the same again: %+v", second)
	}

	h.ice = FixedICE(ICEServer{URLs: []string{"stun:x"}})
	forever := newPeer(viewerJoin(), &fakeConn{}, h.refused)
	h.handle(event{what: eventJoin, peer: forever, reply: make(chan *Error, 1)}, now)
	h.renew(now.Add(1000 * time.Hour))
	if sent := forever.conn.(*fakeConn).sent; len(sent) != 1 {
		t.Errorf("servers without credentials were told again: %v", sent)
	}
}
