package signaling

import "encoding/json"

// Version is the protocol's version, see PROTOCOL.md.
const Version = 1

// Roles of a peer in a room.
const (
	RoleCamera = "camera"
	RoleViewer = "viewer"
)

// Types of a Message.
const (
	TypeJoin         = "join"
	TypeWelcome      = "welcome"
	TypeCameraJoined = "camera-joined"
	TypeCameraLeft   = "camera-left"
	TypeICEServers   = "ice-servers"
	TypeOffer        = "offer"
	TypeAnswer       = "answer"
	TypeCandidate    = "candidate"
	TypeBye          = "bye"
	TypeRestart      = "restart"
	TypePing         = "ping"
	TypePong         = "pong"
	TypeError        = "error"
)

// Codes of errors and byes, see PROTOCOL.md.
const (
	CodeBadMessage  = "bad-message"
	CodeTooLarge    = "too-large"
	CodeRateLimited = "rate-limited"
	CodeVersion     = "version"
	CodeBadRoom     = "bad-room"
	CodeForbidden   = "forbidden"
	CodeRoomTaken   = "room-taken"
	CodeRoomFull    = "room-full"
	CodeTooMany     = "too-many"
	CodeNoSuchPeer  = "no-such-peer"
	CodeSlow        = "slow"
	CodeClosing     = "closing"

	CodeEnded    = "ended"
	CodeLeft     = "left"
	CodeProof    = "proof"
	CodeBadOffer = "bad-offer"
	CodeBusy     = "busy"
	CodeFailed   = "failed"
)

// Message is every message of the protocol: Type says which fields count.
type Message struct {
	Type string `json:"type"`

	// join
	Version int    `json:"version,omitempty"`
	Role    string `json:"role,omitempty"`
	Room    string `json:"room,omitempty"`
	Token   string `json:"token,omitempty"`
	Name    string `json:"name,omitempty"`
	Nonce   string `json:"nonce,omitempty"`

	// offer, answer, candidate, bye, restart
	To      string `json:"to,omitempty"`
	From    string `json:"from,omitempty"`
	Session string `json:"session,omitempty"`
	SDP     string `json:"sdp,omitempty"`
	Proof   string `json:"proof,omitempty"`
	// Trickle false asks for an answer that holds all candidates; nil is true.
	Trickle *bool `json:"trickle,omitempty"`
	// Rate is what the viewer's link has carried lately, bit/s: a guess to start with.
	// 0: not known.
	Rate int `json:"rate,omitempty"`
	// Bearer tells a camera that its own server, in the same process, has checked
	// the room token of a WHEP player, which has no proof. It never crosses a
	// wire.
	Bearer bool `json:"-"`
	// Candidate is an RTCIceCandidateInit, or null after the last one. It is
	// routed as it came.
	Candidate json.RawMessage `json:"candidate,omitempty"`

	// welcome, ice-servers, camera-joined, camera-left
	ID         string      `json:"id,omitempty"`
	ICEServers []ICEServer `json:"iceServers,omitempty"`
	Cameras    []Camera    `json:"cameras,omitempty"`
	Camera     *Camera     `json:"camera,omitempty"`

	// error, bye
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	Fatal   bool   `json:"fatal,omitempty"`
}

// Camera is a camera as viewers are told of it.
type Camera struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Nonce string `json:"nonce,omitempty"`
}

// ICEServer is an RTCIceServer.
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}
