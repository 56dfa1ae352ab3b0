package stack

import "crypto/tls"

// What a connection needs in whose place another has come, although it is open: nobody knows whether it is dead.

// Idle reports whether no transaction is open on the connection: closing it takes nothing from anybody.
func (c *Conn) Idle() bool { return c.unanswered.Load() == 0 && !c.s.clients.on(c) }

// Abort is Close for a connection that is dead without having been closed. What lies in the kernel unsent is thrown away instead of
// being sent whenever the network is whole again: an INVITE that has been given up must not make a phone ring then.
func (c *Conn) Abort() {
	raw := c.raw
	if t, ok := raw.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if l, ok := raw.(interface{ SetLinger(seconds int) error }); ok { // a TCP connection of the machine
		l.SetLinger(0)
	}
	c.Close()
}
