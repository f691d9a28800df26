package signaling

import (
	"context"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"
)

// What a page loads while its picture plays must not come in one burst: ten segments
// of TCP are a third of a second of a thin link, and its queue may hold less. So it
// comes piece by piece, a few on the way at a time; where the round trip is short that
// costs nothing, and is left out.
const (
	gentlePiece = 1400 // bytes, about a segment
	gentleMost  = 2    // segments on the way
	gentlePause = 4 * time.Millisecond
	// gentlePatience is for one piece. Then the connection's own limits count.
	gentlePatience = 2 * time.Second
	nearRound      = 20 * time.Millisecond
)

type connKey struct{}

// ConnContext is for http.Server: with it the parts of a page come gently.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	for {
		outer, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = outer.NetConn() // under TLS, for instance
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return ctx
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, connKey{}, raw)
}

// gently is w for the parts of a page, in answer to r.
func gently(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	raw, ok := r.Context().Value(connKey{}).(syscall.RawConn)
	if !ok {
		return w
	}
	return gentleWriter{w, r.Context(), raw}
}

type gentleWriter struct {
	http.ResponseWriter
	ctx context.Context
	raw syscall.RawConn
}

func (w gentleWriter) Write(data []byte) (n int, err error) {
	for piece := range slices.Chunk(data, gentlePiece) {
		w.wait()
		k, err := w.ResponseWriter.Write(piece)
		if n += k; err == nil {
			err = http.NewResponseController(w.ResponseWriter).Flush()
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// wait returns when the next piece may go.
func (w gentleWriter) wait() {
	var tick *time.Ticker
	for range gentlePatience / gentlePause {
		round, segments := onTheWay(w.raw)
		if round < nearRound || segments < gentleMost {
			return
		}
		if tick == nil {
			tick = time.NewTicker(gentlePause)
			defer tick.Stop()
		}
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			return
		}
	}
}
