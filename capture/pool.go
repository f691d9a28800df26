package capture

import "sync"

// framePool recycles frames of one size.
type framePool struct {
	mu   sync.Mutex
	free []*Frame
}

func (p *framePool) put(f *Frame) {
	p.mu.Lock()
	p.free = append(p.free, f)
	p.mu.Unlock()
}
