package b2bua

import (
	"holdfast/sip/route"
	"holdfast/sip/site"
)

// Calls to the security desk are spared: no emergency call takes their place. But where nothing else can make room on a trunk, a
// call for help comes before them.

// spareDesk notes whether the call now goes to the security desk and is spared. Of one caller's only so many are, as with
// claims: nobody must hold a trunk by calling the desk.
func (c *Call) spareDesk() {
	d := c.decision
	if c.emergency || d.Kind != route.ToUser && d.Kind != route.ToTrunk {
		c.toDesk.Store(false)
		return
	}
	c.toDesk.Store(route.AtDesk(c.site, d.User, d.Number) && !c.agent.desksSpared(c))
}

// desksSpared reports whether who calls has all the calls to the desk that are spared.
func (a *Agent) desksSpared(me *Call) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, c := range a.calls {
		if c != me && c.toDesk.Load() && sameCaller(c.origin, me.origin) {
			n++
		}
	}
	return n >= claims
}

// sameCaller reports whether two calls are one user's, or one device's, or come by one trunk: whoever calls from outside may
// give himself any number.
func sameCaller(a, b route.Origin) bool {
	switch {
	case a.User != nil && b.User != nil:
		return a.User.ID == b.User.ID
	case a.Trunk != nil && b.Trunk != nil:
		return a.Trunk.ID == b.Trunk.ID
	case a.Device != nil && b.Device != nil && a.User == nil && b.User == nil:
		return a.Device.ID == b.Device.ID
	}
	return a == b
}

// deskOn reports whether the trunk carries a call that is spared.
func (a *Agent) deskOn(t *site.Trunk) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.youngest(t, true) != nil
}
