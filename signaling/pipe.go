package signaling

// pipe is a connection within the process: what one end sends, the other
// receives. It has no goroutine.
func pipe() (client, server *pipeEnd) {
	up, down := newQueue(cameraQueue), newQueue(viewerQueue)
	return &pipeEnd{in: down, out: up}, &pipeEnd{in: up, out: down}
}

type pipeEnd struct{ in, out *queue }

func (p *pipeEnd) Send(m Message) error { return p.out.push(m) }

func (p *pipeEnd) Receive() (Message, error) {
	for {
		m, ok, open := p.in.pop()
		switch {
		case ok:
			return m, nil
		case !open:
			p.out.finish(nil) // the other end is gone: nobody will read
			return Message{}, ErrClosed
		}
		<-p.in.wake
	}
}

func (p *pipeEnd) Close(code, message string) {
	p.out.finish(last(code, message))
	p.in.abort()
}

func (p *pipeEnd) queue() *queue { return p.out }
