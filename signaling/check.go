package signaling

import "bytes"

// maxShort is the most characters of fields that are never long.
const maxShort = 64

// check tells what is wrong with a message that a peer with this role sent
// after it had joined.
func (m *Message) check(role string) *Error {
	from := ""
	switch m.Type {
	case TypePing:
		return nil
	case TypeCandidate, TypeBye:
	case TypeOffer:
		from = RoleViewer
	case TypeAnswer, TypeRestart:
		from = RoleCamera
	case TypeJoin:
		return m.bad("joined already: one join a socket")
	case "":
		return m.bad("a message without a type")
	default:
		return m.bad("unknown type %.40q", m.Type)
	}
	switch {
	case from != "" && from != role:
		return m.bad("%s is for a %s to send: the viewer offers, the camera answers", m.Type, from)
	case m.To == "":
		return m.bad("%s without to", m.Type)
	case !validID(m.Session):
		return m.bad("%s: session is not 22 characters of base64url", m.Type)
	case len(m.To) > maxShort || len(m.Proof) > maxShort || len(m.Code) > maxShort:
		return m.bad("%s: to, proof and code have at most %d characters", m.Type, maxShort)
	case m.SDP == "" && (m.Type == TypeOffer || m.Type == TypeAnswer):
		return m.bad("%s without sdp", m.Type)
	case m.Type == TypeCandidate && !bytes.HasPrefix(m.Candidate, []byte("{")) && string(m.Candidate) != "null":
		return m.bad("candidate is neither an object nor null")
	}
	return nil
}

// checkJoin tells what is wrong with the first message of a socket.
func (m *Message) checkJoin() *Error {
	if m.Type != TypeJoin {
		return m.bad("the first message must be a join, not %.40q", m.Type)
	}
	if m.Version != Version {
		return errorf(CodeVersion, "this server speaks version %d of the protocol, not %d: update the older of the two, or load the page again", Version, m.Version)
	}
	if m.Role != RoleCamera && m.Role != RoleViewer {
		return m.bad("role %.40q is neither camera nor viewer", m.Role)
	}
	if err := CheckRoom(m.Room); err != nil {
		return errorf(CodeBadRoom, "%v", err)
	}
	if m.Token != "" && !validID(m.Token) {
		return m.bad("token is neither empty nor 22 characters of base64url")
	}
	if m.Session != "" && !validID(m.Session) {
		return m.bad("join: session is not 22 characters of base64url")
	}
	if m.Role == RoleViewer {
		return nil
	}
	switch {
	case !validName(m.Name):
		return m.bad("name has more than %d characters, or some that do not print", MaxName)
	case m.Nonce == "" && m.Token != "":
		return m.bad("a camera with a token needs a nonce")
	case m.Nonce != "" && !validID(m.Nonce):
		return m.bad("nonce is not 22 characters of base64url")
	}
	return nil
}

func (m *Message) bad(format string, args ...any) *Error {
	e := errorf(CodeBadMessage, format, args...)
	if validID(m.Session) {
		e.Session = m.Session
	}
	return e
}

// routed is what the receiver gets of a message: its own fields and no others.
func (m *Message) routed(from string) Message {
	out := Message{Type: m.Type, From: from, Session: m.Session}
	switch m.Type {
	case TypeOffer:
		out.SDP, out.Proof, out.Trickle, out.Bearer, out.Rate = m.SDP, m.Proof, m.Trickle, m.Bearer, m.Rate
	case TypeAnswer:
		out.SDP, out.Proof = m.SDP, m.Proof
	case TypeCandidate:
		out.Candidate = m.Candidate
	case TypeBye:
		out.Code, out.Message = m.Code, m.Message
	}
	return out
}
