package capture

import "sync"

// Privacy is a switch that blanks a source where it begins: while it is on, a
// camera under Steady is closed and its picture a slate. The zero value is off,
// and so is nil. Any goroutine may use it.
type Privacy struct {
	mu      sync.Mutex
	on      bool
	changed chan struct{} // closed by the next change; nil until somebody asks
}

// Set turns it on or off. Once it has returned, no Read that begins gives a
// picture that was taken by what is covered.
func (p *Privacy) Set(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if on == p.on {
		return
	}
	p.on = on
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// On tells whether it is on.
func (p *Privacy) On() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.on
}

// State tells whether it is on, and closes changed when that is no longer so.
func (p *Privacy) State() (on bool, changed <-chan struct{}) {
	if p == nil {
		return false, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.on, p.changed
}
