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

// Conn is one connection, a flow in the sense of RFC 5626: TLS, TCP, or one device's address on UDP. Safe for concurrent use.
type Conn struct {
	s       *Stack
	flow    uint64
	side    Side
	raw     net.Conn // of TLS a *tls.Conn
	over    Transport
	remote  netip.AddrPort
	local   netip.AddrPort
	contact netip.AddrPort // where the box listens on this side
	release func()

	authenticated atomic.Bool
	user          atomic.Value // what the layer above keeps with the connection

	mu       sync.Mutex
	queue    [][]byte
	queued   int
	writing  bool
	closed   bool
	overflow bool // the queue was full once: the connection is being closed
	drained  *sync.Cond
	partial  bool // the read loop is within a message

	born  time.Time
	kept  time.Time // until then it may stay without having authenticated; guarded by mu
	spare bool      // beyond the limits: for emergency calls alone

	own  meter
	use  *meter    // own, or that of all flows of a device on UDP
	last time.Time // a datagram came; guarded by datagrams.mu

	txs        *ServerTx    // its server transactions; guarded by serverTxs.mu
	unanswered atomic.Int32 // of them

	// Owned by the read loop.
	excess   int // refused in a row for the rate
	newlines int // since the last message: two are a ping
}

// meter is what a peer uses of what is shared. But for open and bytes it is owned by the read loop.
type meter struct {
	open     atomic.Int32 // server transactions
	bytes    atomic.Int64 // of them, over UDP
	tokens   float64      // request rate
	at       time.Time
	urgent   float64 // that of urgent ones
	urgentAt time.Time
}

// newConn makes a connection over TLS or TCP.
func (s *Stack) newConn(side Side, raw net.Conn, over Transport, release func()) *Conn {
	return s.makeConn(side, raw, over, unmap(raw.RemoteAddr().(*net.TCPAddr).AddrPort()), unmap(raw.LocalAddr().(*net.TCPAddr).AddrPort()), nil, release)
}

func (s *Stack) makeConn(side Side, raw net.Conn, over Transport, remote, local netip.AddrPort, use *meter, release func()) *Conn {
	c := &Conn{s: s, flow: s.flows.Add(1), side: side, raw: raw, over: over, release: release, remote: remote, local: local, contact: local, use: use}
	c.born = time.Now()
	if use == nil {
		c.own = meter{tokens: float64(2 * s.o.Limits.UnauthenticatedRate), at: c.born}
		c.use = &c.own
	}
	c.drained = sync.NewCond(&c.mu)
	return c
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// Flow is the connection's number, unique in the life of the stack and never 0.
func (c *Conn) Flow() uint64 { return c.flow }

// Side says which side of the box the peer is on.
func (c *Conn) Side() Side { return c.side }

// Over says how the peer is reached.
func (c *Conn) Over() Transport { return c.over }

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
	t, ok := c.raw.(*tls.Conn)
	if !ok {
		return nil
	}
	cs := t.ConnectionState()
	if len(cs.PeerCertificates) == 0 {
		return nil
	}
	return cs.PeerCertificates[0]
}

// SetAuthenticated lifts the limits for strangers: call it once the peer has proven who it is.
func (c *Conn) SetAuthenticated() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.authenticated.Swap(true) {
		c.setReadDeadline()
	}
}

// arm bounds the next read: the rest of a message, or the silence between two.
func (c *Conn) arm(partial bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.partial = partial
	c.setReadDeadline()
}

// setReadDeadline is called with c.mu held, so that a phone's authentication and its read loop cannot undo each other.
// A stranger's time is bounded as a whole: keepalives do not hold its place.
func (c *Conn) setReadDeadline() {
	now, lim := time.Now(), &c.s.o.Limits
	at := now.Add(lim.IdleTimeout)
	if c.partial {
		at = now.Add(lim.MessageTimeout)
	}
	last := c.born.Add(lim.UnauthenticatedIdle)
	if c.spare {
		last = c.born.Add(spareFor)
	}
	if c.kept.After(last) {
		last = c.kept
	}
	if !c.authenticated.Load() && last.Before(at) {
		at = last
	}
	c.raw.SetReadDeadline(at)
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
	if c.overflow {
		return ErrQueueFull
	}
	most := c.s.o.Limits.QueuedBytes
	if c.side == Trunk {
		most *= trunkQueue
	}
	if c.queued+len(b) > most || !c.hold(len(b)) {
		c.overflow = true
		c.s.counters.Overflows.Add(1)
		c.s.wg.Go(c.Close) // the read loop still runs, so Run still waits
		return ErrQueueFull
	}
	if c.s.o.Trace != nil && len(b) > len(pong) {
		c.s.o.Trace(c, true, b)
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

// trunkQueue is how many times a phone's queue a trunk's may be: it carries everybody's calls.
const trunkQueue = 16

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
		c.s.held.Add(-int64(len(b)))
		c.mu.Unlock()
		c.raw.SetWriteDeadline(time.Now().Add(c.s.o.Limits.WriteTimeout))
		if _, err := c.raw.Write(b); err != nil {
			c.Close()
		}
	}
}

// Hangup closes the connection after what is queued has been written, so that a last response still arrives.
func (c *Conn) Hangup() {
	c.flush()
	c.Close()
}

// flush waits until the queue is written or the connection closed, at the longest the write timeout: a peer that reads
// a little now and then gets no more.
func (c *Conn) flush() {
	cut := time.AfterFunc(c.s.o.Limits.WriteTimeout, c.cut) // the writer then fails, and closes
	defer cut.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.writing && !c.closed {
		c.drained.Wait()
	}
}

// closeNotifyTimeout bounds the TLS goodbye.
const closeNotifyTimeout = 100 * time.Millisecond

// hold takes room in the stack's memory for n bytes that wait to be read or written. Only strangers can be refused.
func (c *Conn) hold(n int) bool {
	if c.s.held.Add(int64(n)) > int64(c.s.o.Limits.HeldBytes) && !c.authenticated.Load() && c.kept.IsZero() {
		c.s.held.Add(-int64(n))
		return false
	}
	return true
}

// cut closes the socket without a goodbye.
func (c *Conn) cut() {
	if t, ok := c.raw.(*tls.Conn); ok {
		t.NetConn().Close()
		return
	}
	c.raw.Close()
}

// Close ends the connection and fails its transactions. It is idempotent.
func (c *Conn) Close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.s.held.Add(-int64(c.queued))
	c.queue, c.queued = nil, 0
	c.drained.Broadcast()
	c.mu.Unlock()
	// tls.Conn.Close says goodbye first, for up to 5 s when the peer does not read: cut that short.
	cut := time.AfterFunc(closeNotifyTimeout, c.cut)
	c.raw.Close()
	cut.Stop()
	if c.release != nil {
		c.release()
	}
	c.s.forget(c)
}

// allow is the token bucket of requests on this connection; only the read loop calls it.
func (c *Conn) allow(now time.Time) bool {
	rate, burst := float64(c.s.o.Limits.UnauthenticatedRate), 2.0
	if c.authenticated.Load() || c.over == UDP { // a device's flows share one meter
		rate, burst = float64(c.s.o.Limits.AuthenticatedRate), 4.0
		if c.side == Trunk {
			rate, burst = 20*rate, 2
		}
	}
	m := c.use
	m.tokens = min(burst*rate, m.tokens+now.Sub(m.at).Seconds()*rate)
	m.at = now
	if m.tokens < 1 {
		return false
	}
	m.tokens--
	c.excess = 0
	return true
}

// flooding counts what was refused for the rate, and tells when a peer of the access side no longer deserves an answer.
// A trunk is never cut for it: it carries everybody's calls. Nor is a device on UDP: who floods may only borrow its address.
func (c *Conn) flooding() bool {
	c.s.counters.RateLimited.Add(1)
	c.excess++
	return c.side == Access && c.over != UDP && c.excess > mostExcess
}

// mostExcess are the 503s to one connection in a row before it is closed.
const mostExcess = 200
