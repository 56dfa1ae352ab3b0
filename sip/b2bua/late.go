package b2bua

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// A 2xx may come when nobody waits for it any more: it has crossed the CANCEL, comes after 64*T1, after a refusal that a
// proxy has passed on first, or from one more phone behind an SBC that forks (RFC 3261 §13.2.2.4). Whoever sent it believes
// in a call, and gets ACK and BYE. Nothing is remembered for that, for however long it takes: the box's own tag shows that
// the INVITE was the box's, and the rest of the dialog stands in the response.

// opens gives a dialog that the box is about to begin its Call-ID and the tag that belongs to it.
func (a *Agent) opens(d dialog) dialog {
	d.callID = stack.NewCallID()
	d.local.tag = a.tagFor(d.callID)
	return d
}

// tagFor is the box's tag in the dialogs that it begins with a Call-ID: 80 bits that nobody else can tell.
func (a *Agent) tagFor(callID string) string {
	h := hmac.New(sha256.New, a.secret[:])
	h.Write([]byte(callID))
	return hex.EncodeToString(h.Sum(nil)[:10])
}

// Stray takes a 2xx that no transaction waits for. It may be of an INVITE of this life or of the last, or a peer says again on
// a new connection what it has said on one that fell. It waits for nothing but room in a call's inbox.
func (a *Agent) Stray(c *stack.Conn, res *sip.Response) {
	from, to := res.From(), res.To()
	if from == nil || to == nil || res.CSeq().SeqNo > 1<<30 {
		return
	}
	id := res.CallID().Value()
	tag, _ := from.Params.Get("tag")
	a.mu.Lock()
	_, gone := a.cancelled[id]
	l := a.legs[dialogKey(id, tag)]
	a.mu.Unlock()
	switch {
	case gone && c.Side() == stack.Trunk:
		a.hangUpLate(c, res)
	case l != nil:
		if l.reaches(c) {
			l.call.post(gotStray{l, c, res})
		}
	case hmac.Equal([]byte(tag), []byte(a.tagFor(id))):
		a.log.Info("answered when it was over: hangs up", "source", c.Remote().String())
		a.hangUpLate(c, res)
	}
}

// reaches reports whether the connection is the leg's peer's.
func (l *leg) reaches(c *stack.Conn) bool {
	if l.trunk != nil {
		return l.call.agent.isTrunk(c, l.trunk.ID)
	}
	return c.Side() == l.side && c.Remote().Addr() == l.source
}

// stray takes such a 2xx of a leg that there is still; answer is what becomes of one that does answer the INVITE, which came on
// another connection than that did.
func (l *leg) stray(c *stack.Conn, res *sip.Response, answer func()) {
	tag, _ := res.To().Params.Get("tag")
	switch {
	case l.moved != nil:
		l.moved.call.post(gotStray{l.moved, c, res})
	case l.answered && !l.over && tag == l.dlg.remote.tag: // who hears no ACK ends the call (RFC 3261 §13.3.1.4)
		ack := l.dlg.numbered(sip.ACK, res.CSeq().SeqNo, c)
		ack.SetBody(nil)
		c.Write(ack)
	case l.invite != nil && l.pending && !l.cancelled && !l.answered:
		l.invite.Forget()
		l.use(c)
		answer()
	default:
		l.call.agent.hangUpLate(c, res)
	}
}

// mostLate bounds the BYEs of late answers that wait for their response; beyond that they are sent once. It counts only on UDP.
const mostLate = 256

// hangUpLate acknowledges a 2xx and ends the dialog that it has made, on the connection that it came by.
func (a *Agent) hangUpLate(c *stack.Conn, res *sip.Response) {
	from, to := res.From(), res.To()
	d := dialog{callID: res.CallID().Value(), local: party{uri: from.Address}, remote: party{uri: to.Address}, target: to.Address,
		localSeq: res.CSeq().SeqNo, contact: contactFor(c)}
	d.local.tag, _ = from.Params.Get("tag")
	d.accepted(res)
	ack := d.numbered(sip.ACK, res.CSeq().SeqNo, c)
	ack.SetBody(nil)
	c.Write(ack)
	d.localSeq += 2 * seqGap // there may have been more in it than the INVITE, and than was saved
	bye := d.request(sip.BYE, c)
	bye.SetBody(nil)
	if c.Over() != stack.UDP {
		c.Write(bye)
		return
	}
	if a.lateByes.Add(1) > mostLate {
		a.lateByes.Add(-1)
		c.Write(bye)
		return
	}
	once := func(res *sip.Response, err error) {
		if err != nil || res.StatusCode >= 200 {
			a.lateByes.Add(-1)
		}
	}
	if _, err := c.Send(bye, once); err != nil {
		a.lateByes.Add(-1)
	}
}
