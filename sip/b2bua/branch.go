package b2bua

import (
	"errors"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/route"
	"holdfast/sip/stack"
)

// response handles what a branch's INVITE got.
func (c *Call) response(in gotResponse) {
	l, res := in.leg, in.res
	c.heardFromTrunk(l, res)
	switch {
	case in.err != nil:
		l.pending = false
		status := 408
		if errors.Is(in.err, stack.ErrConnClosed) {
			status = 480
			c.connectionFell(l)
		}
		c.branchFailed(l, status, nil)
	case res.StatusCode < 200:
		c.provisional(l, res)
	case res.StatusCode < 300:
		c.success(l, res)
	case res.StatusCode == 422 && !l.cancelled && c.longerTimer(l, res):
	case res.StatusCode < 400 && !l.cancelled && c.state.dials() && l.user != nil && c.redirect(l, res):
	default:
		l.pending = false
		c.branchFailed(l, res.StatusCode, res)
	}
}

func (c *Call) provisional(l *leg, res *sip.Response) {
	if res.StatusCode == 100 || l.answered {
		return
	}
	if to := res.To(); to != nil {
		tag, _ := to.Params.Get("tag")
		l.early1xx = tag
		c.saveEarly(l, l.branch, tag)
	}
	if !c.acknowledge(l, res) || l.cancelled {
		return
	}
	if len(res.Body()) > 0 && len(c.trying()) == 1 {
		c.feed(inEarly, l, res)
		return
	}
	c.feed(inRinging, l, res)
}

// success takes a 2xx: the first of the branch may win the call; a repeated one is acknowledged again; one of another
// dialog (an SBC that forks) is ended.
func (c *Call) success(l *leg, res *sip.Response) {
	tag, _ := res.To().Params.Get("tag")
	switch {
	case !l.answered:
		waited := l.pending && !l.cancelled
		l.answered, l.pending = true, false
		l.dlg.accepted(res)
		l.peerTag.Store(l.dlg.remote.tag)
		l.learn(res)
		c.keepTimer(l, res)
		if !waited { // it crossed the CANCEL, or has refused before
			c.hangUp(l, res)
			return
		}
		if c.moving != nil && !c.usable(l, res) {
			c.hangUp(l, res)
			c.dismiss(l)
			c.branchFailed(l, 488, nil)
			return
		}
		c.feed(inAnswer, l, res)
	case tag != l.dlg.remote.tag:
		if conn := l.connection(); conn != nil {
			c.agent.hangUpLate(conn, res)
		}
	case l.acked:
		l.ack(res.CSeq().SeqNo, nil)
	}
}

// isAnswer reports whether a transaction's news is a 2xx.
func isAnswer(res *sip.Response, err error) bool { return err == nil && res.StatusCode/100 == 2 }

// hangUp ends a branch that answered although nobody waits for it any more: a late 2xx after CANCEL.
func (c *Call) hangUp(l *leg, res *sip.Response) {
	if res == nil { // it was a pickup that came too late
		c.dismiss(l)
		return
	}
	l.ack(res.CSeq().SeqNo, nil)
	l.bye()
}

// failover are a trunk's answers that send the call to the next trunk.
func failover(status int) bool {
	return status == 408 || status == 480 || status == 502 || status == 503 || status == 504
}

func (c *Call) branchFailed(l *leg, status int, res *sip.Response) {
	l.status = status
	c.forget(l)
	wasCancelled := l.cancelled
	c.dropBranch(l)
	if !c.state.dials() || wasCancelled {
		return
	}
	c.log.Info("branch failed", "leg", l.name, "aor", l.aor(), "status", status)
	if l.trunk != nil {
		c.trunkFailed(l, status, res)
		if (c.failsOver() || failover(status)) && len(c.trunks) > 0 {
			c.worst(status)
			c.tryTrunk()
			return
		}
	}
	c.worst(status)
	// RFC 3261 §16.7 step 5: the user has declined everywhere. Whom a callback rings together are several, and one who presses
	// a key does not speak for who called for help.
	if status >= 600 && !c.emergency {
		c.cancelBranches(nil, nil)
	}
	if len(c.trying()) > 0 {
		c.feed(inFailed, l, nil)
		return
	}
	c.feed(inExhausted, l, nil)
}

// worst keeps the best refusal among the branches (RFC 3261 §16.7 step 6): a 6xx before all, then what says most.
func (c *Call) worst(status int) {
	if weight(status) > weight(c.refusal.status) || c.refusal.status == 0 {
		c.refusal = refusal{status, reason(status), true}
	}
}

// shown is what a caller is told of a callee's status: what means something to a phone. A challenge, an extension or a
// server's trouble on the other side means nothing, or the wrong thing: a phone would ask for a password, or leave.
func shown(status int) int {
	switch status {
	case 403, 404, 410, 480, 484, 486, 488, 600, 603, 604, 606:
		return status
	case 406, 415:
		return 488
	case 408, 487:
		return 480
	}
	if status >= 300 && status < 400 {
		return 480
	}
	return 500
}

func weight(status int) int {
	switch {
	case status >= 600:
		return 6
	case status == 486:
		return 5
	case status == 480 || status == 408 || status == 487:
		return 1
	case status >= 500:
		return 2
	case status >= 300 && status < 400:
		return 0
	}
	return 4
}

// outcome tells the router how the target ended; false if it would end so anywhere.
func (c *Call) outcome() (route.Outcome, bool) {
	if c.timedOut {
		c.timedOut = false
		return route.NoAnswer, true
	}
	switch s := c.refusal.status; s {
	case 486, 600:
		return route.Busy, true
	case 603:
		return route.Declined, true
	case 400, 405, 406, 413, 415, 416, 420, 482, 483, 488, 606:
		return 0, c.emergency // an emergency call is never given up before its last resort
	}
	return route.Unreachable, true
}
