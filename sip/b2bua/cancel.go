package b2bua

import (
	"crypto/subtle"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// A caller whose phone has come back on a new connection while it still rings at the other end hangs up there. For the stack that
// CANCEL fits no INVITE: a phone's is looked for on its own connection only, and went with that if it fell, although an emergency call
// goes on. If it were refused the PSAP's leg would ring on for nobody.
//
// A CANCEL cannot be asked to prove who it comes from (RFC 3261 §22.1), so it is taken from who must have sent the INVITE: it comes from
// the INVITE's address, or the INVITE's trunk, over the same kind of transport, and names the INVITE by all that its sender made up for
// it: the branch, the Call-ID and the From tag. On TLS nobody but that phone and the box has ever seen these, and in the box no
// other leg has them. The connection need not have authenticated: a phone may open it for this one request. That is what makes a
// request within a dialog its party's, too (owns), except that there the box has made up one of the names. A phone that only numbers its
// calls could be guessed by another one behind its address, so names that are that short do not count. UDP is left out:
// there a name is no secret and an address no proof, and the same address finds its INVITE by itself.

// leastNamed is how many characters a phone must have made up for its INVITE. At 20 tries a second and connection even digits
// alone last for longer than anything rings.
const leastNamed = 24

// inviteName is all that the sender of an INVITE has made up for it, and its CANCEL repeats (RFC 3261 §9.1); false if that is too little
// to be a secret.
func inviteName(req *sip.Request) (name string, ok bool) {
	via, from, id, seq := req.Via(), req.From(), req.CallID(), req.CSeq()
	if via == nil || from == nil || id == nil || seq == nil {
		return "", false
	}
	branch, _ := via.Params.Get("branch")
	made, modern := strings.CutPrefix(branch, sip.RFC3261BranchMagicCookie)
	tag, _ := from.Params.Get("tag")
	own, _, _ := strings.Cut(id.Value(), "@") // a host behind it is no secret
	name = strings.Join([]string{branch, tag, id.Value(), strconv.FormatUint(uint64(seq.SeqNo), 10)}, "\x00")
	return name, modern && made != "" && tag != "" && len(made)+len(tag)+len(own) >= leastNamed
}

// Cancel takes a CANCEL that fits no INVITE of its connection. It reports whether it fits one of another, and the To tag of that one's
// responses.
func (a *Agent) Cancel(conn *stack.Conn, req *sip.Request) (tag string, ok bool) {
	name, ok := inviteName(req)
	if !ok {
		return "", false
	}
	var meant *Call
	a.mu.Lock()
	for _, c := range a.calls {
		if !c.calledFrom(conn) {
			continue
		}
		if own, ok := inviteName(c.invite.Request()); ok && subtle.ConstantTimeCompare([]byte(own), []byte(name)) == 1 {
			meant = c
		}
	}
	a.mu.Unlock()
	if meant == nil {
		return "", false
	}
	meant.log.Info("cancelled on another connection", "source", conn.Remote().String())
	go meant.post(gotCancel{on: conn})
	return meant.invite.Tag(), true
}

// calledFrom reports whether the connection leads to where the call's INVITE came from. Any goroutine may ask.
func (c *Call) calledFrom(conn *stack.Conn) bool {
	first := c.invite.Conn()
	switch {
	case first == nil || first.Side() != conn.Side() || first.Over() != conn.Over() || conn.Over() == stack.UDP:
		return false
	case conn.Side() == stack.Trunk:
		return c.origin.Trunk != nil && c.agent.isTrunk(conn, c.origin.Trunk.ID)
	}
	return conn.Remote().Addr() == first.Remote().Addr()
}

// cancelled ends the call for its caller, who may have asked for that on another connection than the INVITE's: then the INVITE's answer
// goes there, too, since its own connection may be gone.
func (c *Call) cancelled(on *stack.Conn) {
	if c.caller.answered { // too late: the caller gets its 2xx, and will hang up
		if on != nil && c.caller == c.legs[0] && c.caller.onAck != nil {
			c.caller.use(on) // it has not had it yet
		}
		return
	}
	c.endsBy(causeCancelled, "caller")
	c.missed()
	c.refusal = refusal{status: 487, reason: "Request Terminated"}
	c.feed(inCancel, nil, nil)
	if on != nil {
		on.Write(c.callerResponse(c.refusal.status, c.refusal.reason))
	}
}
