package main

import "time"

const (
	// Nothing came for so long: the server is asked whether the network lives, ...
	watchSilent = time.Second
	// ... a camera that came back under another id is connected to, ...
	watchSilentOther = 900 * time.Millisecond
	// ... and so is the same one, if the server was heard meanwhile: then it is the
	// media's path that broke, not the network, which would come back without help.
	watchSilentSame = 3 * time.Second
	// watchSetup is how long a session may take to its first word.
	watchSetup = 10 * time.Second
)

// watchState is what decide looks at; the page's policy is its model.
type watchState struct {
	joined   bool // to the server
	here     bool // the camera is in the room
	serverAt time.Time
	retryAt  time.Time

	session        bool
	same           bool // it is with the camera that is here
	started, heard time.Time
}

type watchAction int

const (
	watchStay watchAction = iota
	watchConnect
	watchDrop
	watchAsk // the server, whether it is there
)

// decide is one look at a camera; pure.
func (s watchState) decide(now time.Time) watchAction {
	if !s.session {
		if s.here && s.joined && !now.Before(s.retryAt) {
			return watchConnect
		}
		return watchStay
	}
	if s.heard.IsZero() {
		if now.Sub(s.started) > watchSetup {
			return watchDrop
		}
		return watchStay
	}
	silence := now.Sub(s.heard)
	switch {
	case silence < watchSilentOther:
		return watchStay
	case s.here && !s.same && s.joined:
		return watchDrop
	case silence < watchSilent || !s.here || !s.joined:
		return watchStay // ICE says when it is over for good
	case silence >= watchSilentSame && s.serverAt.After(s.heard.Add(watchSilent)):
		return watchDrop
	}
	return watchAsk
}

// watchBackoff is the time before a try: at once at first, then doubling from
// 0.25 s to 10 s.
func watchBackoff(attempt int) time.Duration {
	if attempt == 0 {
		return 0
	}
	return min(250*time.Millisecond<<min(attempt-1, 10), 10*time.Second)
}
