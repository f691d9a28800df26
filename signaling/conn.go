package signaling

import (
	"errors"
	"fmt"
)

// Conn carries messages both ways, in order. Both ends of both kinds, the
// WebSocket and the pipe within a process, are Conns.
type Conn interface {
	// Send queues m and never blocks. It returns ErrSlow when the queue is
	// full, that is when the other end does not read; the message is then
	// dropped, and the caller had better close the connection. ErrClosed after
	// the end.
	Send(m Message) error
	// Receive blocks until the next message. An *Error is about one message
	// that made no sense; the connection goes on. Any other error is the end,
	// and all that the connection started has ended with it. So whoever holds a
	// Conn receives, in one goroutine, until that.
	Receive() (Message, error)
	// Close sends what is queued and, unless code is empty, a fatal error with
	// that code and message; then it ends the connection. It does not wait: the
	// end is what Receive says.
	Close(code, message string)
}

// ErrSlow says that a message was dropped because the queue was full.
var ErrSlow = errors.New("the other end does not read what it is sent")

// ErrClosed says that a connection has ended.
var ErrClosed = errors.New("the signaling connection is closed")

// Error is an error of the protocol, see PROTOCOL.md.
type Error struct {
	Code    string
	Message string
	Session string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) message(fatal bool) Message {
	return Message{Type: TypeError, Code: e.Code, Message: e.Message, Session: e.Session, Fatal: fatal}
}

// last is the message Close ends with, if any.
func last(code, message string) *Message {
	if code == "" {
		return nil
	}
	m := (&Error{Code: code, Message: message}).message(true)
	return &m
}

// goOn tells whether the connection goes on after Receive returned err.
func goOn(err error) (*Error, bool) {
	var e *Error
	return e, errors.As(err, &e)
}

// drain receives until the end.
func drain(c Conn) {
	for {
		if _, err := c.Receive(); err != nil {
			if _, more := goOn(err); !more {
				return
			}
		}
	}
}
