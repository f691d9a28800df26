package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/peercam/peercam/peer"
)

// whipFlags name servers to publish to, beside the viewers here.
type whipFlags struct {
	WHIP      []string `name:"whip" help:"Publish to this WHIP server too (MediaMTX, LiveKit, Cloudflare ...), for more viewers than this machine's link carries. May be repeated." placeholder:"URL"`
	WHIPToken []string `name:"whip-token" help:"Bearer token for --whip. May be repeated: the first is for the first --whip, and so on; write '' for one without." placeholder:"TOKEN"`
}

// whips is where a camera publishes to.
type whips []*peer.WHIP

// whips checks the flags.
func (f whipFlags) whips(pub *peer.Publisher) (whips, error) {
	if len(f.WHIPToken) > len(f.WHIP) {
		return nil, usage("--whip-token is given %d times and --whip %d times: the first token is for the first server, and so on", len(f.WHIPToken), len(f.WHIP))
	}
	var all whips
	count := map[string]int{}
	for i, text := range f.WHIP {
		c := peer.WHIPConfig{URL: text}
		if i < len(f.WHIPToken) {
			c.Token = strings.TrimSpace(f.WHIPToken[i])
		}
		if u, err := url.Parse(text); err == nil {
			if count[u.Host]++; count[u.Host] > 1 {
				c.Name = fmt.Sprintf("%s#%d", u.Host, count[u.Host])
			}
		}
		w, err := pub.NewWHIP(c)
		if err != nil {
			return nil, usage("--whip (number %d): %w", i+1, err)
		}
		all = append(all, w)
	}
	return all, nil
}

// run publishes to all until ctx is done.
func (ws whips) run(ctx context.Context) error {
	var g errgroup.Group
	for _, w := range ws {
		g.Go(func() error { w.Run(ctx); return nil })
	}
	return g.Wait()
}

// line is their part of the status line.
func (ws whips) line() (line string) {
	for _, w := range ws {
		st := w.Status()
		line += " · " + st.Name
		switch {
		case st.Connected:
			line += " live"
		case st.Trouble != "":
			line += ": " + st.Trouble
		default:
			line += " connecting"
		}
	}
	return line
}

// report adds how they do.
func (ws whips) report(e *exposition) {
	for _, w := range ws {
		st := w.Status()
		label := `{whip="` + st.Name + `"}`
		e.gauge("peercam_whip_connected", label, flag(st.Connected))
		e.counter("peercam_whip_attempts_total", label, st.Attempts)
	}
}
