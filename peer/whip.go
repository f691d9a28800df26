package peer

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"
)

// WHIPConfig says where to publish to (RFC 9725).
type WHIPConfig struct {
	// URL is the endpoint's, which may be a secret itself: it is never logged whole.
	URL string
	// Token is the bearer; "": none.
	Token string
	// Name stands for the URL in logs and statistics; "": its host.
	Name string
}

// WHIP publishes to one server for as long as it runs: beside the viewers, from the
// same encode, and with a rung of its own as if it were one of them. It is the one
// place where the camera offers.
type WHIP struct {
	p    *Publisher
	c    WHIPConfig
	http *whipClient
	log  *slog.Logger

	session  atomic.Pointer[Session] // nil: none just now
	attempts atomic.Int64
	trouble  atomic.Pointer[string] // why there is none
	links    []webrtc.ICEServer     // that the server told of last
}

// WHIPStatus is how a WHIP does.
type WHIPStatus struct {
	Name      string
	Connected bool
	Attempts  int64
	Trouble   string // why it is not connected, if that is known
}

// NewWHIP checks the configuration. Its error says what is wrong with the URL.
func (p *Publisher) NewWHIP(c WHIPConfig) (*WHIP, error) {
	at, err := parseWHIP(c.URL)
	if err != nil {
		return nil, err
	}
	if c.Name == "" {
		c.Name = at.Host
	}
	w := &WHIP{p: p, c: c, http: newWHIPClient(at, c.Token), log: p.c.Log.With("whip", c.Name)}
	if c.Token != "" && at.Scheme == "http" && !isLoopback(at.Hostname()) {
		w.log.Warn("the token goes to the WHIP server unencrypted, for anybody on the way to read: use https")
	}
	return w, nil
}

func parseWHIP(text string) (*url.URL, error) {
	at, err := url.Parse(text)
	switch {
	case err != nil: // its text would show the URL
		return nil, errors.New("it is no URL: give one like https://example.org/live/whip")
	case at.Scheme != "https" && at.Scheme != "http" || at.Hostname() == "":
		return nil, errors.New("it must begin with https:// or http:// and a host, like https://example.org/live/whip")
	case at.User != nil:
		return nil, errors.New("a user name and password in it are not supported: what stands before the @ may be a token")
	case at.Fragment != "":
		return nil, errors.New("it has a #, like a link for viewers: give the address that the server names for WHIP")
	}
	return at, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Status tells how it does.
func (w *WHIP) Status() WHIPStatus {
	st := WHIPStatus{Name: w.c.Name, Attempts: w.attempts.Load()}
	if s := w.session.Load(); s != nil && s.connected.Load() {
		st.Connected = true
	} else if t := w.trouble.Load(); t != nil {
		st.Trouble = *t
	}
	return st
}

const (
	// whipSteady is how long a session must have lived for its end to be the first
	// failure, rather than one more.
	whipSteady = 15 * time.Second
	// whipRefused is how long to wait after a refusal, which lasts until somebody
	// does something about it.
	whipRefused = 30 * time.Second
	whipMost    = 30 * time.Second
	// whipGather is how long the offer waits for candidates, whipDelete how long a
	// goodbye may take.
	whipGather = time.Second
	whipDelete = 2 * time.Second
)

// whipWait is how long to wait after failures in a row, the first being 0. What
// the server asks for counts, within reason.
func whipWait(failures int, err error) time.Duration {
	wait := whipMost
	if failures < 5 {
		wait = time.Second << failures
	}
	var said *whipError
	if errors.As(err, &said) {
		if said.refused() {
			wait = whipRefused
		}
		wait = max(wait, min(said.retryAfter, 2*whipMost))
	}
	return wait
}

// Run publishes until ctx is done, again after each failure, and tells the server
// when it leaves.
func (w *WHIP) Run(ctx context.Context) {
	defer w.http.close()
	failures, told := 0, ""
	for ctx.Err() == nil {
		w.attempts.Add(1)
		start := time.Now()
		err := w.once(ctx)
		w.session.Store(nil)
		if ctx.Err() != nil {
			return
		}
		if time.Since(start) > whipSteady {
			failures, told = 0, ""
		}
		if errors.Is(err, errNetworkMoved) {
			continue
		}
		text := err.Error()
		w.trouble.Store(&text)
		wait := whipWait(failures, err)
		if failures++; text != told {
			w.log.Warn("not published; trying again until it works", "err", err, "in", wait)
			told = text
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

var errNetworkMoved = errors.New("the network has changed")

// once is one session's life. Its error says how it ended.
func (w *WHIP) once(ctx context.Context) (err error) {
	if links := w.http.links(ctx); links != nil {
		w.links = links
	}
	ended, moved := make(chan string, 1), make(chan struct{}, 1)
	s, _, err := w.p.session(crand.Text()[:22], offered{audio: true}, Signal{
		To: w.c.Name, ICEServers: w.links,
		Ended: func(_, reason string) { ended <- reason },
		Restart: func() {
			select {
			case moved <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return err
	}
	defer s.end("ended", "no longer published")
	offer, err := s.offerMedia(ctx, whipGather)
	if err != nil {
		return err
	}
	posted, err := w.http.post(ctx, offer)
	if posted != nil { // even if it makes no sense, there is something to end
		defer w.leave(ctx, posted.resource)
	}
	if err != nil {
		return err
	}
	if posted.links != nil {
		w.links = posted.links // too late for this session, in time for the next
	}
	if err := s.accept(posted.answer); err != nil {
		return err
	}
	w.session.Store(s)
	w.trouble.Store(nil)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-moved:
		return errNetworkMoved
	case reason := <-ended:
		return fmt.Errorf("the session has ended: %s", reason)
	}
}

func (w *WHIP) leave(ctx context.Context, resource *url.URL) {
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), whipDelete)
	defer cancel()
	if err := w.http.delete(late, resource); err != nil {
		w.log.Debug("leaving the WHIP server", "err", err)
	}
}

// offerMedia describes what is sent, with the candidates that are found in time.
func (s *Session) offerMedia(ctx context.Context, patience time.Duration) (string, error) {
	offer, err := s.pc.CreateOffer(nil)
	if err != nil {
		return "", fmt.Errorf("making an offer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(offer); err != nil {
		return "", fmt.Errorf("making an offer: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.described(ctx, gathered)
}

// accept takes the answer to offerMedia.
func (s *Session) accept(answer string) error {
	if err := checkCandidates(answer); err != nil {
		return fmt.Errorf("the server's answer cannot be used: %w", err)
	}
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return fmt.Errorf("the server's answer cannot be used: %w", err)
	}
	if !s.video.bound.Load() {
		return errors.New("the server takes no VP8, the only video codec spoken here")
	}
	return nil
}
