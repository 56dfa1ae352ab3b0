package b2bua

import (
	"net/netip"
	"time"

	"holdfast/sip/elin"
	"holdfast/sip/route"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// What is different about an emergency call: how it goes through the trunks (failover.go), that its caller's phone
// cannot put it aside, and that it does not end because one side is not heard of (alive.go).

// dialsEmergency reports whether the call's present target is the emergency service (not the security desk after it).
func (c *Call) dialsEmergency() bool { return c.decision.Kind == route.Emergency }

// failsOver reports whether the trunks are tried by the rules of failover.go: towards the emergency service, and towards a
// security desk outside, which counts as much.
func (c *Call) failsOver() bool { return c.dialsEmergency() || c.decision.Callback }

// preempts reports whether the call may end ordinary ones: a test call never does.
func (c *Call) preempts() bool { return c.emergency && !c.decision.Test && !c.modest }

// claims is how many emergency calls of one caller at a time may use the reserve and end ordinary calls: more than one,
// since a phone may try again before its first call is seen to have ended, and a user may have several phones; few,
// since one stuck or hostile phone must not take what the next caller in need lives on. The others are served if there
// is room.
const claims = 3

// claimant names a caller for that: the user, and of a phone of nobody the address.
func claimant(from route.Origin, source netip.Addr) string {
	if from.User != nil {
		return "user " + from.User.ID
	}
	return source.String()
}

// claimed reports whether a caller has all the emergency calls with a claim that it may have. a.mu is held.
func (a *Agent) claimed(from string) bool {
	n := 0
	for _, c := range a.calls {
		if c.helpFrom == from && !c.modest {
			n++
		}
	}
	return n >= claims
}

// passOn leaves a trunk, or a phone that is called back, whose answer cannot be used, such as a 2xx without SDP, for the
// next one.
func (c *Call) passOn(l *leg) {
	if l.trunk != nil {
		c.trunkFailed(l, 488, nil)
	}
	c.callee = nil
	l.bye()
	c.dropBranch(l)
	c.feed(inPassOn, nil, nil)
	c.worst(488)
	c.tryTrunk()
}

// locked reports whether the leg's party may not change the call: the phone of an emergency caller cannot hold it, hand
// it on or join it with another (RFC 6881 ED-66…ED-72), only end it.
func (c *Call) locked(l *leg) bool { return c.emergency && l == c.caller && l.trunk == nil }

// callsForHelp reports whether the phone on the connection is in an emergency call: nothing else may ring it (RFC 6881
// ED-70).
//
// u is whom it would be rung for, nil if nobody: a gateway without TLS has many phones behind one address, and only the one
// that calls is in its call.
func (a *Agent) callsForHelp(conn *stack.Conn, u *site.User) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.calls {
		if f := c.helpFlow.Load(); f == 0 || f != conn.Flow() {
			continue
		}
		if conn.Over() == stack.TLS || u == nil || c.origin.User == nil || c.origin.User.ID == u.ID {
			return true
		}
	}
	return false
}

// pinned says who called for help under a number.
func (a *Agent) pinned(number string) elin.Callback { return a.o.ELINs.Callback(time.Now(), number) }
