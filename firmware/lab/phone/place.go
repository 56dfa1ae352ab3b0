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
	if len(p.history) == 0 {
		return "", time.Time{}
	}
	m := p.history[len(p.history)-1]
	return m.Server, m.At
}

// History is where the phone has been.
func (p *Phone) History() []Move {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Move(nil), p.history...)
}

// WaitAt waits until the phone is registered with one of the servers.
func (p *Phone) WaitAt(ctx context.Context, servers ...string) (time.Time, error) {
	for {
		p.mu.Lock()
		changed, last, where := p.changed, p.last, ""
		var since time.Time
		if n := len(p.history); n > 0 {
			where, since = p.history[n-1].Server, p.history[n-1].At
		}
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

func (p *Phone) arrive(s *session, cause string) { p.move(s, s.server.Name, cause) }

// leave notes that the phone is registered nowhere and returns where it was.
func (p *Phone) leave(cause string) *session {
	p.mu.Lock()
	old := p.at
	p.mu.Unlock()
	p.move(nil, "", cause)
	return old
}

const maxHistory = 200

func (p *Phone) move(s *session, server, cause string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = s
	if len(p.history) < maxHistory {
		p.history = append(p.history, Move{At: time.Now(), Server: server, Cause: cause})
	} else {
		p.history[maxHistory-1] = Move{At: time.Now(), Server: server, Cause: cause}
	}
	close(p.changed)
	p.changed = make(chan struct{})
}
