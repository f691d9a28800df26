package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pion/webrtc/v4"
)

const (
	maxAnswer    = 64 << 10 // bytes
	maxRedirects = 5
	whipTimeout  = 15 * time.Second // for one request, with its answer
)

// whipClient is the HTTP of RFC 9725 to one endpoint.
type whipClient struct {
	at        *url.URL
	token     string
	transport *http.Transport
}

// posted is what a server answers an offer with.
type posted struct {
	answer   string
	resource *url.URL           // of the session; nil: it told of none
	links    []webrtc.ICEServer // nil: it told of none
}

// whipError is an answer that is none.
type whipError struct {
	status     int
	text       string
	retryAfter time.Duration
}

func (e *whipError) Error() string {
	text := fmt.Sprintf("the WHIP server answered %d %s", e.status, http.StatusText(e.status))
	if e.text != "" {
		text += ": " + e.text
	}
	switch e.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		text += " (is the token right?)"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		text += " (is the URL the one for WHIP?)"
	}
	return text
}

// refused tells whether trying again soon would be told the same.
func (e *whipError) refused() bool {
	return e.status/100 == 4 && e.status != http.StatusRequestTimeout && e.status != http.StatusConflict && e.status != http.StatusTooManyRequests
}

func newWHIPClient(at *url.URL, token string) *whipClient {
	return &whipClient{at: at, token: token, transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, MaxIdleConns: 2, IdleConnTimeout: 30 * time.Second,
	}}
}

func (c *whipClient) close() { c.transport.CloseIdleConnections() }

// may tells whether a URL may be told the token: it is encrypted on its way, or
// goes where the user sends it unencrypted.
func (c *whipClient) may(to *url.URL) bool {
	return to.Scheme == "https" || c.at.Scheme == "http" && to.Host == c.at.Host
}

// do sends one request, follows no redirect, and returns what came of the body.
func (c *whipClient) do(ctx context.Context, method string, to *url.URL, body string) (*http.Response, string, error) {
	ctx, cancel := context.WithTimeout(ctx, whipTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, to.String(), strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	r.Header.Set("User-Agent", "peercam")
	if body != "" {
		r.Header.Set("Content-Type", "application/sdp")
		r.Header.Set("Accept", "application/sdp")
	}
	if c.token != "" && c.may(to) {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, "", fmt.Errorf("reaching the WHIP server at %s: %w", to.Host, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, "", fmt.Errorf("the answer of the WHIP server at %s did not arrive whole: %w", to.Host, err)
	}
	return resp, string(text), nil
}

// links asks for ICE servers, which many servers tell in their answer to OPTIONS,
// in time for the offer. nil: it tells of none.
func (c *whipClient) links(ctx context.Context) []webrtc.ICEServer {
	resp, _, err := c.do(ctx, http.MethodOptions, c.at, "")
	if err != nil || resp.StatusCode >= 300 {
		return nil // post will say what is wrong
	}
	return iceLinks(resp.Header.Values("Link"))
}

// post sends the offer, wherever the endpoint redirects it. With an error there is
// still a session to end if there is a resource.
func (c *whipClient) post(ctx context.Context, offer string) (*posted, error) {
	to := c.at
	for range maxRedirects {
		resp, body, err := c.do(ctx, http.MethodPost, to, offer)
		if err != nil {
			return nil, err
		}
		switch resp.StatusCode {
		case http.StatusCreated, http.StatusOK: // not all keep to 201
			return c.posted(to, resp, body)
		case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			if to, err = c.follow(to, resp.Header.Get("Location")); err != nil {
				return nil, err
			}
		default:
			return nil, refusal(resp, body)
		}
	}
	return nil, fmt.Errorf("the WHIP server redirects more than %d times", maxRedirects)
}

func (c *whipClient) follow(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	switch {
	case err != nil || location == "" || to.Scheme != "http" && to.Scheme != "https" || to.Host == "":
		return nil, fmt.Errorf("the WHIP server at %s redirects to what is no web address", from.Host)
	case c.token != "" && !c.may(to):
		return nil, fmt.Errorf("the WHIP server at %s redirects to %s without encryption, where the token could be read on the way: it is not sent there", from.Host, to.Host)
	}
	return to, nil
}

func (c *whipClient) posted(from *url.URL, resp *http.Response, body string) (*posted, error) {
	p := &posted{answer: body, links: iceLinks(resp.Header.Values("Link"))}
	if location := resp.Header.Get("Location"); location != "" {
		if to, err := from.Parse(location); err == nil && (to.Scheme == "http" || to.Scheme == "https") && to.Host != "" {
			p.resource = to
		}
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case len(body) > maxAnswer:
		return p, fmt.Errorf("the WHIP server's answer has more than %d bytes", maxAnswer)
	case kind != "application/sdp" || !strings.HasPrefix(body, "v=0"):
		return p, fmt.Errorf("the WHIP server answered %d with %q instead of SDP: is the URL the one for WHIP?", resp.StatusCode, kind)
	}
	return p, nil
}

// delete ends the session at the server.
func (c *whipClient) delete(ctx context.Context, resource *url.URL) error {
	if resource == nil {
		return errors.New("the server told of no address for the session")
	}
	resp, body, err := c.do(ctx, http.MethodDelete, resource, "")
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return refusal(resp, body)
	}
	return nil
}

// refusal is what a server said instead: its problem details (RFC 9457), or one
// line of text.
func refusal(resp *http.Response, body string) *whipError {
	e := &whipError{status: resp.StatusCode}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.retryAfter = time.Duration(min(seconds, 3600)) * time.Second
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch kind {
	case "application/problem+json", "application/json":
		var problem struct{ Detail, Title, Error string }
		if json.Unmarshal([]byte(body), &problem) == nil {
			e.text = problem.Detail + problem.Error
			if e.text == "" {
				e.text = problem.Title
			}
		}
	case "text/plain":
		e.text = body
	}
	e.text, _, _ = strings.Cut(strings.TrimSpace(e.text), "\n")
	if len(e.text) > 200 {
		e.text = e.text[:200] + "…"
	}
	e.text = strings.Map(func(r rune) rune { // it is shown on terminals
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(e.text, ""))
	return e
}
