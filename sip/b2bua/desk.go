package b2bua

import (
	"holdfast/sip/route"
)

// spareDesk notes whether the call now goes to the security desk: then no emergency call takes its place. Of one user's
// only so many, as with claims: a phone must not hold a trunk by calling the desk.
func (c *Call) spareDesk() {
	d := c.decision
	if c.emergency || d.Kind != route.ToUser && d.Kind != route.ToTrunk {
		c.toDesk.Store(false)
		return
	}
	c.toDesk.Store(route.AtDesk(c.site, d.User, d.Number) && !c.agent.desksSpared(c))
}

// desksSpared reports whether the caller's user has all the calls to the desk that are spared.
func (a *Agent) desksSpared(me *Call) bool {
	if me.origin.User == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, c := range a.calls {
		if c != me && c.toDesk.Load() && c.origin.User != nil && c.origin.User.ID == me.origin.User.ID {
			n++
		}
	}
	return n >= claims
}
