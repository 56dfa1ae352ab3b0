package b2bua

import (
	"math/rand/v2"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// What the box's own re-INVITEs have in common: there is one at a time, a 2xx is acknowledged, a 491 is waited out.

// glareTries bounds how often the box repeats a re-INVITE of its own after a 491.
const glareTries = 4

// reinvite sends an offer in the leg's dialog, up to tries times; then runs with the final response, which is
// acknowledged.
func (c *Call) reinvite(l *leg, body []byte, tries int, then func(*sip.Response, error)) {
	conn := l.connection()
	if conn == nil {
		then(nil, stack.ErrConnClosed)
		return
	}
	req := l.dlg.request(sip.INVITE, conn)
	c.keepsTimer(l, req)
	setSDP(req, body)
	over := false
	// A phone that only says 180 to a re-INVITE must not hold the call's other business for ever.
	limit := c.after(c.agent.o.Stack.Timers().B, func() {
		over = true
		then(nil, stack.ErrTimeout)
	})
	l.request(req, func(res *sip.Response, err error) {
		limit.stop()
		if err == nil && res.StatusCode < 300 {
			l.ack(res.CSeq().SeqNo, nil)
			l.dlg.retarget(res.Contact())
			l.learn(res)
			c.keepTimer(l, res)
			c.save(l)
			l.misled = l.foreign // until the answer is taken
		}
		if over {
			return
		}
		if err == nil && res.StatusCode == 491 && tries > 1 && !l.over && c.state != Over {
			c.after(l.glareWait(), func() {
				if l.over || c.state == Over {
					then(nil, stack.ErrConnClosed)
					return
				}
				c.reinvite(l, body, tries-1, then)
			})
			return
		}
		then(res, err)
	})
}

// glareWait is how long to wait after a 491 (RFC 3261 §14.1): the two sides' ranges do not meet.
func (l *leg) glareWait() time.Duration {
	if l.own {
		return 2100*time.Millisecond + time.Duration(rand.IntN(191))*10*time.Millisecond
	}
	return time.Duration(rand.IntN(201)) * 10 * time.Millisecond
}

// exclusive runs do when no other change is under way.
func (c *Call) exclusive(do func()) {
	if c.changing {
		c.queued = append(c.queued, do)
		return
	}
	do()
}

// free ends a change; what has waited runs, until one begins another.
func (c *Call) free() {
	c.changing = false
	for len(c.queued) > 0 && !c.changing {
		do := c.queued[0]
		c.queued = c.queued[1:]
		do()
	}
}
