package signaling

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kinds of a clusterMessage.
const (
	kindBeat  = "beat"  // From lives; its last change has number Version
	kindAsk   = "ask"   // the same, and: tell me all
	kindGone  = "gone"  // From was stopped
	kindRoom  = "room"  // change number Version: Rooms[0] is so now
	kindState = "state" // all rooms, as of change number Version; in Parts, with More to come
	kindPeer  = "peer"  // Message for the peer To in Room
)

// clusterMessage is what servers tell each other, as JSON.
type clusterMessage struct {
	Kind    string      `json:"kind"`
	From    string      `json:"from"` // id of a server
	Version uint64      `json:"version,omitempty"`
	Part    int         `json:"part,omitempty"`
	More    bool        `json:"more,omitempty"`
	Rooms   []roomState `json:"rooms,omitempty"`
	Room    string      `json:"room,omitempty"`
	To      string      `json:"to,omitempty"`
	Message *Message    `json:"message,omitempty"`
}

// roomState is a room as one server sees it: who may enter, and the cameras whose
// sockets it holds itself.
type roomState struct {
	Name    string      `json:"name"`
	Claim   *claimState `json:"claim,omitempty"`
	Cameras []Camera    `json:"cameras,omitempty"`
}

type claimState struct {
	Keyed bool   `json:"keyed,omitempty"`
	Token []byte `json:"token"` // SHA-256 of the room token
	Since int64  `json:"since"` // Unix ms
	// Deserted is how many ms ago the last camera left; 0 while there is one.
	Deserted int64 `json:"deserted,omitempty"`
}

func (c *claimState) claim() claim {
	return claim{keyed: c.Keyed, token: [sha256.Size]byte(c.Token), since: time.UnixMilli(c.Since)}
}

// state is the room as this server tells it to others.
func (r *room) state(now time.Time) roomState {
	st := roomState{Name: r.name}
	if r.claimed {
		st.Claim = &claimState{Keyed: r.claim.keyed, Token: r.claim.token[:], Since: r.claim.since.UnixMilli()}
		if len(r.cameras) == 0 {
			st.Claim.Deserted = now.Sub(r.deserted).Milliseconds()
		}
	}
	for _, c := range r.own() {
		st.Cameras = append(st.Cameras, c.camera())
	}
	return st
}

// serverIDLen is the length of a server's id, which stands in those of its peers.
const serverIDLen = 8

// idParts tells from a peer's id what it is and which server holds it; "" if it
// is no such id.
func idParts(id string) (role, server string) {
	if len(id) != 1+serverIDLen+peerIDLen || !plain(id) {
		return "", ""
	}
	switch id[0] {
	case RoleCamera[0]:
		role = RoleCamera
	case RoleViewer[0]:
		role = RoleViewer
	}
	return role, id[1 : 1+serverIDLen]
}

func plain(id string) bool {
	return strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

func (m *clusterMessage) encode() []byte {
	data, err := json.Marshal(m)
	if err != nil {
		panic("signaling: " + err.Error()) // it was made of what JSON holds
	}
	return data
}

// decodeCluster takes apart what another server said, and finds nothing in it
// that this one would not say.
func decodeCluster(data []byte) (*clusterMessage, error) {
	m := &clusterMessage{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, err
	}
	return m, m.check()
}

func (m *clusterMessage) check() error {
	if len(m.From) != serverIDLen || !plain(m.From) {
		return errors.New("from is no server's id")
	}
	for i := range m.Rooms {
		if err := m.Rooms[i].check(m.From); err != nil {
			return err
		}
	}
	switch m.Kind {
	case kindBeat, kindAsk, kindGone, kindState:
		return nil
	case kindRoom:
		if len(m.Rooms) != 1 {
			return fmt.Errorf("a change of %d rooms", len(m.Rooms))
		}
		return nil
	case kindPeer:
		return m.checkPeer()
	}
	return fmt.Errorf("unknown kind %.40q", m.Kind)
}

func (m *clusterMessage) checkPeer() error {
	if m.Message == nil {
		return errors.New("no message")
	}
	if m.Message.Type == TypeError {
		*m.Message = (&Error{Code: m.Message.Code, Message: m.Message.Message, Session: m.Message.Session}).message(false)
		return nil
	}
	role, server := idParts(m.Message.From)
	if role == "" || server != m.From {
		return errors.New("a message of a peer that is another server's")
	}
	m.Message.To = m.To
	if m.Message.Type == TypePing {
		return errors.New("a ping")
	}
	if bad := m.Message.check(role); bad != nil {
		return bad
	}
	return nil
}

func (st *roomState) check(server string) error {
	if err := CheckRoom(st.Name); err != nil {
		return err
	}
	switch {
	case st.Claim != nil && (len(st.Claim.Token) != sha256.Size || st.Claim.Deserted < 0):
		return errors.New("a claim that makes no sense")
	case st.Claim == nil && len(st.Cameras) > 0, len(st.Cameras) > maxCameras:
		return fmt.Errorf("%d cameras", len(st.Cameras))
	}
	for _, c := range st.Cameras {
		role, at := idParts(c.ID)
		if role != RoleCamera || at != server || !validName(c.Name) || c.Nonce != "" && !validID(c.Nonce) {
			return fmt.Errorf("a camera that makes no sense: %.40q", c.ID)
		}
	}
	return nil
}
