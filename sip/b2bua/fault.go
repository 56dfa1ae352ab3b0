package b2bua

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"holdfast/sip/route"
	"holdfast/sip/stack"
)

// A fault of the program (a panic that nobody has thought of) costs one call, never the others. A call for help it costs
// as little as can be: what the call can do without is left out, an established one goes on, and where it does end there
// is a record, the notice rings, and the security desk is told.

// guard does one step of the call's life. A fault in it ends the call, unless people are talking in an emergency.
func (c *Call) guard(do func()) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		c.fault(p)
		if c.survives() {
			return
		}
		running := !c.ended
		c.endsBy(causeFault, "box")
		c.state, c.refusal = Over, refusal{status: 500, reason: "Server Internal Error"}
		defer func() {
			if p := recover(); p != nil {
				c.log.Error("fault at the end of a call", "fault", fmt.Sprint(p))
			}
		}()
		if c.decision.Kind == route.Emergency && !c.forHelp {
			c.spare(c.recognised) // whoever called for help is looked for, though the call failed
		}
		c.refuse()
		c.end()
		if c.emergency && running {
			c.note(EmergencyEvent{Kind: AlarmRaised, Text: "the call was cut off by a fault of the program"})
			c.tellCut()
		}
	}()
	do()
}

func (c *Call) fault(p any) {
	c.agent.totals.Faults.Add(1)
	c.log.Error("fault in a call", "fault", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// survives reports whether the call goes on after a fault: an emergency call, or a callback, that is up, once. Its sound
// needs nobody here; what was asked for when it happened gets its answer.
func (c *Call) survives() bool {
	if !c.emergency || c.state != Up && c.state != Answered || c.faulty || c.callee == nil || c.caller.over || c.callee.over {
		return false
	}
	c.faulty, c.changing = true, false
	for _, tx := range c.owed {
		tx.Reply(500, "Server Internal Error")
	}
	c.owed = nil
	c.spare(func() {
		c.note(EmergencyEvent{Kind: AlarmRaised, Text: "a fault of the program in the call: it goes on"})
	})
	return true
}

// spare does what an emergency call can do without; false if there was a fault in it. In any other call it just does it.
func (c *Call) spare(do func()) (ok bool) {
	if c.emergency {
		defer func() {
			if p := recover(); p != nil {
				c.fault(p)
				ok = false
			}
		}()
	}
	do()
	return true
}

// contained makes an error of a fault in a call that the box makes by itself: whoever wanted it tries again.
func (c *Call) contained(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.fault(p)
			err = fmt.Errorf("%s: %w", c.id, errFault)
		}
	}()
	return do()
}

var errFault = errors.New("a fault of the program")

// contain keeps a fault in the recognition of a request to that request. Somebody who dials for help is tried to be
// served as if nobody knew them: that needs the least.
func (a *Agent) contain(tx *stack.ServerTx, begun *bool) {
	p := recover()
	if p == nil {
		return
	}
	a.totals.Faults.Add(1)
	a.log.Error("fault in a new call", "fault", fmt.Sprint(p), "stack", string(debug.Stack()))
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("fault in a new call, again", "fault", fmt.Sprint(p))
		}
		tx.Reply(500, "Server Internal Error") // unless it has its answer
	}()
	if *begun || tx.Conn().Side() == stack.Trunk {
		return
	}
	st, q := a.o.Site(), route.Query{Scheme: "sip", Target: wanted(tx.Request())}
	if _, _, help := route.Recognise(st, q.Target); !help || !a.strangers.allow(originOf(tx, st), time.Now()) {
		return
	}
	if d := route.Decide(st, route.Policy{}, a.view(), q); d.Kind == route.Emergency {
		a.serve(tx, st, route.Origin{}, q, d)
	}
}
