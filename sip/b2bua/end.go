package b2bua

import (
	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// refusal is a final status for the caller.
type refusal struct {
	status int
	reason string
	theirs bool // it came from the callee's side
}

// forCaller is what the caller is told of it.
func (r refusal) forCaller() refusal {
	if s := shown(r.status); r.theirs && s != r.status {
		return refusal{status: s, reason: reason(s)}
	}
	return r
}

// refuse answers the caller's INVITE with the refusal.
func (c *Call) refuse() {
	if c.caller.answered {
		return
	}
	r := c.refusal
	if r.status < 300 {
		r = refusal{status: 500, reason: "Server Internal Error"}
	}
	r = r.forCaller()
	// Never with Retry-After: a phone that obeys it would hold back the next call, and that may be for help.
	var headers []sip.Header
	if r.status == 415 {
		headers = append(headers, sip.NewHeader("Accept", "application/sdp"))
	}
	c.agent.totals.Refused.Add(1)
	res := c.callerResponse(r.status, r.reason)
	for _, h := range headers {
		res.AppendHeader(h)
	}
	c.respond(res)
}

// callerResponse builds a response to the caller's INVITE with the dialog's tag.
func (c *Call) callerResponse(status int, reason string) *sip.Response {
	res := stack.NewResponse(c.invite.Request(), status, reason, c.caller.dlg.local.tag)
	if status > 100 && status < 300 { // RFC 3261 §12.1.1: the caller needs it for its route set
		sip.CopyHeaders("Record-Route", c.invite.Request(), res)
	}
	return res
}

// end releases everything that the call holds, whatever state it was in. It is the only place that does, and does it
// once.
func (c *Call) end() {
	if c.ended {
		return
	}
	c.ended = true
	c.agent.mu.Lock()
	c.agent.unmerge(c)
	c.agent.mu.Unlock()
	c.ringing.stop()
	c.waiting.stop()
	c.reliable.timer.stop()
	c.stopWaiting()
	c.straightened()
	c.settleDebts()
	c.cancelBranches(nil, nil)
	if c.moving != nil {
		c.refusal = refusal{status: 487, reason: "Request Terminated"}
		c.notifyEnd(c.moving, c.refusal)
		c.unpark()
	}
	for _, l := range c.legs {
		c.dismiss(l)
	}
	close(c.gone)
	c.spare(c.helpEnds)
	c.spare(c.report)
	if c.media != nil {
		c.media.Close()
	}
	// What still may come (the 487s, a late 2xx, the word of a call that a fault has ended) is waited for, not for ever.
	c.awaits = c.after(2*c.agent.o.Stack.Timers().B, func() {
		for _, l := range c.branches {
			l.pending = false
		}
		c.asking = 0
	})
}

// dismiss ends one leg and gives back what it holds. It is idempotent.
func (c *Call) dismiss(l *leg) {
	for _, t := range []*timer{l.resend, l.silent, l.patience, l.progress, l.session.timer, l.watch} {
		t.stop()
	}
	if l.uas != nil && !l.answered {
		l.uas.Reply(480, "Temporarily Unavailable")
	}
	l.bye()
	if l.media != nil && !l.closed {
		if l.peer != nil {
			l.stats = l.media.Stats()
		}
		l.closed = true
		l.media.Close()
	}
	l.wipe()
	c.agent.dropLeg(l)
	c.forget(l)
	if l.counted {
		l.counted = false
		c.agent.leaveTrunk(l.trunk)
	}
}
