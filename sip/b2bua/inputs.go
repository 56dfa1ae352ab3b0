package b2bua

import (
	"slices"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// What arrives in a call's inbox.
type (
	// gotResponse is a response to, or the failure of, the INVITE that made the branch.
	gotResponse struct {
		leg *leg
		res *sip.Response
		err error
	}
	// gotConn is the connection to a trunk, or why there is none.
	gotConn struct {
		leg  *leg
		conn *stack.Conn
		err  error
	}
	// gotRequest is a request within one of the dialogs.
	gotRequest struct {
		leg *leg
		tx  *stack.ServerTx
	}
	// gotAck is the ACK of a 2xx that the box sent.
	gotAck struct {
		leg *leg
		req *sip.Request
	}
	// gotReply ends a request that the box sent within a dialog: re-INVITE, OPTIONS.
	gotReply struct {
		leg *leg
		res *sip.Response
		err error
		do  func(*sip.Response, error)
	}
	// gotStray is a 2xx to the leg's INVITE that came outside of its transaction.
	gotStray struct {
		leg  *leg
		conn *stack.Conn
		res  *sip.Response
	}
	// gotCopy is the caller's INVITE again, by another way. taken tells whether it has become the call's.
	gotCopy struct {
		tx    *stack.ServerTx
		taken chan<- bool
	}
	// gotCancel: the caller has hung up, by a way that its INVITE came, or on another connection.
	gotCancel struct {
		way *stack.ServerTx
		on  *stack.Conn
	}
	gotCallerLost struct{}
	gotStop       struct{ cause string }
	// gotTake is an INVITE that wants to take part in this call: a pickup, a fetch from a parking place, Replaces.
	gotTake struct{ take }
	// gotAsk asks the call for the party that a dialog of it connects to, for an attended transfer. It is always
	// answered by gotLeg.
	gotAsk struct{ ask }
	gotLeg struct{ reply }
	// gotPhone: a phone of the user that a call waits for is back.
	gotPhone struct{ userID string }
	// gotTimer is a timer that ran out; a timer that was replaced meanwhile is ignored.
	gotTimer struct{ t *timer }
)

// timer posts to its call's inbox; stopping it from the call's goroutine is final.
type timer struct {
	t    *time.Timer
	over bool
	do   func()
}

// after runs do on the call's goroutine after d, unless stopped.
func (c *Call) after(d time.Duration, do func()) *timer {
	t := &timer{do: do}
	t.t = time.AfterFunc(d, func() { c.post(gotTimer{t}) })
	return t
}

// stop is safe on nil.
func (t *timer) stop() {
	if t != nil {
		t.over = true
		t.t.Stop()
	}
}

// post hands an input to the call; false when the call has ended, and then the input never comes in.
func (c *Call) post(in any) bool {
	c.posting.RLock()
	defer c.posting.RUnlock()
	select {
	case <-c.done:
		return false
	default:
	}
	select {
	case c.inbox <- in:
		return true
	case <-c.done:
		return false
	}
}

// drain closes the inbox for good, and answers what lies in it and waits for an answer.
func (c *Call) drain() {
	close(c.done)
	for _, late := range c.drained() {
		c.agent.Stray(late.conn, late.res)
	}
}

// drained returns the 2xx that came too late for the call.
func (c *Call) drained() (late []gotStray) {
	c.posting.Lock() // who was posting has posted or given up
	defer c.posting.Unlock()
	for {
		select {
		case in := <-c.inbox:
			switch in := in.(type) {
			case gotRequest:
				if !in.leg.forward(in) {
					in.tx.Reply(481, "Call/Transaction Does Not Exist")
				}
			case gotTake:
				in.tx.Reply(481, "Call/Transaction Does Not Exist")
			case gotAsk:
				in.answer(reply{status: 481})
			case gotResponse:
				if isAnswer(in.res, in.err) {
					late = append(late, gotStray{in.leg, in.leg.conn, in.res})
				}
			case gotCopy:
				in.taken <- false
			case gotStray:
				late = append(late, in)
			case gotLeg:
				// Cannot be: a call waits for its replies before it ends.
			}
		default:
			return late
		}
	}
}

// owe remembers a request within a dialog until it is answered.
func (c *Call) owe(tx *stack.ServerTx) {
	c.owed = append(slices.DeleteFunc(c.owed, (*stack.ServerTx).Answered), tx)
}

// settleDebts answers what is still unanswered when the call ends (RFC 3261 §15.1.2: 487).
func (c *Call) settleDebts() {
	for _, tx := range c.owed {
		tx.Reply(487, "Request Terminated") // the first answer stands, if there was one
	}
	c.owed = nil
}
