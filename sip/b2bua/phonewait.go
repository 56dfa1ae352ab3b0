package b2bua

import (
	"slices"
	"time"

	"holdfast/sip/registrar"
	"holdfast/sip/site"
)

// After a restart of the program the registrations are there, the phones' connections are not: they come back within
// seconds. A call to such a phone waits a little.

// restoredFor is how long after its start the agent believes that a phone without a connection will come back.
const restoredFor = 10 * time.Minute

// restored reports whether a binding is of the program's last life, and its phone has not been heard of since.
func (a *Agent) restored(b registrar.Binding) bool {
	return b.Flow == 0 && b.Registered.Before(a.began) && time.Since(a.began) < restoredFor
}

// waitForPhone makes the call wait for one of the user's phones; false if none is expected.
func (c *Call) waitForPhone(u *site.User) bool {
	a := c.agent
	if !slices.ContainsFunc(a.o.Bindings(u.ID), a.restored) {
		return false
	}
	c.stopWaiting()
	a.mu.Lock()
	a.waits[u.ID] = append(a.waits[u.ID], c)
	a.mu.Unlock()
	c.waitsFor = u.ID
	c.log.Info("waits for a phone to come back", "aor", u.ID)
	c.waiting = c.after(a.o.PhoneWait, func() {
		c.stopWaiting()
		c.feed(inExhausted, nil, nil)
	})
	c.phoneBack(u.ID) // it may just have come
	return true
}

// phoneBack rings a phone that the call has waited for.
func (c *Call) phoneBack(userID string) {
	if c.waitsFor != userID || c.decision.User == nil || !c.state.dials() {
		return
	}
	c.ringPhones(c.decision.User, c.decision.CallerID, nil)
	if len(c.trying()) > 0 {
		c.stopWaiting()
		c.ringing = c.after(c.decision.RingFor, c.ringTime)
	}
}

func (c *Call) stopWaiting() {
	c.waiting.stop()
	if c.waitsFor == "" {
		return
	}
	a := c.agent
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waits[c.waitsFor] = slices.DeleteFunc(a.waits[c.waitsFor], func(o *Call) bool { return o == c })
	if len(a.waits[c.waitsFor]) == 0 {
		delete(a.waits, c.waitsFor)
	}
	c.waitsFor = ""
}

// PhoneBack is to be called when a phone of the user has registered: calls that wait for it ring, and calls of the
// program's last life that it still believes in are ended.
func (a *Agent) PhoneBack(userID string) {
	a.mu.Lock()
	calls := slices.Clone(a.waits[userID])
	lost := a.lost[userID]
	a.mu.Unlock()
	for _, c := range calls {
		go c.post(gotPhone{userID}) // a call that is busy holds up no REGISTER
	}
	if len(lost) > 0 {
		a.endLost(userID)
	}
}
