package signaling

import (
	"net"
	"net/netip"
	"sync"
)

// quota counts relays.
type quota struct {
	max, perAddress, perUser int

	mu      sync.Mutex
	all     int
	users   map[string]int
	clients map[netip.Prefix]int
	from    map[*relay]netip.Prefix
}

// full tells why one more relay is too many, or "".
func (q *quota) full(user string, client netip.Prefix) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.all >= q.max:
		return "full"
	case q.users[user] >= q.perUser:
		return "user-quota"
	case q.clients[client] >= q.perAddress:
		return "address-quota"
	}
	return ""
}

// take counts a relay unless that is one too many. pion has asked full before,
// but others may have been in between.
func (q *quota) take(r *relay) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.all >= q.max || q.users[r.user] >= q.perUser {
		return false
	}
	if q.users == nil {
		q.users, q.clients, q.from = map[string]int{}, map[netip.Prefix]int{}, map[*relay]netip.Prefix{}
	}
	q.all++
	q.users[r.user]++
	return true
}

// belongs counts a relay for its client, whom pion tells when it is open.
func (q *quota) belongs(r *relay, client netip.Prefix) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, again := q.from[r]; !again {
		q.from[r] = client
		q.clients[client]++
	}
}

func (q *quota) release(r *relay) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all--
	if q.users[r.user]--; q.users[r.user] == 0 {
		delete(q.users, r.user)
	}
	if client, ok := q.from[r]; ok {
		delete(q.from, r)
		if q.clients[client]--; q.clients[client] == 0 {
			delete(q.clients, client)
		}
	}
}

// prefixOf is an address as far as counting goes.
func prefixOf(a net.Addr) netip.Prefix {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{} // all that have none count as one
	}
	return CountedAddress(p.Addr())
}
