package phone

import (
	"context"
	"fmt"
	"time"
)

// Place is the name of the server where the phone is registered, "" for none, and since when.
func (p *Phone) Place() (server string, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.where(), p.since
}

// where is the name of at; the caller holds mu.
func (p *Phone) where() string {
	if p.at == nil {
		return ""
	}
	return p.at.server.Name
}

// WaitAt waits until the phone is registered with one of the servers.
func (p *Phone) WaitAt(ctx context.Context, servers ...string) (time.Time, error) {
	for {
		p.mu.Lock()
		changed, last, where, since := p.changed, p.last, p.where(), p.since
		p.mu.Unlock()
		for _, s := range servers {
			if where == s {
				return since, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("phone %s is at %q, not at %v (last failure: %v): %w", p.User(), where, servers, last, ctx.Err())
		}
	}
}

// leave notes that the phone is registered nowhere, and why, and returns where it was.
func (p *Phone) leave(why error) (old *session) {
	p.mu.Lock()
	old = p.at
	p.mu.Unlock()
	p.move(nil, why)
	return old
}

// move notes where the phone is registered; why it is so is for whoever waits for another place.
func (p *Phone) move(s *session, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at, p.since = s, time.Now()
	if why != nil {
		p.last = why
	}
	close(p.changed)
	p.changed = make(chan struct{})
}
