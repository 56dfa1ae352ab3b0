package b2bua

import (
	"github.com/emiago/sipgo/sip"

	"holdfast/sip/elin"
	"holdfast/sip/route"
	"holdfast/sip/stack"
)

// Urgent reports whether a request must be served although a limit of the stack is reached: it begins an emergency call or
// a callback to one, or is part of one.
func (a *Agent) Urgent(c *stack.Conn, req *sip.Request) bool {
	if tag, _ := req.To().Params.Get("tag"); tag != "" {
		l := a.find(req.CallID().Value(), tag)
		return l != nil && l.call.emergency && l.owns(c, req)
	}
	if req.Method != sip.INVITE && req.Method != sip.CANCEL && req.Method != sip.ACK {
		return false
	}
	st, target := a.o.Site(), wanted(req)
	if c.Side() == stack.Access {
		_, _, help := route.Recognise(st, target)
		return help
	}
	return route.CallsBack(st, a.view(), target, psapCallback(req))
}

// send starts a transaction of the call; an emergency call's has a place beyond the stack's limit.
func (c *Call) send(conn *stack.Conn, req *sip.Request, on func(*sip.Response, error)) (*stack.ClientTx, error) {
	if c.emergency {
		return conn.SendUrgent(req, on)
	}
	return conn.Send(req, on)
}

// keepFlow keeps the connection of a phone that has not authenticated for the call, and for a callback after it.
func (c *Call) keepFlow() {
	if conn := c.caller.conn; c.forHelp && conn != nil && conn.Side() == stack.Access && !conn.Authenticated() {
		conn.KeepFor(elin.Window)
	}
}
