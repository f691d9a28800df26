package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"sync"
)

// acmeWire listens to what an ACME server answers, for two things that
// x/crypto/acme loses: why a name could not be proved, and, where a server does
// not repeat it (RFC 8555 does not ask it to), what order was finalized.
type acmeWire struct {
	base http.RoundTripper
	log  *slog.Logger

	mu     sync.Mutex
	orders map[string]string // by the URL that finalizes it; one a renewal
}

const (
	maxACMEAnswer = 1 << 20
	maxOrders     = 64
)

// RoundTrip passes a request on and looks at the answer.
func (w *acmeWire) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxACMEAnswer))
	_ = resp.Body.Close() // it was read
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var said struct {
		Finalize   string
		Challenges []struct {
			Type  string
			Error struct{ Detail string }
		}
	}
	if json.Unmarshal(body, &said) != nil {
		return resp, nil
	}
	for _, c := range said.Challenges {
		if c.Error.Detail != "" {
			w.log.Warn("the ACME server could not check that the name leads here", "challenge", c.Type, "why", c.Error.Detail)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch order := resp.Header.Get("Location"); {
	case order == "" && w.orders[r.URL.String()] != "":
		resp.Header.Set("Location", w.orders[r.URL.String()])
	case order != "" && said.Finalize != "":
		if len(w.orders) >= maxOrders {
			clear(w.orders)
		}
		w.orders[said.Finalize] = order
	}
	return resp, nil
}
