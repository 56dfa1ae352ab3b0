package b2bua

import (
	"net/netip"
	"time"

	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// takeTrunk counts a call on the trunk; false when it is full.
func (a *Agent) takeTrunk(t *site.Trunk) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.MaxCalls > 0 && a.busy[t.ID] >= t.MaxCalls {
		return false
	}
	a.busy[t.ID]++
	return true
}

func (a *Agent) leaveTrunk(t *site.Trunk) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy[t.ID]--; a.busy[t.ID] <= 0 {
		delete(a.busy, t.ID)
	}
}

// placed notes on which trunk the call's parties have a place.
func (c *Call) placed() {
	c.onTrunk.Store(nil)
	for _, l := range []*leg{c.caller, c.callee} {
		if l != nil && l.counted {
			c.onTrunk.Store(&l.trunk.ID)
		}
	}
}

// Info is a running call as status shows it.
type Info struct {
	ID, State, From, To string
	Dialled             string // as it came
	Codec               string
	Began, Answered     time.Time // Answered is zero before the answer
	Emergency           bool
}

// Calls lists the running calls. One that has ended is not among them, though the agent may still wait for what its
// peers owe it, for 64*T1 or so.
func (a *Agent) Calls() []Info {
	a.mu.Lock()
	calls := make([]*Call, 0, len(a.calls))
	for _, c := range a.calls {
		calls = append(calls, c)
	}
	a.mu.Unlock()
	out := make([]Info, 0, len(calls))
	for _, c := range calls {
		if i := c.info.Load(); i != nil && i.State != Over.String() {
			out = append(out, *i)
		}
	}
	return out
}

// Count is the number of running calls.
func (a *Agent) Count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls)
}

// HelpSources are the addresses of the phones that are in an emergency call or a callback to one.
func (a *Agent) HelpSources() (out []netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.legs {
		if l.side == stack.Access && l.call.emergency {
			out = append(out, l.source)
		}
	}
	return out
}

// HelpOn reports whether an emergency call or a callback to one runs on the trunk, or is about to.
func (a *Agent) HelpOn(trunk string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.legs {
		if l.trunk != nil && l.trunk.ID == trunk && l.call.emergency {
			return true
		}
	}
	for _, c := range a.calls {
		if on := c.onTrunk.Load(); c.emergency && on != nil && *on == trunk && !c.isGone() {
			return true
		}
	}
	return false
}

// Busy reports whether a call runs on the connection.
func (a *Agent) Busy(c *stack.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.legs {
		if l.flow.Load() == c.Flow() {
			return true
		}
	}
	return false
}
