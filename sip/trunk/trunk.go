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
	Roots       *x509.CertPool                   // what the SBCs' chains end in
	Log         *slog.Logger
	// OnChange is told when a trunk comes up or goes down; it must not block.
	OnChange func(State)
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

// ErrUnknown means that the site document names no such trunk.
var ErrUnknown = errors.New("no such trunk")

// Set is all trunks. Safe for concurrent use.
type Set struct {
	o   Options
	ctx context.Context

	mu     sync.Mutex
	trunks map[string]*trunk
	order  []string
	wg     sync.WaitGroup
}

// trunk is one SBC with its keepalive.
type trunk struct {
	set  *Set
	cfg  site.Trunk
	stop context.CancelFunc

	mu      sync.Mutex
	conn    *stack.Conn
	state   State
	misses  int
	dialing bool
	waiting []func(*stack.Conn, error)
}

// New makes a Set without trunks; Update brings them.
func New(o Options) *Set {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Set{o: o, trunks: make(map[string]*trunk)}
}

// Run keeps the trunks alive until ctx ends.
func (s *Set) Run(ctx context.Context) error {
	s.mu.Lock()
	s.ctx = ctx
	for _, t := range s.trunks {
		s.launch(t)
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.wg.Wait()
	return nil
}

// Update takes over the trunks of a new site document. A trunk whose settings did not change keeps its connection;
// calls on a removed one run on.
func (s *Set) Update(list []site.Trunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keep := make(map[string]*trunk, len(list))
	s.order = s.order[:0]
	for _, cfg := range list {
		s.order = append(s.order, cfg.ID)
		if t := s.trunks[cfg.ID]; t != nil && t.cfg == cfg {
			keep[cfg.ID] = t
			continue
		}
		t := &trunk{set: s, cfg: cfg}
		t.state = State{ID: cfg.ID, Address: cfg.Address, Since: time.Now(), Err: "not probed yet"}
		keep[cfg.ID] = t
		if s.ctx != nil {
			s.launch(t)
		}
	}
	for id, t := range s.trunks {
		if keep[id] != t && t.stop != nil {
			t.stop()
		}
	}
	s.trunks = keep
}

func (s *Set) launch(t *trunk) {
	if s.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	t.stop = cancel
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		t.run(ctx)
	}()
}

// States of all trunks in the document's order.
func (s *Set) States() []State {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]State, 0, len(s.order))
	for _, id := range s.order {
		t := s.trunks[id]
		t.mu.Lock()
		out = append(out, t.state)
		t.mu.Unlock()
	}
	return out
}

// Up tells whether the trunk answered its last OPTIONS.
func (s *Set) Up(id string) bool {
	t := s.find(id)
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state.Up
}

func (s *Set) find(id string) *trunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trunks[id]
}

// Connect hands f a connection to the trunk, from a goroutine of its own: the one that is open, or a new one.
func (s *Set) Connect(id string, f func(*stack.Conn, error)) {
	t := s.find(id)
	if t == nil {
		go f(nil, ErrUnknown)
		return
	}
	t.connect(f)
}

func (t *trunk) connect(f func(*stack.Conn, error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conn != nil && !t.conn.Closed() {
		go f(t.conn, nil)
		return
	}
	t.waiting = append(t.waiting, f)
	if t.dialing {
		return
	}
	t.dialing = true
	t.set.wg.Add(1)
	go func() {
		defer t.set.wg.Done()
		t.dial()
	}()
}

// dial opens the connection once for everyone who waits for it.
func (t *trunk) dial() {
	conn, err := t.set.o.Stack.Dial(context.Background(), t.cfg.Address, t.tlsConfig())
	if err == nil {
		conn.Set(t.cfg.ID)
	}
	t.mu.Lock()
	waiting := t.waiting
	t.waiting, t.dialing = nil, false
	if err == nil {
		t.conn = conn
	}
	t.mu.Unlock()
	for _, f := range waiting {
		f(conn, err)
	}
}
