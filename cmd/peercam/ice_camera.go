package main

import (
	"slices"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/peercam/peercam/signaling"
)

// iceHelpers are the STUN and TURN servers that the camera's side asks: those
// of its own flags, and those that a signaling server elsewhere told of last.
type iceHelpers struct {
	own signaling.ICESource

	mu   sync.Mutex
	told []signaling.ICEServer
}

// hear takes what a server says in welcome and ice-servers, on the way to next.
func (h *iceHelpers) hear(next func(signaling.Message)) func(signaling.Message) {
	return func(m signaling.Message) {
		if m.Type == signaling.TypeWelcome || m.Type == signaling.TypeICEServers {
			h.mu.Lock()
			h.told = m.ICEServers
			h.mu.Unlock()
		}
		next(m)
	}
}

// list is asked for each new session: credentials expire.
func (h *iceHelpers) list() []webrtc.ICEServer {
	own, _ := h.own("camera", time.Now())
	h.mu.Lock()
	servers := slices.Concat(own, h.told)
	h.mu.Unlock()
	var all []webrtc.ICEServer
	seen := map[string]bool{}
	for _, s := range servers {
		var urls []string
		for _, url := range s.URLs {
			if !seen[url] {
				seen[url] = true
				urls = append(urls, url)
			}
		}
		if len(urls) > 0 {
			all = append(all, webrtc.ICEServer{URLs: urls, Username: s.Username, Credential: s.Credential})
		}
	}
	return all
}
