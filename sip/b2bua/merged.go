package b2bua

import (
	"slices"
	"strconv"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/route"
	"holdfast/sip/stack"
)

// The same INVITE may come twice: the same Call-ID, From tag and CSeq under another branch (RFC 3261 §8.2.2.2). A proxy may
// have sent it by two ways, or a phone says on a new connection what it has said on one that is dead without anybody here
// having noticed. Which it is cannot be told, and a 482 would cost the second one its call to 911. So the copy is one more way
// to the same caller: there is one call, and all that the box says to the INVITE goes both ways in one dialog, where it counts
// once. A CANCEL by the newest way ends the call, by an older one that way alone; and the call has lost its caller when no way is left.

// maxCopies bounds a call's ways beside the first. Of a phone that connects again and again the newest count.
const maxCopies = 4

// mergeKey is what copies of an INVITE have in common. An SBC that forks to several users of the site means several calls.
func mergeKey(req *sip.Request, help bool) string {
	to := wanted(req)
	if help {
		to = ""
	}
	tag, _ := req.From().Params.Get("tag")
	return req.CallID().Value() + "\x00" + tag + "\x00" + strconv.FormatUint(uint64(req.CSeq().SeqNo), 10) + "\x00" + to
}

// original is the running call whose INVITE this is a copy of, from the same user or trunk, or from a stranger at the same
// address: nobody joins, and cancels, another's call. a.mu is held.
func (a *Agent) original(tx *stack.ServerTx, from route.Origin, help bool) *Call {
	c := a.invites[mergeKey(tx.Request(), help)]
	if c == nil {
		return nil
	}
	was, is := c.invite.Conn(), tx.Conn()
	switch {
	case was.Side() != is.Side() || c.origin.User != nil != (from.User != nil) || c.origin.Trunk != nil != (from.Trunk != nil):
		return nil
	case from.User != nil && from.User.ID != c.origin.User.ID, from.Trunk != nil && from.Trunk.ID != c.origin.Trunk.ID:
		return nil
	case is.Side() == stack.Access && was.Remote().Addr() != is.Remote().Addr(): // as for all that comes in a phone's dialog
		return nil
	}
	return c
}

// unmerge forgets a call's INVITE: a copy that comes now begins a call. a.mu is held.
func (a *Agent) unmerge(c *Call) {
	if c.merges != "" && a.invites[c.merges] == c {
		delete(a.invites, c.merges)
	}
}

// joins hands a copy to the call; false if that is over, and then the copy is its own call.
func (c *Call) joins(tx *stack.ServerTx) bool {
	taken := make(chan bool, 1)
	ok := c.post(gotCopy{tx, taken})
	if ok {
		select {
		case ok = <-taken:
		case <-c.done:
			select {
			case ok = <-taken:
			default:
				ok = false
			}
		}
	}
	if !ok {
		c.agent.mu.Lock()
		c.agent.unmerge(c)
		c.agent.mu.Unlock()
	}
	return ok
}

// copied takes a copy of the caller's INVITE, and says whether: not when the call is over.
func (c *Call) copied(in gotCopy) {
	ok := false
	defer func() { in.taken <- ok }() // even if there is a fault in it
	ok = c.takeCopy(in.tx)
}

func (c *Call) takeCopy(tx *stack.ServerTx) bool {
	waits := c.state == Dialling || c.state == Answered && (!c.caller.answered || c.caller.onAck != nil)
	switch {
	case c.ended || !waits && c.caller.dead: // a call for help that nothing is heard of any more: the next one ends it (supersede)
		return false
	case !waits:
		tx.Reply(482, "Merged Request") // it has been answered, and the answer has arrived
		return true
	}
	c.copies = slices.DeleteFunc(c.copies, func(t *stack.ServerTx) bool { return t.Conn().Closed() })
	if len(c.copies) == maxCopies {
		c.copies[0].Reply(482, "Merged Request")
		c.copies = c.copies[1:]
	}
	c.log.Info("the caller's INVITE has come again by another way", "ways", len(c.copies)+2)
	c.copies = append(c.copies, tx)
	c.goesBy(tx)
	c.spare(c.keepFlow)
	if c.told != nil {
		tx.Respond(retold(c.told, tx.Request()))
	}
	tx.OnCancel(func() { c.post(gotCancel{way: tx}) })
	tx.OnGone(func() { c.post(gotCallerLost{}) })
	return true
}

// goesBy makes a way the one that the caller is reached by.
func (c *Call) goesBy(tx *stack.ServerTx) {
	c.caller.use(tx.Conn())
	c.caller.dlg.retarget(tx.Request().Contact())
	if c.forHelp {
		c.helpFlow.Store(tx.Conn().Flow())
	}
	c.heardOf(c.caller)
}

// hasWay reports whether the caller can still be reached by one of several ways, and takes it.
func (c *Call) hasWay() bool {
	if len(c.copies) == 0 {
		return false
	}
	for _, tx := range slices.Backward(append([]*stack.ServerTx{c.invite}, c.copies...)) {
		if !tx.Conn().Closed() && (c.caller.answered || !tx.Answered()) {
			if tx.Conn() != c.caller.conn {
				c.goesBy(tx)
			}
			return true
		}
	}
	return false
}

// leaves takes that a way is cancelled while a newer one is open, and reports whether: then only that way ends. A proxy that has
// given one connection up for another cancels each branch by itself (RFC 3261 §9.1), and the two connections keep no order; a phone's
// CANCEL may have lain in a connection that was dead for a while.
func (c *Call) leaves(way *stack.ServerTx) bool {
	newer := c.copies
	if way != c.invite {
		newer = newer[slices.Index(newer, way)+1:]
	}
	open := func(tx *stack.ServerTx) bool { return !tx.Conn().Closed() }
	if way == nil || c.ended || c.caller.answered || !slices.ContainsFunc(newer, open) {
		return false
	}
	c.log.Info("one of the caller's ways is cancelled, and a newer one goes on")
	way.Respond(retold(c.callerResponse(487, "Request Terminated"), way.Request()))
	c.copies = slices.DeleteFunc(c.copies, func(tx *stack.ServerTx) bool { return tx == way })
	c.hasWay()
	return true
}

// respond answers the caller's INVITE, by every way that it came. The error is that of the last way.
func (c *Call) respond(res *sip.Response) error {
	if res.StatusCode > 100 {
		c.told = res
	}
	err := c.invite.Respond(res)
	for _, tx := range c.copies {
		err = tx.Respond(retold(res, tx.Request()))
	}
	return err
}

// again is a 2xx as the caller's way on the connection has it.
func (c *Call) again(l *leg, res *sip.Response, conn *stack.Conn) *sip.Response {
	if l == c.caller && c.told == res {
		for _, tx := range c.copies {
			if tx.Conn() == conn {
				return retold(res, tx.Request())
			}
		}
	}
	return res
}

// retold is a response to an INVITE as one to its copy: only the ways back differ.
func retold(res *sip.Response, req *sip.Request) *sip.Response {
	r := sip.NewResponse(res.StatusCode, res.Reason)
	sip.CopyHeaders("Via", req, r)
	for _, h := range res.Headers() {
		switch h.(type) {
		case *sip.ViaHeader, *sip.ContentLengthHeader:
		default:
			r.AppendHeader(sip.HeaderClone(h))
		}
	}
	r.SetBody(res.Body())
	return r
}
