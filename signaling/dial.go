package signaling

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// DialURL returns what connects to the signaling server at a ws, wss, http or
// https URL; without a path it is /ws that is meant. The error is about the URL,
// which it never shows whole: it may be a link, with a key in it.
func DialURL(raw string) (func(context.Context) (Conn, error), error) { return DialPinned(raw, "") }

// DialPinned is DialURL to a server that proves who it is by the fingerprint of
// its certificate, SHA-256 as CertificateFingerprint has it, rather than by who
// signed that. "" is no fingerprint.
func DialPinned(raw, fingerprint string) (func(context.Context) (Conn, error), error) {
	before, _, fragment := strings.Cut(strings.TrimSpace(raw), "#")
	if fragment {
		return nil, errors.New("signaling URL: it has a #, like the link for viewers: give the server's address alone, like wss://example.org")
	}
	u, err := url.Parse(before)
	if err != nil {
		var e *url.Error
		if errors.As(err, &e) {
			err = e.Err // without the URL
		}
		return nil, fmt.Errorf("signaling URL: %w: give one like wss://example.org or ws://192.168.1.7:8080", err)
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	case "ws", "wss":
	default:
		return nil, fmt.Errorf("signaling URL %.80q begins with none of ws://, wss://, http://, https://: give one like wss://example.org or ws://192.168.1.7:8080", u.Redacted())
	}
	switch {
	case u.Hostname() == "":
		return nil, fmt.Errorf("signaling URL %.80q names no host: give one like wss://example.org or ws://192.168.1.7:8080", u.Redacted())
	case u.User != nil:
		return nil, fmt.Errorf("signaling URL of %s: a user name and password in it are not supported: leave out what stands before the @", u.Host)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/ws"
	}
	d := websocket.Dialer{
		Proxy:            http.ProxyFromEnvironment,
		HandshakeTimeout: 10 * time.Second,
		ReadBufferSize:   4096,
		WriteBufferSize:  4096,
	}
	if fingerprint != "" {
		if u.Scheme != "wss" {
			return nil, fmt.Errorf("a fingerprint is of use with wss:// only, and the signaling URL begins with %s://", u.Scheme)
		}
		if d.TLSClientConfig, err = pin(fingerprint); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) (Conn, error) {
		ws, resp, err := d.DialContext(ctx, u.String(), nil)
		switch {
		case errors.Is(err, websocket.ErrBadHandshake) && resp != nil:
			return nil, fmt.Errorf("signaling server %s://%s%s answered HTTP %s instead of a WebSocket: is it a peercam server, and is the path right?", u.Scheme, u.Host, u.Path, resp.Status)
		case err != nil:
			return nil, fmt.Errorf("signaling server %s://%s: %w", u.Scheme, u.Host, explainTLS(err))
		}
		return newWSConn(ws, false, cameraQueue), nil
	}, nil
}
