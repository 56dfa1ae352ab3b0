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
	gotCancel     struct{}
	gotCallerLost struct{}
	gotStop       struct{ cause string }
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

// post hands an input to the call; it is dropped when the call has ended.
func (c *Call) post(in any) {
	select {
	case c.inbox <- in:
		select {
		case <-c.done: // it came too late, and perhaps nobody looks any more
			c.leave()
		default:
		}
	case <-c.done:
		bury(in)
	}
}

// leave answers what came when the call had just ended: a request left without an answer would hold its transaction, and
// the phone would wait for it. It is called after done is closed, from any goroutine.
func (c *Call) leave() {
	for {
		select {
		case in := <-c.inbox:
			bury(in)
		default:
			return
		}
	}
}

// bury answers a request to a call that is over.
func bury(in any) {
	if r, ok := in.(gotRequest); ok {
		r.tx.Reply(481, "Call/Transaction Does Not Exist")
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
