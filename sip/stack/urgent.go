package stack

import (
	"time"

	"github.com/emiago/sipgo/sip"
)

// What is kept free for requests that must not be refused: emergency calls. Which those are, the layer above says
// (Options.Urgent); it is asked only where a request would be refused, so that a flood of others costs nothing more. The
// reserve is bounded as all else: a flood of urgent requests uses up that of its own connection.

// Room beyond the limits, for urgent requests alone.
const (
	spareConns        = 64              // of a listener, connections and handshakes beyond Limits.Connections or Limits.Handshakes
	spareSource       = 16              // of one source, beyond Limits.PerSource, its share of handshakes or Limits.AcceptRate
	spareRate         = 8               // such connections a second of one source
	spareFor          = 5 * time.Second // that such a connection may take until its first urgent request
	spareTransactions = 1024            // server transactions beyond Limits.ServerTransactions
	sparePerConn      = 64              // and beyond Limits.TransactionsPerConn
)

// allowRequest reports whether a request may pass: within the rate of its connection, or urgent and within as much again.
// On a spare connection nothing else passes at all.
func (c *Conn) allowRequest(r *sip.Request, now time.Time) bool {
	if c.spare {
		if !c.isUrgent(r) || !c.allowUrgent(now) {
			return false
		}
		c.KeepFor(c.s.o.Limits.UnauthenticatedIdle)
		return true
	}
	return c.allow(now) || c.isUrgent(r) && c.allowUrgent(now)
}

func (c *Conn) isUrgent(r *sip.Request) bool { return c.s.o.Urgent != nil && c.s.o.Urgent(c, r) }

// allowUrgent is the token bucket of urgent requests; only the read loop calls it.
func (c *Conn) allowUrgent(now time.Time) bool {
	rate := float64(c.s.o.Limits.UnauthenticatedRate)
	if c.authenticated.Load() || c.over == UDP {
		rate = float64(c.s.o.Limits.AuthenticatedRate)
	}
	m := c.use
	if m.urgentAt.IsZero() {
		m.urgent = 2 * rate
	} else {
		m.urgent = min(2*rate, m.urgent+now.Sub(m.urgentAt).Seconds()*rate)
	}
	m.urgentAt = now
	if m.urgent < 1 {
		return false
	}
	m.urgent--
	c.excess = 0
	return true
}

// KeepFor lets a connection that has not authenticated stay for d from now, longer than Limits.UnauthenticatedIdle: an
// emergency call runs on it, or may be called back over it. It never shortens.
func (c *Conn) KeepFor(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := time.Now().Add(d); until.After(c.kept) {
		c.kept = until
		c.setReadDeadline()
	}
}

// SendUrgent is Send for a request that has a place beyond Limits.ClientTransactions.
func (c *Conn) SendUrgent(req *sip.Request, on func(*sip.Response, error)) (*ClientTx, error) {
	return c.send(req, on, true)
}

// TrunkConnections bounds those of the trunk's listener: SBCs, and what knocks there without a certificate.
const TrunkConnections = 256

// PlainConnections bounds those of devices on TCP without TLS.
const PlainConnections = 256

// plainPerDevice bounds those of one such device, which needs one, or one a line: no device takes all places.
const plainPerDevice = 16

// perSource is how many connections one address may have.
func (l *listener) perSource() int {
	if l.allowed != nil {
		return min(l.s.o.Limits.PerSource, plainPerDevice)
	}
	return l.s.o.Limits.PerSource
}

// most is how many connections the listener may have.
func (l *listener) most() int {
	if l.side == Trunk {
		return min(l.s.o.Limits.Connections, TrunkConnections)
	}
	if l.allowed != nil {
		return min(l.s.o.Limits.Connections, PlainConnections)
	}
	return l.s.o.Limits.Connections
}

// admitSpare takes a place beyond the limits; whoever gets one can place an emergency call and nothing else. The caller
// holds l.mu.
func (l *listener) admitSpare() bool {
	lim := &l.s.o.Limits
	return l.s.o.Urgent != nil && l.total < l.most()+spareConns && l.handshakes < lim.Handshakes+spareConns
}

// crowded reports whether the limits are reached. The caller holds l.mu.
func (l *listener) crowded() bool {
	lim := &l.s.o.Limits
	return l.total >= l.most() || l.handshakes >= lim.Handshakes
}

// Spare is how many descriptors the connections of a listener may take beyond its limit.
const Spare = spareConns
