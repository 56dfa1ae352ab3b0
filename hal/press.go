package hal

import "sync"

// Press is whether a button is held down: what every Board keeps of one. The zero Press is up; it is safe for concurrent use.
type Press struct {
	mu   sync.Mutex
	down bool
}

var _ Button = (*Press)(nil)

// Down reports whether it is held down.
func (p *Press) Down() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.down
}

// Set notes that it went down or up, and reports whether that is news.
func (p *Press) Set(down bool) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed = p.down != down
	p.down = down
	return changed
}
