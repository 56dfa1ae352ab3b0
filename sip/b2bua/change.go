package b2bua

import (
	"fmt"
	"slices"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// other is the leg on the far side of l.
func (c *Call) other(l *leg) *leg {
	far := c.caller
	switch {
	case l == c.caller:
		far = c.callee
	case l != c.callee:
		return nil
	}
	if far == nil || far.over {
		return nil
	}
	return far
}

// request handles a request within a dialog.
func (c *Call) request(l *leg, tx *stack.ServerTx) {
	req := tx.Request()
	seq := uint64(req.CSeq().SeqNo)
	if seq < l.dlg.nextSeq { // RFC 3261 §12.2.2
		tx.Reply(500, "CSeq Out of Order")
		return
	}
	l.dlg.nextSeq = seq + 1
	c.heardOf(l)
	if tx.Conn() != l.conn {
		l.use(tx.Conn()) // the phone is back on a new connection
	}
	if l.media == nil && l != c.legs[0] && req.Method != sip.BYE {
		tx.Reply(500, "Server Internal Error", sip.NewHeader("Retry-After", "1")) // its dialog is just coming over from another call
		return
	}
	if c.state == Over || l.over {
		tx.Reply(481, "Call/Transaction Does Not Exist")
		return
	}
	switch req.Method {
	case sip.BYE:
		l.over = true
		tx.Reply(200, "OK")
		if c.moving != nil && c.moving.by == l && c.state == Transferring {
			c.feed(inLeave, nil, nil)
			return
		}
		if c.other(l) == nil && l != c.legs[0] && (c.moving == nil || c.moving.stays != l) {
			if l.uas != nil {
				c.dismiss(l) // it was about to take part
			}
			return // a branch that is not in the call yet, or a phone that is out of it: the call goes on
		}
		c.endsBy(causeBye, l.name)
		if c.state == Dialling { // a caller may send BYE in an early dialog (RFC 3261 §15)
			c.refusal = refusal{status: 487, reason: "Request Terminated"}
			c.feed(inCancel, nil, nil)
			return
		}
		c.feed(inBye, nil, nil)
	case sip.INVITE:
		if !c.agent.tooBrief(tx) {
			tx.Reply(100, "Trying")
			c.offerWithin(l, tx)
		}
	case sip.UPDATE:
		if c.agent.tooBrief(tx) {
			return
		}
		if len(req.Body()) == 0 {
			c.refreshTarget(l, req)
			ok := tx.Response(200, "OK")
			c.complete(l, req, ok, nil)
			tx.Respond(ok)
			return
		}
		if c.state == Dialling {
			c.offerEarly(l, tx)
			return
		}
		c.offerWithin(l, tx)
	case sip.PRACK:
		c.pracked(l, tx)
	case sip.REFER:
		c.refer(l, tx)
	case sip.OPTIONS:
		tx.Reply(200, "OK", sip.NewHeader("Allow", allow), sip.NewHeader("Accept", "application/sdp"), sip.NewHeader("Supported", supported(tx.Conn())))
	case sip.NOTIFY:
		tx.Reply(481, "Subscription Does Not Exist") // the box asks nobody for any
	default:
		tx.Reply(405, "Method Not Allowed", sip.NewHeader("Allow", allow))
	}
}

func (c *Call) refreshTarget(l *leg, req *sip.Request) {
	l.dlg.retarget(req.Contact())
	l.learn(req)
	c.save(l)
}

// offerWithin handles a re-INVITE, or an UPDATE with an offer: a new address, key or direction of one side. The other
// side is asked only when it is concerned: the direction changes, or the codec in use is no longer offered.
func (c *Call) offerWithin(l *leg, tx *stack.ServerTx) {
	if c.refusesHold(l, tx) {
		return
	}
	far := c.other(l)
	if far != nil && far.owes && !c.changing && l.onAck == nil && len(c.settled) < maxSettled {
		// What the far side has is only settled by the answer in its ACK, which is on its way.
		c.settled = append(c.settled, func() { c.offerWithin(l, tx) })
		return
	}
	// RFC 3261 §14.2; and before both sides have made or answered an offer there is nothing to change.
	if c.changing || far == nil && !c.alone(l) || c.state == Dialling || l.onAck != nil || l.peer == nil || far != nil && far.peer == nil {
		tx.Reply(491, "Request Pending")
		return
	}
	req := tx.Request()
	c.refreshTarget(l, req)
	if len(req.Body()) == 0 {
		c.offerBack(l, far, tx)
		return
	}
	d, r := l.describes(req)
	if r.status != 0 {
		tx.Reply(r.status, r.reason)
		return
	}
	keeps := slices.ContainsFunc(sdp.Filter(d.Codecs), l.codecs.Audio.Same)
	if !keeps && len(sdp.OfferTo(d.Codecs, nil)) == 0 {
		tx.Reply(488, "No Supported Codec")
		return
	}
	if !l.secures(d) { // before the far side is asked for anything
		tx.Reply(488, "SRTP Required")
		return
	}
	if far == nil && !keeps {
		tx.Reply(488, "Not Now")
		return
	}
	same := keeps && l.peer != nil && d.Direction == c.direction(l) && (!sharing(l, far) || l.repeats(d))
	if far == nil || same {
		c.acceptWithin(l, far, tx, d, nil)
		return
	}
	c.ask(l, far, tx, d, keeps)
}

// maxSettled bounds what waits for an ACK.
const maxSettled = 4

// ask passes the change on to the far side and answers when it has.
func (c *Call) ask(l, far *leg, tx *stack.ServerTx, d *sdp.Description, keeps bool) {
	codecs := far.codecs.Codecs()
	if !keeps {
		codecs = sdp.OfferTo(d.Codecs, codecs)
	}
	body, err := far.offerCodecs(codecs, d.Direction)
	if err != nil {
		c.log.Error("re-INVITE", "leg", far.name, "err", err)
		tx.Reply(500, "Server Internal Error")
		return
	}
	if far.connection() == nil {
		// The far side is away for a moment; what it must know of a hold is only comfort: silence reaches it anyway.
		if keeps {
			c.acceptWithin(l, far, tx, d, nil)
		} else {
			tx.Reply(480, "Temporarily Unavailable")
		}
		return
	}
	c.changing = true
	// A 491 of the far side is the asking side's to wait out: its own 491 then means the same.
	c.reinvite(far, body, 1, func(res *sip.Response, err error) {
		defer c.free()
		if c.state == Over || l.over || far.over {
			tx.Reply(481, "Call/Transaction Does Not Exist")
			return
		}
		switch {
		case err != nil || res.StatusCode == 408 || res.StatusCode == 481:
			if !c.emergency { // else the asking side would end what goes on without the far side
				tx.Reply(481, "Call/Transaction Does Not Exist")
			}
			c.lost(far, causeDead, res)
			switch {
			case c.state == Over: // and has answered
			case keeps:
				c.acceptWithin(l, far, tx, d, nil)
			default:
				tx.Reply(480, "Temporarily Unavailable")
			}
		case res.StatusCode >= 300:
			status := res.StatusCode
			if status < 400 {
				status = 488
			}
			tx.Reply(status, reason(status))
		default:
			c.acceptWithin(l, far, tx, d, res)
		}
	})
}

// acceptWithin puts one side's new offer into effect and answers it; res is the far side's answer, if it was asked.
func (c *Call) acceptWithin(l, far *leg, tx *stack.ServerTx, d *sdp.Description, res *sip.Response) {
	if res != nil {
		fd, r := far.describes(res)
		if r.status == 0 {
			g, err := sdp.Agree(d.Codecs, far.offer, fd.Codecs)
			if err == nil {
				err = far.takeAnswer(fd)
			}
			if err != nil {
				r = refusal{status: 488, reason: "No Common Codec"}
			} else {
				far.codecs, far.ours = g.B, g.Ours
				l.codecs, l.ours = g.A, g.A
			}
		}
		if r.status != 0 {
			tx.Reply(488, "Not Acceptable Here")
			return
		}
	} else if g, err := sdp.Agree(d.Codecs, d.Codecs, l.codecs.Codecs()); err == nil {
		l.codecs, l.ours = g.A, g.A // the numbers may have changed
	}
	if err := l.takeOffer(d); err != nil {
		tx.Reply(488, "SRTP Required")
		return
	}
	dir := sdp.SendRecv
	if far != nil {
		dir = c.direction(far)
	}
	body, err := l.answer(dir)
	if err == nil {
		err = l.apply(dir)
	}
	if err == nil && far != nil {
		err = far.apply(c.direction(l))
	}
	if err != nil {
		c.log.Error("media change", "leg", l.name, "err", err)
		tx.Reply(488, "Not Acceptable Here")
		return
	}
	c.heldBy(l, far)
	ok := tx.Response(200, "OK")
	c.complete(l, tx.Request(), ok, body)
	tx.Respond(ok)
	if tx.Request().Method == sip.INVITE {
		c.await(l, ok, func(*sip.Request) {})
	}
}

// offerBack answers a re-INVITE without an offer: the box offers what is in force, and the ACK brings the answer.
func (c *Call) offerBack(l, far *leg, tx *stack.ServerTx) {
	dir := sdp.SendRecv
	if far != nil {
		dir = c.direction(far)
	}
	body, err := l.offerCodecs(l.codecs.Codecs(), dir)
	if err != nil {
		tx.Reply(500, "Server Internal Error")
		return
	}
	ok := tx.Response(200, "OK")
	c.complete(l, tx.Request(), ok, body)
	tx.Respond(ok)
	l.owes = true
	c.await(l, ok, func(ack *sip.Request) {
		d, r := l.describes(ack)
		if r.status != 0 {
			return // no answer: what was in force stays (some peers probe so)
		}
		g, err := sdp.Agree(l.offer, l.offer, d.Codecs)
		if err == nil {
			err = l.takeAnswer(d)
		}
		if err != nil {
			c.log.Warn("answer in ACK cannot be used", "leg", l.name, "err", err)
			return
		}
		l.codecs, l.ours = g.B, g.Ours
		l.apply(dir)
		if far != nil && !far.over {
			far.apply(c.direction(l))
		}
		if c.locked(l) && d.Direction != sdp.SendRecv {
			c.talkOn(l)
		}
	})
}

// heard takes what the relay noticed. Silence alone ends no call: the peer is asked first (it may suppress silence),
// and an emergency call is never ended for it.
func (c *Call) heard(e MediaEvent) {
	if e.Digit != 0 || e.PlayDone != 0 {
		return // of no interest to an ordinary call
	}
	if e.Unopened > 0 {
		c.unheard(e)
		return
	}
	var l *leg
	for _, x := range []*leg{c.caller, c.callee} {
		if x != nil && x.media == e.Leg {
			l = x
		}
	}
	if l == nil || c.state != Up && !c.alone(l) {
		return
	}
	l.silent.stop()
	if !e.Silent {
		return
	}
	c.log.Warn("media silence", "leg", l.name, "aor", l.aor(), "for", e.For)
	if c.emergency { // who is hidden or hurt is silent: people are to know, and the call goes on
		if !l.mute {
			l.mute = true
			c.note(EmergencyEvent{Kind: AlarmRaised, Text: fmt.Sprintf("no sound has come from %s for %v; the call goes on", l.aor(), e.For)})
		}
		return
	}
	c.probe(l, e.For)
}

// unheard takes that a party's sound cannot be decrypted: it has another key than it says, or has lost count. Nothing can be done about it
// here but to tell, for whoever looks for the cause later, and at once where somebody has called for help.
func (c *Call) unheard(e MediaEvent) {
	for _, l := range c.legs {
		if l.media != e.Leg {
			continue
		}
		l.undecryptable = true
		c.log.Warn("media cannot be decrypted", "leg", l.name, "aor", l.aor(), "packets", e.Unopened, "for", e.For)
		if c.emergency {
			c.note(EmergencyEvent{Kind: AlarmRaised, Text: fmt.Sprintf("the sound from %s cannot be decrypted: nobody hears it; the call goes on", l.aor())})
		}
	}
}

func (c *Call) probe(l *leg, again time.Duration) {
	dead := func() {
		c.endsBy(causeSilence, l.name)
		c.feed(inDead, nil, nil)
	}
	conn := l.connection()
	if conn == nil {
		dead()
		return
	}
	l.request(l.dlg.request(sip.OPTIONS, conn), func(res *sip.Response, err error) {
		if c.state != Up && !c.alone(l) {
			return
		}
		if err != nil || res.StatusCode == 408 || res.StatusCode == 481 {
			dead()
			return
		}
		l.silent = c.after(max(again, 10*time.Second), func() { c.probe(l, again) })
	})
}
