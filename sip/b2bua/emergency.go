package b2bua

import (
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/elin"
	"holdfast/sip/route"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// What is different about an emergency call on the trunks: it is given to the next one sooner and for any refusal, it
// takes the place of the youngest ordinary call where a trunk is full, and its caller's phone cannot put it aside.

// dialsEmergency reports whether the call's present target is the emergency service (not the security desk after it).
func (c *Call) dialsEmergency() bool { return c.decision.Kind == route.Emergency }

// preempts reports whether the call may end ordinary ones: a test call never does.
func (c *Call) preempts() bool { return c.emergency && !c.decision.Test }

// trunkPatience is how long a trunk may be without any response.
func (c *Call) trunkPatience() time.Duration {
	if c.dialsEmergency() {
		return c.agent.o.EmergencyPatience
	}
	return c.agent.o.TrunkPatience
}

// heardFromTrunk follows a trunk's responses with the clocks of failover.
func (c *Call) heardFromTrunk(l *leg, res *sip.Response) {
	if l.trunk == nil {
		return
	}
	first := l.patience != nil && !l.patience.over
	l.patience.stop()
	if res == nil || res.StatusCode >= 180 {
		l.progress.stop()
		return
	}
	if first && c.dialsEmergency() && !l.cancelled {
		l.progress = c.after(c.agent.o.EmergencyProgress, func() { c.giveUp(l, "nothing but 100") })
	}
}

// passOn leaves a trunk whose answer cannot be used, such as a 2xx without SDP, for the next one.
func (c *Call) passOn(l *leg) {
	c.trunkFailed(l, 488)
	c.callee = nil
	l.bye()
	c.dropBranch(l)
	c.feed(inPassOn, nil, nil)
	c.worst(488)
	c.tryTrunk()
}

// takeTrunk takes a place on the trunk. For an emergency call there always is one: where the trunk is full, the youngest
// ordinary call on it ends.
func (c *Call) takeTrunk(t *site.Trunk) bool {
	if c.agent.takeTrunk(t) {
		return true
	}
	if !c.preempts() {
		return false
	}
	c.agent.preempt(t)
	c.agent.forceTrunk(t)
	return true
}

// trunkFailed notes a trunk's failure. A trunk that is full in its own opinion is tried once more, last, with the place
// that the youngest ordinary call on it makes.
func (c *Call) trunkFailed(l *leg, status int) {
	if c.dialsEmergency() {
		c.note(EmergencyEvent{Kind: TrunkFailed, Trunk: l.trunk.ID, Status: status})
	}
	if !c.dialsEmergency() || !c.preempts() || status != 503 && status != 486 || c.retried[l.trunk.ID] {
		return
	}
	if !c.agent.preempt(l.trunk) {
		return
	}
	if c.retried == nil {
		c.retried = make(map[string]bool)
	}
	c.retried[l.trunk.ID] = true
	c.trunks = append(c.trunks, l.trunk)
}

// preempt ends the youngest ordinary call on the trunk; false if there is none.
func (a *Agent) preempt(t *site.Trunk) bool {
	a.mu.Lock()
	var youngest *Call
	for _, c := range a.calls {
		if c.emergency || c.onTrunk.Load() == nil || *c.onTrunk.Load() != t.ID || c.preempted.Load() {
			continue
		}
		if youngest == nil || c.began.After(youngest.began) {
			youngest = c
		}
	}
	a.mu.Unlock()
	if youngest == nil || !youngest.preempted.CompareAndSwap(false, true) {
		return false
	}
	youngest.log.Warn("ended to make room for an emergency call", "trunk", t.ID)
	go youngest.post(gotStop{causePreempted})
	return true
}

// forceTrunk counts a call on the trunk beyond its limit.
func (a *Agent) forceTrunk(t *site.Trunk) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy[t.ID]++
}

// locked reports whether the leg's party may not change the call: the phone of an emergency caller cannot hold it, hand
// it on or join it with another (RFC 6881 ED-66…ED-72), only end it.
func (c *Call) locked(l *leg) bool { return c.emergency && l == c.caller && l.trunk == nil }

// callsForHelp reports whether the phone on the connection is in an emergency call: nothing else may ring it (RFC 6881
// ED-70).
func (a *Agent) callsForHelp(conn *stack.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.calls {
		if f := c.helpFlow.Load(); f != 0 && f == conn.Flow() {
			return true
		}
	}
	return false
}

// pinned says who called for help under a number.
func (a *Agent) pinned(number string) elin.Callback { return a.o.ELINs.Callback(time.Now(), number) }
