package b2bua

import (
	"errors"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
)

// elsewhere goes with the CANCEL of phones that lost the race (RFC 3326, RFC 3261 §9.1).
var elsewhere = sip.NewHeader("Reason", `SIP;cause=200;text="Call completed elsewhere"`)

// passRinging tells the caller that it rings, once.
func (c *Call) passRinging() {
	if c.rang || c.early != nil {
		return
	}
	c.rang = true
	c.progress(c.callerResponse(180, "Ringing"))
}

// passEarly connects a branch's early media and tells the caller (RFC 3960). A caller without an offer of its own
// cannot be given media before it has answered one: it hears of ringing instead.
func (c *Call) passEarly(l *leg, res *sip.Response) {
	d, r := l.answerIn(res)
	if c.early == l {
		return
	}
	if !c.offered || r.status != 0 {
		c.passRinging()
		return
	}
	if err := c.tie(l, d); err != nil {
		c.log.Info("early media cannot be used", "leg", l.name, "err", err)
		c.passRinging()
		return
	}
	body, err := c.answerCaller(l.peer.Direction)
	if err != nil {
		c.log.Error("early answer", "err", err)
		return
	}
	c.early = l
	c.media.Connect(c.caller.media, l.media)
	up := c.callerResponse(183, "Session Progress")
	setSDP(up, body)
	c.progress(up)
}

// answerIn is the answer that a branch's response brings, or that it brought before: after one in a reliable
// provisional response the 2xx needs none.
func (l *leg) answerIn(res *sip.Response) (*sdp.Description, refusal) {
	if len(res.Body()) == 0 && l.early != nil {
		return l.early, refusal{}
	}
	d, r := l.describes(res)
	if r.status == 0 && res.StatusCode < 200 {
		l.early = d
	}
	return d, r
}

// tie takes the branch's answer and fixes the one codec for both sides, in the relay too.
func (c *Call) tie(l *leg, d *sdp.Description) error {
	g, err := sdp.Agree(c.wants, l.offer, d.Codecs)
	if err != nil {
		return err
	}
	if err := l.takeAnswer(d); err != nil {
		return err
	}
	l.codecs, l.ours = g.B, g.Ours
	c.caller.codecs, c.caller.ours = g.A, g.A
	if err := c.exchange(l); err != nil {
		return err
	}
	return errors.Join(l.apply(c.callerDirection()), c.caller.apply(d.Direction))
}

// answerCaller describes the caller's side in answer to its offer. A description that differs from one given before
// (early media of a trunk that then failed) may not come in the same dialog (RFC 3261 §13.2.1): it gets a new tag.
func (c *Call) answerCaller(dir sdp.Direction) ([]byte, error) {
	before, said := c.caller.local, c.caller.said
	body, err := c.caller.answer(dir)
	if err == nil && said && !c.caller.local.Equal(before) {
		c.agent.dropLeg(c.caller)
		c.caller.dlg.local.tag = newTag()
		c.agent.addLeg(c.caller)
		c.forgetReliable()
	}
	return body, err
}

// connect gives the call to the branch that answered.
func (c *Call) connect(l *leg, res *sip.Response) {
	c.callee = l
	if c.announced {
		c.caller.media.StopPlay()
	}
	together := c.decision.Callback // who answers with nothing usable must not silence the others whom it rings
	if !together {
		c.chosen(l)
	}
	if l.uas == nil {
		c.save(l) // from here on it believes in a call
		l.ack(res.CSeq().SeqNo, nil)
	}
	if err := c.bridge(l, res); err != nil {
		c.log.Warn("answer cannot be used", "leg", l.name, "aor", l.aor(), "err", err)
		if c.failsOver() { // whoever answered so is no help: the next trunk
			c.passOn(l)
			return
		}
		c.refusal = refusal{status: 488, reason: "No Common Codec"}
		c.endsBy(causeNoCodec, "box")
		c.feed(inUnusable, nil, nil)
		return
	}
	if together {
		c.chosen(l)
	}
	c.answeredAt = time.Now()
	c.helpAnswered(l)
	c.agent.totals.Answered.Add(1)
	c.log.Info("answered", "leg", l.name, "aor", l.aor(), "codec", l.codecs.Audio.Name, "suite", l.send.Suite, "shared", sharing(c.caller, l))
}

// chosen ends the race: the others that ring are cancelled.
func (c *Call) chosen(l *leg) {
	c.ringing.stop()
	c.ringsAt.Store(nil)
	c.stopWaiting()
	c.straightened()
	c.cancelBranches(l, elsewhere)
}

// bridge ties both sides together and answers the caller.
func (c *Call) bridge(l *leg, res *sip.Response) error {
	switch {
	case l.uas != nil: // a phone that picks the call up made an offer itself
		if err := c.tiePickup(l); err != nil {
			return err
		}
	case len(res.Body()) > 0 && !(c.early == l && l.said && sameSession(res, l.peer)):
		d, r := l.describes(res)
		if r.status != 0 {
			return errors.New(r.reason)
		}
		if err := c.tie(l, d); err != nil {
			return err
		}
	case l.peer == nil && l.early != nil:
		if err := c.tie(l, l.early); err != nil {
			return err
		}
	case l.peer == nil:
		return errors.New("2xx without SDP")
	default: // as in early media; set anew, because from now on silence counts
		if err := errors.Join(l.apply(c.callerDirection()), c.caller.apply(l.peer.Direction)); err != nil {
			return err
		}
	}
	c.media.Connect(c.caller.media, l.media)
	var body []byte
	var err error
	if c.offered {
		body, err = c.answerCaller(l.peer.Direction)
	} else {
		body, err = c.caller.offerCodecs(c.caller.codecs.Codecs(), l.peer.Direction)
	}
	if err != nil {
		return err
	}
	if l.uas != nil && !l.answered {
		if err := c.accept(l, c.callerDirection()); err != nil {
			return err
		}
	}
	c.whenPracked(func() { c.answer200(body) })
	return nil
}

// answer200 answers the caller.
func (c *Call) answer200(body []byte) {
	ok := c.callerResponse(200, "OK")
	if c.reliable.told { // the answer came in a provisional response that was acknowledged (RFC 3261 §13.2.1)
		body = nil
	}
	c.complete(c.caller, c.invite.Request(), ok, body)
	c.caller.answered = true
	c.save(c.caller)
	if err := c.respond(ok); err != nil {
		c.log.Warn("answer did not reach the caller", "err", err)
	}
	c.caller.owes = !c.offered
	c.await(c.caller, ok, c.callerAcked)
}

// complete adds to a 2xx what every 2xx to an INVITE or UPDATE has.
func (c *Call) complete(l *leg, req *sip.Request, ok *sip.Response, body []byte) {
	ok.AppendHeader(&sip.ContactHeader{Address: l.dlg.contact})
	ok.AppendHeader(sip.NewHeader("Allow", allow))
	ok.AppendHeader(sip.NewHeader("Supported", supported(l.conn)))
	c.agreeTimer(l, req, ok)
	setSDP(ok, body)
}

// sameSession reports whether a 2xx repeats the description that early media brought (same o= version).
func sameSession(res *sip.Response, d *sdp.Description) bool {
	n, err := sdp.Parse(res.Body())
	return err == nil && d != nil && n.SessionID == d.SessionID && n.Version == d.Version && n.Remote == d.Remote
}

// callerAcked ends the three-way handshake; a caller that made no offer answers here.
func (c *Call) callerAcked(ack *sip.Request) {
	if !c.offered {
		d, r := c.caller.describes(ack)
		if r.status == 0 {
			err := c.caller.takeAnswer(d)
			if err == nil {
				err = c.settleLate(d)
			}
			if err != nil {
				r = refusal{status: 488, reason: err.Error()}
			}
		}
		if r.status != 0 {
			c.log.Warn("the caller's answer cannot be used", "err", r.reason)
			if c.emergency { // the PSAP sees who called from where, and can call back
				c.note(EmergencyEvent{Kind: AlarmRaised, Text: "the caller's phone cannot be heard: " + r.reason})
				c.feed(inAck, nil, nil)
				return
			}
			c.endsBy(causeNoCodec, "box")
			c.feed(inDead, nil, nil)
			return
		}
	}
	c.feed(inAck, nil, nil)
}

// settleLate puts a late caller's answer into effect.
func (c *Call) settleLate(d *sdp.Description) error {
	g, err := sdp.Agree(c.caller.offer, c.caller.offer, d.Codecs)
	if err != nil {
		return err
	}
	c.caller.codecs, c.caller.ours = g.B, g.Ours
	return errors.Join(c.caller.apply(c.callee.peer.Direction), c.callee.apply(c.direction(c.caller)))
}

// await sends a 2xx again until its ACK comes, at T1 doubling to T2, for 64*T1 (RFC 3261 §13.3.1.4; over TLS too).
func (c *Call) await(l *leg, res *sip.Response, then func(*sip.Request)) {
	t := c.agent.o.Stack.Timers()
	began, wait := time.Now(), t.T1
	l.onAck, l.ackSeq = then, res.CSeq().SeqNo
	var again func()
	again = func() {
		if time.Since(began) >= t.B {
			l.onAck = nil
			c.log.Warn("no ACK", "leg", l.name, "aor", l.aor())
			if l.uas != nil && l != c.caller && l != c.callee { // it wanted to take part, and does not
				c.dismiss(l)
				return
			}
			if c.emergency {
				c.lost(l, causeNoAck, nil)
				return
			}
			c.endsBy(causeNoAck, l.name)
			c.feed(inAckTime, nil, nil)
			return
		}
		if conn := l.connection(); conn != nil {
			conn.Write(c.again(l, res, conn))
		}
		wait = min(2*wait, t.T2)
		l.resend = c.after(wait, again)
	}
	l.resend.stop()
	l.resend = c.after(wait, again)
}

// acked takes an ACK.
func (c *Call) acked(l *leg, req *sip.Request) {
	then := l.onAck
	if then == nil || req.CSeq().SeqNo != l.ackSeq {
		return // a repeated one, or that of a refusal
	}
	l.onAck, l.owes = nil, false
	l.resend.stop()
	then(req)
	waiting := c.settled
	c.settled = nil
	for _, do := range waiting {
		if c.state != Over {
			do()
		}
	}
}
