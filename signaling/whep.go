package signaling

import "net/http"

type whepSessions struct{}

func (s *Server) WHEP() http.Handler { return http.NotFoundHandler() }
