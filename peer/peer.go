// Package peer sends what encode made to everybody who watches: one session a
// viewer over one WebRTC peer connection each.
//
// Invariants kept here:
//   - The viewer always offers, the camera always answers; payload types and
//     header extension ids come from the offer.
//   - Frames are encoded once and shared: a session adds headers, sequence
//     numbers and encryption, nothing else.
//   - One goroutine owns a session's state. pion's callbacks and the encoders
//     only post to its queues.
//   - Every queue is bounded. A full video queue drops the frame, counts it and
//     waits for a key frame; a full audio queue drops the oldest packet and
//     counts it; a full feedback queue drops the feedback and counts it.
//   - Deciding code is pure: Estimator, keyThrottle and videoRate take now, or
//     nothing, and keep no clock.
//   - Whoever starts a goroutine waits for it: Publisher.Run returns when every
//     session has ended.
package peer

import (
	"errors"

	"github.com/peercam/peercam/encode"
)

// Errors that a caller decides on.
var (
	// ErrBadOffer says that an offer cannot be answered; its text says why.
	ErrBadOffer = errors.New("the offer cannot be answered")
	// ErrBusy says that there are as many viewers as allowed.
	ErrBusy = errors.New("too many viewers")
	// ErrNoSession says that no session has that id.
	ErrNoSession = errors.New("no such session")
	// ErrClosed says that the publisher has ended.
	ErrClosed = errors.New("publisher closed")
)

// VideoEncoder is what a Publisher asks of encode.Ladder. The calls are
// requests: they return at once.
type VideoEncoder interface {
	// Expect says whether somebody is on the way: the camera opens meanwhile.
	Expect(somebody bool)
	// Rungs are the sizes that can be wanted now, the largest first.
	Rungs() []encode.Size
	// Want says which rungs are watched, bit i is rung i, and which of those in
	// temporal layers.
	Want(rungs, layered uint32)
	KeyFrame(rung int)
	SetBitrate(rung, bps int)
}

// AudioEncoder is what a Publisher asks of encode.Voice.
type AudioEncoder interface {
	Want(wanted bool)
	SetLoss(percent int)
}
