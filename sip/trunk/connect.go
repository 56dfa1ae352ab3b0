package trunk

import (
	"context"
	"sync"
	"time"

	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// trunk is one SBC with its connection and keepalive.
type trunk struct {
	set  *Set
	cfg  site.Trunk
	ctx  context.Context // ends with Run, or when a site document no longer has it
	stop context.CancelFunc
	kick chan struct{} // the connection was lost

	mu      sync.Mutex
	conn    *stack.Conn
	state   State
	misses  int         // in a row
	asked   *stack.Conn // by the last OPTIONS of the keepalive
	used    time.Time   // when it leaves: last by a call that keeps it
	dialing bool
	waiting []func(*stack.Conn, error)
}

func newTrunk(s *Set, cfg site.Trunk) *trunk {
	t := &trunk{set: s, cfg: cfg, kick: make(chan struct{}, 1)}
	t.ctx, t.stop = context.WithCancel(s.ctx)
	t.state = State{ID: cfg.ID, Address: cfg.Address, Since: time.Now(), Err: "not probed yet"}
	return t
}

func (t *trunk) current() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

func (t *trunk) holds(c *stack.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conn == c
}

// connect hands f the open connection, unless it is silent (nil: none is), or a new one that all who wait share.
func (t *trunk) connect(silent *stack.Conn, f func(*stack.Conn, error)) {
	t.mu.Lock()
	if conn := t.conn; conn != nil && conn != silent && !conn.Closed() {
		t.mu.Unlock()
		go f(conn, nil)
		return
	}
	t.waiting = append(t.waiting, f)
	first := !t.dialing
	t.dialing = true
	t.mu.Unlock()
	if first && !t.set.spawn(t.dial) {
		go t.dialled(nil, stack.ErrStopped)
	}
}

func (t *trunk) dial() {
	conn, err := t.set.o.Stack.Dial(t.ctx, t.cfg.Address, t.tlsConfig(), t.cfg.ID)
	t.dialled(conn, err)
}

// dialled tells everyone who waits.
func (t *trunk) dialled(conn *stack.Conn, err error) {
	t.mu.Lock()
	waiting := t.waiting
	t.waiting, t.dialing = nil, false
	removed := t.ctx.Err() != nil && t.set.ctx.Err() == nil
	if err == nil && t.ctx.Err() == nil {
		if old := t.conn; old != nil && !old.Closed() { // it was silent
			t.misses = 0
			defer t.replaced(old)
		}
		t.conn = conn // from here on hangUp closes it
	} else if err == nil {
		defer conn.Close()
		conn, err = nil, stack.ErrStopped
	}
	if removed {
		err = ErrUnknown
	}
	t.mu.Unlock()
	for _, f := range waiting {
		f(conn, err)
	}
}

// hangUp closes the connection, if there is one.
func (t *trunk) hangUp() {
	t.mu.Lock()
	conn := t.conn
	t.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

// Open is the connection to the trunk that is open now, if there is one.
func (s *Set) Open(id string) (*stack.Conn, bool) {
	t := s.find(id)
	if t == nil {
		return nil, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conn, t.conn != nil && !t.conn.Closed()
}
