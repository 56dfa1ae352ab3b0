package relay

import (
	"sync"
)

// Session is the media of one call. Its methods and those of its legs may be called from any goroutine.
type Session struct {
	id        string
	emergency bool
	relay     *Relay
	worker    *worker
	events    chan Event

	mu     sync.Mutex // before Relay.mu
	legs   []*Leg
	theirs []fingerprint // keys that peers have sealed with, oldest first
	links  uint32        // Connects so far
	closed bool
}

// AddLeg takes an even port and the odd one above it; ErrNoPorts when there is none, ErrClosed after Close.
func (s *Session) AddLeg(side Side) (*Leg, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	l, err := newLeg(s, side)
	if err != nil {
		return nil, err
	}
	s.legs = append(s.legs, l)
	return l, nil
}

// Connect bridges two legs of this session in both directions and replaces what either was connected to before; with a nil b it only
// disconnects a. A leg without a Stream, or on hold, receives nothing. Closed legs and those of other sessions are left alone.
func (s *Session) Connect(a, b *Leg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a == nil {
		a, b = b, nil
	}
	if a == nil || a == b || !s.owns(a) || b != nil && !s.owns(b) {
		s.relay.cfg.Log.Error("media legs cannot be connected", "call", s.id)
		return
	}
	if b != nil && a.with == b {
		return
	}
	s.links++
	touched := []*Leg{a}
	unlink := func(l *Leg) {
		if l != nil && l.with != nil {
			touched = append(touched, l.with)
			l.with.with, l.with = nil, nil
		}
	}
	unlink(a)
	unlink(b)
	if b != nil {
		a.with, b.with = b, a
		touched = append(touched, b)
		if p, q := a.endpoint, b.endpoint; p != nil && q != nil && p.audio.Clock != q.audio.Clock {
			s.relay.cfg.Log.Warn("media legs differ in their codecs: no audio passes", "call", s.id)
		}
	}
	for _, l := range touched {
		l.compile()
	}
	s.worker.loop.Quiesce()
}

func (s *Session) owns(l *Leg) bool { return l.session == s && !l.closed }

// Events reports silence and its end, digits, and the ends of plays; closed by Close.
func (s *Session) Events() <-chan Event { return s.events }

// Close frees the ports (into the drain) and zeroes the keys. It is idempotent.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for _, l := range s.legs {
		l.close()
	}
	s.legs = nil
	close(s.events)
	s.relay.forget(s)
}
