package signaling

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// maxEarly is how many messages a page may say by POST: a join and an offer are two.
	maxEarly = 8
	// earlyFor is how long a page may take from there to its WebSocket.
	earlyFor = 10 * time.Second
)

// early takes a viewer's first messages by POST, over the connection that brought
// the page: a WebSocket would cost one of its own, and two or three round trips. What
// is said to the viewer is the body of the response, a message a line, until its
// WebSocket takes over. PROTOCOL.md, "Early words".
func (s *Server) early(w http.ResponseWriter, r *http.Request) {
	addr := s.addrOf(r)
	if held := s.addrs.take(addr); s.addrs.over(held, 1) {
		s.addrs.release(addr)
		s.refuse(CodeTooMany)
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many connections from this address", http.StatusTooManyRequests)
		return
	}
	release := func() { s.addrs.release(addr) }
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(earlyFor))
	status, bad := http.StatusForbidden, s.checkOrigin(r)
	var words []Message
	if bad == nil { // a stranger's page is not worth unpacking
		words, status, bad = earlyWords(w, r)
	}
	if bad != nil {
		release()
		s.refuse(bad.Code)
		http.Error(w, bad.Message, status)
		return
	}
	client, server := pipe()
	if !s.start(server, release) {
		http.Error(w, "the server is stopping; come back", http.StatusServiceUnavailable)
		return
	}
	for _, m := range words {
		_ = client.Send(m) // the queue holds thousands
	}
	ctx, cancel := context.WithTimeout(r.Context(), earlyFor)
	defer cancel()
	defer context.AfterFunc(ctx, func() { client.Close("", "") })()
	_ = control.SetReadDeadline(time.Time{}) // else the context ends with it
	_ = control.SetWriteDeadline(time.Now().Add(earlyFor + writeWait))
	sayLines(w, r, client)
	client.Close("", "")
	_ = control.SetWriteDeadline(time.Time{}) // the connection is used again
}

// sayLines writes what comes for the viewer until that ends.
func sayLines(w http.ResponseWriter, r *http.Request, from Conn) {
	setHeaders(w, partHeaders)
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold it back
	control := http.NewResponseController(w)
	out, flush := io.Writer(w), control.Flush
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer func() { _ = z.Close() }()
		out, flush = z, func() error { return errors.Join(z.Flush(), control.Flush()) }
	}
	lines := json.NewEncoder(out)
	for {
		m, err := from.Receive()
		if err != nil {
			return
		}
		if errors.Join(lines.Encode(&m), flush()) != nil {
			return // nobody reads
		}
	}
}

// earlyWords reads the messages of a request: a JSON array, by gzip or not. The
// status is for one that makes no sense.
func earlyWords(w http.ResponseWriter, r *http.Request) (words []Message, status int, bad *Error) {
	packed := http.MaxBytesReader(w, r.Body, maxMessage)
	body := io.Reader(packed)
	switch coding := r.Header.Get("Content-Encoding"); {
	case strings.EqualFold(coding, "gzip"):
		z, err := gzip.NewReader(packed)
		if err != nil {
			return nil, http.StatusBadRequest, errorf(CodeBadMessage, "early words are not packed by gzip: %v", err)
		}
		body = z
	case coding != "":
		return nil, http.StatusUnsupportedMediaType, errorf(CodeBadMessage, "early words are packed by gzip or not at all, and not by %.40q", coding)
	}
	text, err := io.ReadAll(io.LimitReader(body, maxMessage+1))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large) || len(text) > maxMessage:
		return nil, http.StatusRequestEntityTooLarge, errorf(CodeTooLarge, "early words of more than %d bytes", maxMessage)
	case err != nil:
		return nil, http.StatusBadRequest, errorf(CodeBadMessage, "early words cannot be read: %v", err)
	}
	var all []json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, http.StatusBadRequest, errorf(CodeBadMessage, "early words are not a JSON array of messages: %v", err)
	}
	if len(all) == 0 || len(all) > maxEarly {
		return nil, http.StatusBadRequest, errorf(CodeBadMessage, "early words are 1 to %d messages, and not %d", maxEarly, len(all))
	}
	for i, one := range all {
		m, err := decode(one)
		if err != nil {
			return nil, http.StatusBadRequest, errorf(CodeBadMessage, "message %d of the early words: %v", i+1, err)
		}
		words = append(words, m)
	}
	if join := words[0]; join.Type != TypeJoin || join.Role != RoleViewer || !validID(join.Session) {
		return nil, http.StatusBadRequest, errorf(CodeBadMessage, "early words begin with a viewer's join that names its session")
	}
	return words, 0, nil
}
