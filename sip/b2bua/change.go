package b2bua

import (
	"slices"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// other is the leg on the far side of l.
func (c *Call) other(l *leg) *leg {
	switch {
	case l == c.caller:
		return c.callee
	case l == c.callee:
		return c.caller
	}
	return nil
}

// request handles a request within a dialog.
func (c *Call) request(l *leg, tx *stack.ServerTx) {
	req := tx.Request()
	if req.CSeq().SeqNo <= l.dlg.remoteSeq { // RFC 3261 §12.2.2
		tx.Reply(500, "CSeq Out of Order")
		return
	}
	l.dlg.remoteSeq = req.CSeq().SeqNo
	if tx.Conn() != l.conn {
		l.use(tx.Conn()) // the phone is back on a new connection
	}
	if c.state == Over || l.over {
		tx.Reply(481, "Call/Transaction Does Not Exist")
		return
	}
	switch req.Method {
	case sip.BYE:
		l.over = true
		tx.Reply(200, "OK")
		c.endsBy(causeBye, l.name)
		if c.state == Dialling { // a caller may send BYE in an early dialog (RFC 3261 §15)
			c.refusal = refusal{487, "Request Terminated"}
			c.feed(inCancel, nil, nil)
			return
		}
		c.feed(inBye, nil, nil)
	case sip.INVITE:
		tx.Reply(100, "Trying")
		c.offerWithin(l, tx)
	case sip.UPDATE:
		if len(req.Body()) == 0 {
			c.refreshTarget(l, req)
			ok := tx.Response(200, "OK")
			ok.AppendHeader(&sip.ContactHeader{Address: l.dlg.contact})
			tx.Respond(ok)
			return
		}
		c.offerWithin(l, tx)
	case sip.OPTIONS:
		tx.Reply(200, "OK", sip.NewHeader("Allow", allow), sip.NewHeader("Accept", "application/sdp"))
	default:
		tx.Reply(405, "Method Not Allowed", sip.NewHeader("Allow", allow))
	}
}

func (c *Call) refreshTarget(l *leg, req *sip.Request) { l.dlg.retarget(req.Contact()) }

// offerWithin handles a re-INVITE, or an UPDATE with an offer: a new address, key or direction of one side. The other
// side is asked only when it is concerned: the direction changes, or the codec in use is no longer offered.
func (c *Call) offerWithin(l *leg, tx *stack.ServerTx) {
	far := c.other(l)
	if c.changing || far == nil || c.state == Dialling || l.onAck != nil || far.peer == nil { // far has not said yet what it takes
		tx.Reply(491, "Request Pending") // RFC 3261 §14.2
		return
	}
	req := tx.Request()
	c.refreshTarget(l, req)
	if len(req.Body()) == 0 {
		c.offerBack(l, far, tx)
		return
	}
	d, r := parseBody(req)
	if r.status != 0 {
		tx.Reply(r.status, r.reason)
		return
	}
	keeps := slices.ContainsFunc(sdp.Filter(d.Codecs), l.codecs.Audio.Same)
	if !keeps && len(sdp.OfferTo(d.Codecs, nil)) == 0 {
		tx.Reply(488, "No Supported Codec")
		return
	}
	if c.locked(l) && d.Direction != sdp.SendRecv {
		tx.Reply(403, "Not During an Emergency Call")
		return
	}
	if keeps && l.peer != nil && d.Direction == l.peer.Direction {
		c.acceptWithin(l, far, tx, d, nil)
		return
	}
	c.ask(l, far, tx, d, keeps)
}

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
	conn := far.connection()
	if conn == nil {
		// The far side is away for a moment; what it must know of a hold is only comfort: silence reaches it anyway.
		if keeps {
			c.acceptWithin(l, far, tx, d, nil)
		} else {
			tx.Reply(480, "Temporarily Unavailable")
		}
		return
	}
	req := far.dlg.request(sip.INVITE, conn)
	setSDP(req, body)
	c.changing = true
	far.request(req, func(res *sip.Response, err error) {
		c.changing = false
		if err == nil && res.StatusCode < 300 {
			far.ack(res.CSeq().SeqNo, nil)
			far.dlg.retarget(res.Contact())
		}
		if c.state == Over {
			return
		}
		switch {
		case err != nil || res.StatusCode == 408 || res.StatusCode == 481:
			tx.Reply(481, "Call/Transaction Does Not Exist")
			c.endsBy(causeDead, far.name)
			c.feed(inDead, nil, nil)
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
		fd, r := parseBody(res)
		if r.status == 0 {
			g, err := sdp.Agree(d.Codecs, far.offer, fd.Codecs)
			if err == nil {
				err = far.takeAnswer(fd)
			}
			if err != nil {
				r = refusal{488, "No Common Codec"}
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
	body, err := l.answer(far.peer.Direction)
	if err == nil {
		err = l.apply(far.peer.Direction)
	}
	if err == nil {
		err = far.apply(l.peer.Direction)
	}
	if err != nil {
		c.log.Error("media change", "leg", l.name, "err", err)
		tx.Reply(488, "Not Acceptable Here")
		return
	}
	ok := tx.Response(200, "OK")
	ok.AppendHeader(&sip.ContactHeader{Address: l.dlg.contact})
	ok.AppendHeader(sip.NewHeader("Allow", allow))
	setSDP(ok, body)
	tx.Respond(ok)
	if tx.Request().Method == sip.INVITE {
		c.await(l, ok, func(*sip.Request) {})
	}
}

// offerBack answers a re-INVITE without an offer: the box offers what is in force, and the ACK brings the answer.
func (c *Call) offerBack(l, far *leg, tx *stack.ServerTx) {
	body, err := l.offerCodecs(l.codecs.Codecs(), far.peer.Direction)
	if err != nil {
		tx.Reply(500, "Server Internal Error")
		return
	}
	ok := tx.Response(200, "OK")
	ok.AppendHeader(&sip.ContactHeader{Address: l.dlg.contact})
	ok.AppendHeader(sip.NewHeader("Allow", allow))
	setSDP(ok, body)
	tx.Respond(ok)
	c.await(l, ok, func(ack *sip.Request) {
		d, r := parseBody(ack)
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
		l.apply(far.peer.Direction)
		far.apply(l.peer.Direction)
	})
}

// heard takes what the relay noticed. Silence alone ends no call: the peer is asked first (it may suppress silence),
// and an emergency call is never ended for it.
func (c *Call) heard(e MediaEvent) {
	if e.Digit != 0 || e.PlayDone != 0 {
		return // of no interest to an ordinary call
	}
	var l *leg
	for _, x := range []*leg{c.caller, c.callee} {
		if x != nil && x.media == e.Leg {
			l = x
		}
	}
	if l == nil || c.state != Up {
		return
	}
	l.silent.stop()
	if !e.Silent {
		return
	}
	c.log.Warn("media silence", "leg", l.name, "aor", l.aor(), "for", e.For)
	if c.emergency {
		return
	}
	c.probe(l, e.For)
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
		if c.state != Up {
			return
		}
		if err != nil || res.StatusCode == 408 || res.StatusCode == 481 {
			dead()
			return
		}
		l.silent = c.after(max(again, 10*time.Second), func() { c.probe(l, again) })
	})
}
