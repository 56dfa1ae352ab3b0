// Package trunk is the side of the on-site SBCs: it keeps a mutual TLS connection to each trunk of the site document,
// asks by OPTIONS whether it lives (RFC 3261 §11), and tells by certificate who a connection belongs to (RFC 5922).
// It places no call: sip/b2bua takes connections from here, in the order that sip/route decides.
package trunk

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"time"

	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// Missed OPTIONS in a row that take a trunk down.
const missesDown = 2

// Options of a Set.
type Options struct {
	Stack       *stack.Stack
	Certificate func() (*tls.Certificate, error) // the box's own, asked at each handshake
	Roots       func() *x509.CertPool            // what the SBCs' chains end in, asked at each handshake; nobody where it is nil
	Log         *slog.Logger
	// OnChange is told when a trunk comes up or goes down; it must not block.
	OnChange func(State)
	// InUse reports whether a call that no new document may cut runs on the trunk; nil: none.
	InUse func(id string) bool

	Patience time.Duration // how long an OPTIONS may stay unanswered, default 4 s, at most the trunk's interval
	Retry    time.Duration // between two OPTIONS to a trunk that is down or has missed one, default 2 s, likewise
}

// State of one trunk, for status and routing.
type State struct {
	ID        string
	Address   string
	Up        bool
	Since     time.Time     // of the current Up or down
	LastProbe time.Time     // zero: none yet
	RTT       time.Duration // of the last answered OPTIONS
	Err       string        // why it is down
}

// ErrUnknown means that the site document names no such trunk, or no longer.
var ErrUnknown = errors.New("no such trunk")

// Set is all trunks. Safe for concurrent use.
type Set struct {
	o   Options
	ctx context.Context // ends with Run
	end context.CancelFunc

	mu      sync.Mutex // never held while a trunk's is taken, nor the other way round
	running bool
	trunks  map[string]*trunk
	order   []string
	leaving []*trunk // that the document has removed or moved, and that are in use
	wg      sync.WaitGroup
}

// New makes a Set without trunks; Update brings them.
func New(o Options) *Set {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Patience <= 0 {
		o.Patience = 4 * time.Second
	}
	if o.Retry <= 0 {
		o.Retry = 2 * time.Second
	}
	s := &Set{o: o, trunks: make(map[string]*trunk)}
	s.ctx, s.end = context.WithCancel(context.Background())
	return s
}

// Run keeps the trunks alive until ctx ends, then hangs up and waits for what it has started. A Set runs once.
func (s *Set) Run(ctx context.Context) error {
	s.mu.Lock()
	s.running = true
	for _, t := range s.trunks {
		s.wg.Go(t.run)
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.end() // with the lock: spawn adds nothing after it
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// spawn runs f in a goroutine that Run waits for; false when Run has ended.
func (s *Set) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.wg.Go(f)
	return true
}

// Update takes over the trunks of a new site document. A trunk that is reached and known as before keeps its
// connection; one that is removed or moved is hung up: its calls' audio runs on until a party ends them. One that is in
// use is hung up later (leaving.go).
func (s *Set) Update(list []site.Trunk) {
	s.mu.Lock()
	keep := make(map[string]*trunk, len(list))
	s.order = s.order[:0]
	for _, cfg := range list {
		cfg = reach(cfg)
		s.order = append(s.order, cfg.ID)
		if t := s.trunks[cfg.ID]; t != nil && t.cfg == cfg {
			keep[cfg.ID] = t
			continue
		}
		t := newTrunk(s, cfg)
		keep[cfg.ID] = t
		if s.running && s.ctx.Err() == nil {
			s.wg.Go(t.run)
		}
	}
	for id, t := range s.trunks {
		if keep[id] != t {
			s.leaving = append(s.leaving, t)
		}
	}
	s.trunks = keep
	s.mu.Unlock()
	s.Release(time.Now())
}

// reach is what of a trunk's settings a connection depends on; the rest is the routing's.
func reach(t site.Trunk) site.Trunk {
	return site.Trunk{ID: t.ID, Address: t.Address, TLSName: t.TLSName, Fingerprint: t.Fingerprint, Domain: t.Domain, OptionsInterval: t.OptionsInterval}
}

// States of all trunks in the document's order.
func (s *Set) States() []State {
	var out []State
	for _, t := range s.all() {
		out = append(out, t.current())
	}
	return out
}

func (s *Set) all() []*trunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*trunk, len(s.order))
	for i, id := range s.order {
		out[i] = s.trunks[id]
	}
	return out
}

// Up tells whether the trunk answered its last OPTIONS.
func (s *Set) Up(id string) bool {
	t := s.find(id)
	return t != nil && t.current().Up
}

// find is the document's trunk, or one that is leaving.
func (s *Set) find(id string) *trunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.trunks[id]; t != nil {
		return t
	}
	for _, t := range s.leaving {
		if t.cfg.ID == id {
			return t
		}
	}
	return nil
}

// Connect hands f a connection to the trunk, from a goroutine of its own: the one that is open, or a new one. f must
// not block for long: others may wait for the same connection.
func (s *Set) Connect(id string, f func(*stack.Conn, error)) {
	t := s.find(id)
	if t == nil {
		go f(nil, ErrUnknown)
		return
	}
	t.connect(nil, f)
}

// Lost tells the set of a connection that is gone; if it was a trunk's, the trunk is asked again soon. It does not block.
func (s *Set) Lost(c *stack.Conn) {
	id, _ := c.Get().(string)
	if t := s.find(id); t != nil && t.holds(c) {
		t.doubt()
	}
}
