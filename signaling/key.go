package signaling

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Key is the secret of a link, 128 random bits. It never reaches a server:
// camera and viewer prove to each other that they hold it, see PROTOCOL.md.
//
// Whatever prints a Key by accident (fmt, slog, JSON) prints that it is one and
// no more; Fragment is the one way to get it out.
type Key [16]byte

// ErrKey is what every error of ParseKey is. It never holds the input, which
// may well be a key with a slip in it.
var ErrKey = errors.New("a key is 22 characters of A-Z a-z 0-9 - _")

// idEncoding is how 16 random bytes are written everywhere in the protocol:
// strict, so that one value has one spelling.
var idEncoding = base64.RawURLEncoding.Strict()

// idLen is the length of 16 bytes in base64url.
const idLen = 22

const hidden = "[key]"

// NewKey makes a key.
func NewKey() Key {
	var k Key
	rand.Read(k[:]) // never fails since Go 1.24
	return k
}

// ParseKey reads a key as it stands in a link after "#k=".
func ParseKey(s string) (Key, error) {
	var k Key
	if len(s) != idLen {
		return Key{}, fmt.Errorf("%w, not %d", ErrKey, len(s))
	}
	if n, err := idEncoding.Decode(k[:], []byte(s)); err != nil || n != len(k) {
		return Key{}, fmt.Errorf("%w; this has others in it, or ends in one no key ends in: copy the whole link again", ErrKey)
	}
	return k, nil
}

// Fragment is what follows the "#" of a link: "k=" and the key. It is the
// secret itself, to be shown only to whom the link is for.
func (k Key) Fragment() string { return "k=" + idEncoding.EncodeToString(k[:]) }

// String hides the key.
func (Key) String() string { return hidden }

// Format hides the key from every verb of fmt.
func (Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue hides the key from slog.
func (Key) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the key from encoders that reach it inside other values.
func (Key) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Token is the room token: it lets one join the room and is WHEP's bearer. The
// server may know it; it tells nothing about the key.
func (k Key) Token() string { return idEncoding.EncodeToString(k.derive("room token")[:16]) }

// Handshake is what the two proofs speak of.
type Handshake struct {
	Room    string // the room's name
	Session string // the session's id, chosen by the viewer
	Nonce   string // the camera's nonce, as it joined with it
	Viewer  string // the DTLS fingerprint of the viewer, as Fingerprint returns it
	Camera  string // that of the camera; only the answer's proof speaks of it
}

// OfferProof is what a viewer sends along with its offer.
func (k Key) OfferProof(h Handshake) string {
	return mac(k.derive("viewer proof"), "offer", h.Room, h.Session, h.Nonce, h.Viewer)
}

// AnswerProof is what a camera sends along with its answer.
func (k Key) AnswerProof(h Handshake) string {
	return mac(k.derive("camera proof"), "answer", h.Room, h.Session, h.Nonce, h.Viewer, h.Camera)
}

// VerifyOffer tells whether proof is the offer's. A camera that gets false
// reveals nothing. It takes the same time whatever the proof is.
func (k Key) VerifyOffer(h Handshake, proof string) bool {
	return h.wellFormed() && hmac.Equal([]byte(k.OfferProof(h)), []byte(proof))
}

// VerifyAnswer tells whether proof is the answer's.
func (k Key) VerifyAnswer(h Handshake, proof string) bool {
	return h.wellFormed() && hmac.Equal([]byte(k.AnswerProof(h)), []byte(proof))
}

// wellFormed keeps out fields that hold a line feed, which would let one field
// pass for two in what is signed.
func (h Handshake) wellFormed() bool {
	return validID(h.Session) && validID(h.Nonce) && !strings.ContainsRune(h.Room, '\n')
}

// derive is HKDF-SHA256 (RFC 5869) with a named purpose.
func (k Key) derive(info string) []byte {
	out, err := hkdf.Key(sha256.New, k[:], []byte("peercam v1"), info, sha256.Size)
	if err != nil {
		panic(err) // only for more than 255 hashes of output
	}
	return out
}

func mac(key []byte, fields ...string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(strings.Join(fields, "\n")))
	return idEncoding.EncodeToString(h.Sum(nil))
}

// NewNonce makes a camera's nonce, new for every join.
func NewNonce() string { return newID() }

// NewSession makes the id of a session.
func NewSession() string { return newID() }

func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return idEncoding.EncodeToString(b[:])
}

// validID tells whether s is 16 bytes in base64url: a session, nonce or token.
func validID(s string) bool {
	_, err := ParseKey(s)
	return err == nil
}
