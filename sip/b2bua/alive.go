package b2bua

import (
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/elin"
	"holdfast/sip/stack"
)

// An emergency call, or a callback to one, ends when a party hangs up, or when nothing is heard of either party's
// signalling any more: whoever called for help may be hidden, hurt, or on a phone that has lost its connection, and the
// PSAP decides what to make of that.

// aliveEvery is how often the party that is left is asked whether it is still there.
const aliveEvery = time.Minute

// lost takes that a party's signalling is dead: an ordinary call ends. An emergency call goes on with the other one, as
// long as that can be heard of. A party that says itself that it knows no such call (481) has hung up.
func (c *Call) lost(l *leg, cause string, res *sip.Response) {
	gone := res != nil && res.StatusCode == 481
	if c.emergency && !gone && !c.ended && (c.state == Up || c.state == Answered) {
		if !l.dead {
			l.dead = true
			c.adrift.Store(c.adrift.Load() || l == c.caller)
			c.log.Warn("nothing is heard of a party of an emergency call: the call goes on", "leg", l.name, "aor", l.aor(), "cause", cause)
			c.note(EmergencyEvent{Kind: AlarmRaised, Text: l.aor() + " cannot be reached in the call (" + cause + "); it goes on until the other party ends it"})
		}
		if far := c.other(l); far != nil && !far.dead {
			c.watch(far)
			return
		}
	}
	c.endsBy(cause, l.name)
	c.feed(inDead, nil, nil)
}

// watch asks the party that is left, again and again.
func (c *Call) watch(l *leg) {
	l.watch.stop()
	l.watch = c.after(aliveEvery, func() {
		conn := l.connection()
		if conn == nil {
			c.lost(l, causeDead, nil)
			return
		}
		l.request(l.dlg.request(sip.OPTIONS, conn), func(res *sip.Response, err error) {
			switch {
			case c.ended || l.over:
			case err != nil || res.StatusCode == 408 || res.StatusCode == 481:
				c.lost(l, causeDead, res)
			default:
				c.watch(l)
			}
		})
	})
}

// heardOf notes that a party is there after all.
func (c *Call) heardOf(l *leg) {
	if l.dead {
		l.dead = false
		if l == c.caller {
			c.adrift.Store(false)
		}
		c.log.Info("a party of an emergency call is heard of again", "leg", l.name, "aor", l.aor())
		if far := c.other(l); far != nil {
			far.watch.stop()
		}
	}
}

// callerLost takes that the caller's connection fell before the answer. Its INVITE is dead with it; an emergency call
// goes on all the same: the PSAP sees who called from where, and can call back.
func (c *Call) callerLost() {
	if !c.emergency {
		c.endsBy(causeLost, "caller")
		c.feed(inCallerLost, nil, nil)
		return
	}
	if c.caller.dead || c.caller.answered {
		return
	}
	c.caller.dead = true
	c.log.Warn("the phone of an emergency caller has lost its connection: the call goes on")
	c.note(EmergencyEvent{Kind: AlarmRaised, Text: "the caller's phone has lost its connection; the call goes on"})
	c.adrift.Store(true)
}

// supersede ends an earlier emergency call of the same phone that has lost its caller: there are never two live legs at
// the PSAP for one. A test ends tests only.
func (c *Call) supersede(me elin.Caller) {
	a := c.agent
	a.mu.Lock()
	var old []*Call
	for _, o := range a.calls {
		if o == c || !o.adrift.Load() {
			continue
		}
		if w := o.caredFor.Load(); w != nil && w.SamePhone(me) && (w.Test || !me.Test) {
			old = append(old, o)
		}
	}
	a.mu.Unlock()
	for _, o := range old {
		o.log.Info("the caller has called again: the call that lost its phone ends")
		go o.post(gotStop{causeAgain})
	}
}

// strangersConn is the new connection of a phone in an emergency call that nobody knows: the one from its address that came
// after the phone's last, and that nobody has claimed. nil if there is none, or if it could be one of several: another phone
// would say that it knows no such call, which would end it.
func (l *leg) strangersConn() *stack.Conn {
	if !l.call.emergency || l.side != stack.Access {
		return nil
	}
	var back *stack.Conn
	for _, c := range l.call.agent.o.Stack.Conns() {
		if c.Side() != stack.Access || c.Remote().Addr() != l.source || c.Flow() <= l.flow.Load() || c.Authenticated() || c.Closed() || l.call.agent.callsForHelp(c, nil) {
			continue
		}
		if back != nil {
			return nil
		}
		back = c
	}
	return back
}
