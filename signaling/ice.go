package signaling

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the draft's, and every TURN server's
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// ICESource makes the ICE servers of one peer; user is its id, and becomes part
// of its credentials. They may be used until then; zero means for ever. It is
// called from several goroutines.
type ICESource func(user string, now time.Time) (servers []ICEServer, until time.Time)

// FixedICE tells everybody the same, for ever.
func FixedICE(servers ...ICEServer) ICESource {
	return func(string, time.Time) ([]ICEServer, time.Time) { return servers, time.Time{} }
}

// JoinICE tells what all sources tell, until the first of them expires.
func JoinICE(sources ...ICESource) ICESource {
	return func(user string, now time.Time) (all []ICEServer, until time.Time) {
		for _, source := range sources {
			servers, end := source(user, now)
			all = append(all, servers...)
			if until.IsZero() || !end.IsZero() && end.Before(until) {
				until = end
			}
		}
		return all, until
	}
}

// TURNSecret is what a TURN server shares with us to let users in that we send,
// as in draft-uberti-behave-turn-rest-00: coturn's static-auth-secret.
type TURNSecret string

// ICE lets a user use the servers at urls for life.
func (s TURNSecret) ICE(life time.Duration, urls ...string) ICESource {
	return func(user string, now time.Time) ([]ICEServer, time.Time) {
		until := now.Add(life)
		name := strconv.FormatInt(until.Unix(), 10) + ":" + user
		return []ICEServer{{URLs: urls, Username: name, Credential: s.password(name)}}, until
	}
}

func (s TURNSecret) password(username string) string {
	mac := hmac.New(sha1.New, []byte(s))
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// parseTURNUser takes apart what ICE made: EXPIRY:USER.
func parseTURNUser(name string) (user string, until time.Time, ok bool) {
	stamp, user, ok := strings.Cut(name, ":")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	return user, time.Unix(seconds, 0), ok && err == nil && user != ""
}

// lease makes a peer's ICE servers and notes when half their time is over.
func (h *hub) lease(p *peer, now time.Time) []ICEServer {
	if h.ice == nil {
		return nil
	}
	servers, until := h.ice(p.id, now)
	p.renewICE = time.Time{}
	if !until.IsZero() {
		p.renewICE = now.Add(until.Sub(now) / 2)
	}
	return servers
}

// renew tells everybody new ICE servers whose old ones are half over.
func (h *hub) renew(now time.Time) {
	for _, r := range h.rooms {
		for _, p := range r.peers {
			if !p.renewICE.IsZero() && now.After(p.renewICE) {
				p.send(Message{Type: TypeICEServers, ICEServers: h.lease(p, now)})
			}
		}
	}
}
