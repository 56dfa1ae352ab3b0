package cloud

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Cut is how a zone fails.
type Cut int

// The ways to fail.
const (
	Refuse    Cut = iota + 1 // nothing listens, open connections are reset: a server that died
	Blackhole                // connections stay open and silent, new ones are never answered: a line that died
)

// gate is a TCP listener (net.Listener) that can die and come back at the same address.
type gate struct {
	addr     netip.AddrPort
	accepted chan net.Conn
	done     chan struct{}
	owned    sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while refusing
	cut      Cut          // 0: the line is good
	conns    map[*gated]bool
	closed   bool
}

func newGate(at netip.AddrPort) (*gate, error) {
	g := &gate{addr: at, accepted: make(chan net.Conn), done: make(chan struct{}), conns: map[*gated]bool{}}
	if err := g.listen(); err != nil {
		return nil, err
	}
	return g, nil
}

func (g *gate) listen() error {
	l, err := net.Listen("tcp4", g.addr.String())
	if err != nil {
		return fmt.Errorf("cloud: %w", err)
	}
	g.addr = l.Addr().(*net.TCPAddr).AddrPort()
	g.listener = l
	g.owned.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			gc := &gated{Conn: c, gate: g}
			g.mu.Lock()
			g.conns[gc] = true
			g.mu.Unlock()
			select {
			case g.accepted <- gc:
			case <-g.done:
				gc.Close()
			}
		}
	})
	return nil
}

// set cuts the line, or mends it with 0. Mending drops what stayed open meanwhile, as bytes were lost on it.
func (g *gate) set(c Cut) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.cut == c {
		return nil
	}
	if c == Refuse {
		g.listener.Close()
		g.listener = nil
	}
	if c != Blackhole {
		g.dropAll()
	}
	g.cut = c
	if g.listener == nil && c != Refuse {
		return g.listen()
	}
	return nil
}

func (g *gate) dropAll() {
	for c := range g.conns {
		if t, ok := c.Conn.(*net.TCPConn); ok {
			t.SetLinger(0) // RST
		}
		c.Conn.Close()
	}
	clear(g.conns)
}

func (g *gate) silent() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cut == Blackhole
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case c := <-g.accepted:
		return c, nil
	case <-g.done:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (g *gate) Addr() net.Addr { return net.TCPAddrFromAddrPort(g.addr) }

// Close ends the listener and every connection.
func (g *gate) Close() error {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.done)
		if g.listener != nil {
			g.listener.Close()
		}
		g.dropAll()
	}
	g.mu.Unlock()
	g.owned.Wait()
	return nil
}

// gated is a connection through the gate: while the gate is a black hole it swallows what comes and what goes.
type gated struct {
	net.Conn
	gate *gate
}

func (c *gated) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.gate.silent() {
			return n, err
		}
	}
}

func (c *gated) Write(p []byte) (int, error) {
	if c.gate.silent() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *gated) Close() error {
	if c.gate.silent() { // not even a FIN comes out of a black hole; mending or closing the gate ends it
		return nil
	}
	c.gate.mu.Lock()
	delete(c.gate.conns, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}
