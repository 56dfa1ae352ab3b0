package stack

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
)

// ErrConnClosed ends the transactions of a connection that is gone.
var ErrConnClosed = errors.New("connection closed")

// ErrQueueFull means that the peer does not read: the connection is closed.
var ErrQueueFull = errors.New("peer does not read: output queue full")

// Conn is one TLS connection, a flow in the sense of RFC 5626. Safe for concurrent use.
type Conn struct {
	s       *Stack
	flow    uint64
	side    Side
	raw     *tls.Conn
	remote  netip.AddrPort
	local   netip.AddrPort
	contact netip.AddrPort // where the box listens on this side
	release func()

	authenticated atomic.Bool
	open          atomic.Int32 // server transactions open
	user          atomic.Value // what the layer above keeps with the connection

	mu      sync.Mutex
	queue   [][]byte
	queued  int
	writing bool
	closed  bool
	drained *sync.Cond

	// Owned by the read loop.
	tokens   float64 // request rate
	at       time.Time
	newlines int // since the last message: two are a ping
}

func (s *Stack) newConn(side Side, t *tls.Conn, release func()) *Conn {
	c := &Conn{s: s, flow: s.flows.Add(1), side: side, raw: t, release: release,
		remote: unmap(t.RemoteAddr().(*net.TCPAddr).AddrPort()), local: unmap(t.LocalAddr().(*net.TCPAddr).AddrPort()),
		at: time.Now(), tokens: float64(2 * s.o.Limits.UnauthenticatedRate)}
	c.contact = c.local
	c.drained = sync.NewCond(&c.mu)
	return c
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// Flow is the connection's number, unique in the life of the stack and never 0.
func (c *Conn) Flow() uint64 { return c.flow }

// Side says which side of the box the peer is on.
func (c *Conn) Side() Side { return c.side }

// Remote is the peer's address.
func (c *Conn) Remote() netip.AddrPort { return c.remote }

// Local is the box's address on this connection.
func (c *Conn) Local() netip.AddrPort { return c.local }

// Contact is the address for Via and Contact: where the box listens on this side, also when it dialled.
func (c *Conn) Contact() netip.AddrPort { return c.contact }

// Closed tells whether the connection is gone.
func (c *Conn) Closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// PeerCertificate is the peer's verified leaf certificate; nil for a phone without one.
func (c *Conn) PeerCertificate() *x509.Certificate {
	cs := c.raw.ConnectionState()
	if len(cs.PeerCertificates) == 0 {
		return nil
	}
	return cs.PeerCertificates[0]
}

// SetAuthenticated lifts the limits for strangers: call it once the peer has proven who it is.
func (c *Conn) SetAuthenticated() {
	if !c.authenticated.Swap(true) {
		c.raw.SetReadDeadline(time.Now().Add(c.s.o.Limits.IdleTimeout))
	}
}

// Authenticated tells whether SetAuthenticated was called.
func (c *Conn) Authenticated() bool { return c.authenticated.Load() }

// Set keeps a value with the connection for the layer above; always of one type.
func (c *Conn) Set(v any) { c.user.Store(v) }

// Get returns what Set kept, or nil.
func (c *Conn) Get() any { return c.user.Load() }

// Write queues a message that belongs to no transaction (the ACK of a 2xx, a retransmitted 2xx).
func (c *Conn) Write(m sip.Message) error { return c.write([]byte(m.String())) }

// write queues bytes and sees to it that a writer runs. It never blocks.
func (c *Conn) write(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrConnClosed
	}
	if c.queued+len(b) > c.s.o.Limits.QueuedBytes {
		c.s.counters.Overflows.Add(1)
		go c.Close()
		return ErrQueueFull
	}
	c.queue = append(c.queue, b)
	c.queued += len(b)
	if !c.writing {
		c.writing = true
		c.s.wg.Add(1)
		go c.drain()
	}
	return nil
}

// drain writes until the queue is empty, then ends: an idle connection has no writer.
func (c *Conn) drain() {
	defer c.s.wg.Done()
	for {
		c.mu.Lock()
		if len(c.queue) == 0 || c.closed {
			c.writing = false
			c.queue = nil
			c.drained.Broadcast()
			c.mu.Unlock()
			return
		}
		b := c.queue[0]
		c.queue = c.queue[1:]
		c.queued -= len(b)
		c.mu.Unlock()
		c.raw.SetWriteDeadline(time.Now().Add(c.s.o.Limits.WriteTimeout))
		if _, err := c.raw.Write(b); err != nil {
			c.Close()
		}
	}
}

// Hangup closes the connection after what is queued has been written, so that a last response still arrives.
func (c *Conn) Hangup() {
	c.mu.Lock()
	for c.writing && !c.closed {
		c.drained.Wait()
	}
	c.mu.Unlock()
	c.Close()
}

// Close ends the connection and fails its transactions. It is idempotent.
func (c *Conn) Close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.drained.Broadcast()
	c.mu.Unlock()
	// Not tls.Conn.Close alone: it may wait for a stalled writer before it closes the socket.
	c.raw.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	c.raw.Close()
	if c.release != nil {
		c.release()
	}
	c.s.forget(c)
}

// allow is the token bucket of requests on this connection; only the read loop calls it.
func (c *Conn) allow(now time.Time) bool {
	rate, burst := float64(c.s.o.Limits.UnauthenticatedRate), 2.0
	if c.authenticated.Load() {
		rate, burst = float64(c.s.o.Limits.AuthenticatedRate), 4.0
		if c.side == Trunk {
			rate, burst = 20*rate, 2
		}
	}
	c.tokens = min(burst*rate, c.tokens+now.Sub(c.at).Seconds()*rate)
	c.at = now
	if c.tokens < 1 {
		return false
	}
	c.tokens--
	return true
}
