package b2bua

import "runtime/debug"

// contain keeps a fault in one call to that call: all others run in this process. It is deferred by run.
func (c *Call) contain() {
	p := recover()
	if p == nil {
		return
	}
	c.agent.totals.Faults.Add(1)
	c.log.Error("a fault ended the call", "panic", p, "stack", string(debug.Stack()))
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("a fault in the fault's clearing up", "panic", p)
		}
	}()
	c.state = Over
	c.refusal = refusal{500, "Server Internal Error"}
	c.endsBy(causeFault, "box")
	c.refuse()
	c.end()
}
