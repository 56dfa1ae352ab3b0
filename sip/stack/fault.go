package stack

import (
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"
)

// A fault of the program (a panic that nobody has thought of) costs the message that set it off: every call in the branch
// runs in this process, and whoever has found such a message could end them all, again and again.

// contained is deferred round what the layer above does about a request: it is answered, unless it has been.
func (t *ServerTx) contained() {
	if p := recover(); p != nil {
		t.conn.s.fault(t.conn.side, t.conn.remote, p)
		t.Reply(500, "Server Internal Error")
	}
}

// contained is deferred round all that the read loop does about a message; the connection goes on with the next one.
func (c *Conn) contained(more *bool) {
	if p := recover(); p != nil {
		c.s.fault(c.side, c.remote, p)
		*more = true
	}
}

// contained is the same for a datagram.
func (d *datagrams) contained(from netip.AddrPort) {
	if p := recover(); p != nil {
		d.s.fault(Access, from, p)
	}
}

func (s *Stack) fault(side Side, from netip.AddrPort, p any) {
	s.counters.Faults.Add(1)
	if !s.quiet(faulted, time.Now()) {
		s.log.Error("fault in a message", "side", side, "source", from.String(), "fault", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
}
