package b2bua

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// reliable is what the box knows of its provisional responses to the caller that want a PRACK (RFC 3262). One is
// outstanding at a time.
type reliable struct {
	seq   uint32        // the last RSeq
	res   *sip.Response // awaits its PRACK
	next  *sip.Response // is sent after that
	late  bool          // the 2xx overtook the last one, whose PRACK may still come
	told  bool          // the answer to the caller's offer was in one that was acknowledged
	timer *timer
	then  func() // the 2xx, which may not overtake an answer
}

// progress sends the caller a provisional response: reliably if the caller demands it, or knows how and it brings SDP.
func (c *Call) progress(res *sip.Response) {
	req := c.invite.Request()
	res.AppendHeader(&sip.ContactHeader{Address: c.caller.dlg.contact})
	res.AppendHeader(sip.NewHeader("Allow", allow))
	must := lists(req, "require", "100rel")
	switch {
	case must && !c.offered:
		return // the first one would have to bring an offer (RFC 3262 §5), and the callee's side has not said what yet
	case !must && (len(res.Body()) == 0 || !lists(req, "supported", "100rel")):
		c.respond(res)
		return
	}
	r := &c.reliable
	if r.res == nil {
		c.sendReliably(res)
	} else if r.next == nil || len(res.Body()) > 0 {
		r.next = res
	}
}

func (c *Call) sendReliably(res *sip.Response) {
	r := &c.reliable
	r.seq++
	r.res = res
	res.AppendHeader(sip.NewHeader("Require", "100rel"))
	res.AppendHeader(sip.NewHeader("RSeq", strconv.FormatUint(uint64(r.seq), 10)))
	c.respond(res)
	t := c.agent.o.Stack.Timers()
	began, wait := time.Now(), t.T1
	var again func()
	again = func() {
		if time.Since(began) >= t.B { // RFC 3262 §3
			c.log.Warn("no PRACK")
			if c.emergency { // no reason to end it: the answer comes without
				then := r.then
				r.res, r.next, r.then = nil, nil, nil
				if then != nil {
					then()
				}
				return
			}
			c.endsBy(causeNoPrack, c.caller.name)
			c.refusal = refusal{status: 504, reason: "No PRACK"}
			c.feed(inRefused, nil, nil)
			c.feed(inUnusable, nil, nil) // if it was answered meanwhile
			return
		}
		c.respond(res)
		wait *= 2
		r.timer = c.after(wait, again)
	}
	r.timer = c.after(wait, again)
}

// forgetReliable begins anew with a new To tag: to the caller that is another dialog.
func (c *Call) forgetReliable() {
	c.reliable.timer.stop()
	c.reliable = reliable{seq: c.reliable.seq}
}

// whenPracked runs f once no answer awaits its PRACK (RFC 3262 §3). A mere ringing need not be waited for, but its PRACK
// may still come.
func (c *Call) whenPracked(f func()) {
	r := &c.reliable
	r.next = nil
	if r.res != nil && len(r.res.Body()) > 0 {
		r.then = f
		return
	}
	r.timer.stop()
	r.late = r.res != nil
	r.res = nil
	f()
}

// pracked takes a PRACK of the caller.
func (c *Call) pracked(l *leg, tx *stack.ServerTx) {
	r := &c.reliable
	h := tx.Request().GetHeader("rack")
	if h == nil {
		tx.Reply(400, "No RAck")
		return
	}
	invite := c.invite.Request().CSeq()
	want := []string{strconv.FormatUint(uint64(r.seq), 10), strconv.FormatUint(uint64(invite.SeqNo), 10), string(sip.INVITE)}
	if got := strings.Fields(h.Value()); l != c.legs[0] || r.res == nil && !r.late || strings.Join(got, " ") != strings.Join(want, " ") {
		tx.Reply(481, "No Such Provisional Response")
		return
	}
	r.timer.stop()
	r.told = r.told || r.res != nil && len(r.res.Body()) > 0
	r.res, r.late = nil, false
	if len(tx.Request().Body()) > 0 {
		c.offerEarly(l, tx)
	} else {
		tx.Reply(200, "OK")
	}
	if then := r.then; then != nil {
		r.then = nil
		then()
	} else if next := r.next; next != nil {
		r.next = nil
		c.sendReliably(next)
	}
}

// offerEarly answers an offer within an early dialog (UPDATE, RFC 3311 §5.2, or PRACK): another address or key of one
// side. Nothing is passed on: who would have to agree is still ringing.
func (c *Call) offerEarly(l *leg, tx *stack.ServerTx) {
	if c.refusesHold(l, tx) {
		return
	}
	var far *leg
	switch {
	case c.early == nil:
	case l == c.caller:
		far = c.early
	case l == c.early:
		far = c.caller
	}
	if far == nil || l == c.caller && !c.reliable.told {
		tx.Reply(500, "Not Answered Yet", sip.NewHeader("Retry-After", "3"))
		return
	}
	d, r := l.describes(tx.Request())
	if r.status == 0 {
		if _, err := sdp.Agree(d.Codecs, d.Codecs, l.codecs.Codecs()); err != nil || sharing(l, far) && !l.repeats(d) {
			r = refusal{status: 488, reason: "Not Before The Answer"}
		}
	}
	if r.status != 0 {
		tx.Reply(r.status, r.reason)
		return
	}
	c.refreshTarget(l, tx.Request())
	c.acceptWithin(l, far, tx, d, nil)
}

// acknowledge takes what a branch's provisional response means beyond the call's state: its tag, its answer, and a PRACK
// for a reliable one. false: it is a repetition, or out of order.
func (c *Call) acknowledge(l *leg, res *sip.Response) bool {
	tag, _ := res.To().Params.Get("tag")
	if tag != "" && l.remoteTag() == "" {
		l.peerTag.Store(tag)
	}
	if !lists(res, "require", "100rel") {
		if len(res.Body()) > 0 {
			l.answerIn(res)
		}
		return true
	}
	seq := uint64(0)
	if h := res.GetHeader("rseq"); h != nil {
		seq, _ = strconv.ParseUint(strings.TrimSpace(h.Value()), 10, 32)
	}
	last, seen := l.reliable[tag]
	if seq == 0 || tag == "" || seen && seq != uint64(last)+1 || !seen && len(l.reliable) == 10 {
		return false
	}
	if l.reliable == nil {
		l.reliable = make(map[string]uint32)
	}
	l.reliable[tag] = uint32(seq)
	if len(res.Body()) > 0 {
		l.answerIn(res)
	}
	d := l.dlg
	d.routes = nil
	d.accepted(res)
	l.dlg.localSeq++
	if conn := l.connection(); conn != nil {
		req := d.numbered(sip.PRACK, l.dlg.localSeq, conn)
		req.AppendHeader(sip.NewHeader("RAck", fmt.Sprintf("%d %d %s", seq, res.CSeq().SeqNo, sip.INVITE)))
		req.SetBody(nil)
		c.send(conn, req, func(*sip.Response, error) {})
	}
	return true
}
