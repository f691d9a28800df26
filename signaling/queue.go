package signaling

import "sync"

// Limits of a queue: how many messages it holds, and how many bytes of SDP and
// candidates, whichever is reached first. A camera's holds what 1000 viewers who
// come at once have to say.
var (
	viewerQueue = limits{messages: 256, bytes: 1 << 20}
	cameraQueue = limits{messages: 16384, bytes: 32 << 20}
)

type limits struct{ messages, bytes int }

// queue holds messages on their way to one reader. It takes memory only while
// there is something in it. Drop policy: what does not fit is refused, and it is
// the sender who decides what to do about it.
type queue struct {
	mu     sync.Mutex
	max    limits
	items  []Message
	bytes  int
	closed bool
	wake   chan struct{} // holds one token when the reader has something to see
}

func newQueue(max limits) *queue {
	return &queue{max: max, wake: make(chan struct{}, 1)}
}

func (q *queue) resize(max limits) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.max = max
}

// size is about what a message holds in memory: the fields that a sender can make
// long, and something for the rest.
func (m *Message) size() int {
	return 256 + len(m.SDP) + len(m.Candidate) + len(m.Message) + len(m.Proof) + len(m.Code) + len(m.To)
}

func (q *queue) push(m Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return ErrClosed
	case len(q.items) >= q.max.messages, q.bytes+m.size() > q.max.bytes:
		return ErrSlow
	}
	q.add(m)
	return nil
}

func (q *queue) add(m Message) {
	q.items = append(q.items, m)
	q.bytes += m.size()
	q.signal()
}

// finish takes one last message, if there is one, and no more.
func (q *queue) finish(last *Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed && last != nil {
		q.add(*last)
	}
	q.closed = true
	q.signal()
}

// abort throws away what is queued and takes no more.
func (q *queue) abort() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items, q.bytes, q.closed = nil, 0, true
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// pop returns the next message if there is one. When there is none, open tells
// whether there may still be.
func (q *queue) pop() (m Message, ok, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		q.items = nil
		return Message{}, false, !q.closed
	}
	m, q.items[0] = q.items[0], Message{}
	q.items = q.items[1:]
	q.bytes -= m.size()
	return m, true, true
}
