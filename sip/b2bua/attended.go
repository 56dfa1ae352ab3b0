package b2bua

import (
	"github.com/emiago/sipgo/sip"

	"holdfast/sip/route"
	"holdfast/sip/sdp"
)

// An attended transfer joins the far parties of two calls. The call in which the REFER came asks the other one for its
// party; the dialog goes over with a new media leg, and the other call ends.

// ask is the request for the far party of a leg.
type ask struct {
	of   *leg
	from *Call
}

// reply answers an ask: the party, or whom it was still dialling, or why not.
type reply struct {
	leg    *leg
	query  *route.Query
	status int
}

// answer hands the reply over; the asking call does not end before it has it.
func (a ask) answer(r reply) {
	go a.from.post(gotLeg{r}) // not from here: two calls may ask each other
}

// askFor asks the call of the transferor's other leg for its party.
func (c *Call) askFor(of *leg) {
	c.asking++
	a := ask{of: of, from: c}
	go func() {
		if !of.call.post(gotAsk{a}) {
			a.answer(reply{status: 481})
		}
	}()
}

// hand gives the far party away, and ends this call. A call that is still dialling for the transferor gives the number:
// the transfer goes on as a blind one.
func (c *Call) hand(a ask) {
	far := c.other(a.of)
	switch {
	case c.locked(a.of) || c.emergency:
		a.answer(reply{status: 403})
	case c.state == Dialling && a.of == c.caller:
		q := c.query
		c.endsBy(causeTransferred, a.of.name)
		c.refusal = refusal{status: 487, reason: "Request Terminated"}
		c.feed(inCancel, nil, nil)
		a.answer(reply{query: &q})
	case c.state != Up || far == nil || c.changing || far.onAck != nil || far.peer == nil:
		a.answer(reply{status: 491})
	default:
		x := far.becomes(a.from)
		c.agent.addLeg(x)
		c.endsBy(causeTransferred, a.of.name)
		c.feed(inGiven, nil, nil)
		a.answer(reply{leg: x})
	}
}

// becomes makes the leg that the dialog is in another call. What is left of l holds nothing of it.
func (l *leg) becomes(in *Call) *leg {
	x := &leg{call: in, before: l.media, side: l.side, user: l.user, trunk: l.trunk, instance: l.instance, binding: l.binding, plainOK: l.plainOK,
		source: l.source, dlg: l.dlg, shown: l.shown, own: l.own, counted: l.counted, answered: true, updates: l.updates,
		session: session{every: l.session.every, min: l.session.min, ours: l.session.ours},
		id:      l.id, local: l.local, said: l.said, peer: l.peer, can: l.can, codecs: l.codecs, ours: l.ours}
	if !l.foreign { // else the key is another peer's: this call makes one of its own
		x.send = l.send.Clone()
	}
	x.use(l.conn)
	x.peerTag.Store(l.remoteTag())
	l.counted, l.over, l.moved = false, true, x
	return x
}

// handed goes on with what the other call gave.
func (c *Call) handed(in reply) {
	x := in.leg
	if x != nil {
		x.name = c.legName()
		c.legs = append(c.legs, x)
	}
	m := c.moving
	if m == nil || c.state != Transferring && c.state != Waiting || x != nil && x.over {
		if x != nil {
			c.dismiss(x)
		}
		if m != nil && c.state != Over {
			c.refusal = refusal{status: 481, reason: "Call/Transaction Does Not Exist"}
			c.feed(inRefused, nil, nil)
		}
		return
	}
	switch {
	case in.query != nil:
		c.dialAgain(m, *in.query)
	case x == nil:
		c.refusal = refusal{in.status, reason(in.status), true}
		c.feed(inRefused, nil, nil)
	default:
		c.adopt(m, x)
	}
}

// dialAgain transfers to whom the transferor was still calling.
func (c *Call) dialAgain(m *transfer, q route.Query) {
	d := c.decide(m, q)
	if d.Kind != route.ToUser && d.Kind != route.ToTrunk || d.Kind == route.ToUser && d.User == m.stays.user {
		c.refusal = refusal{status: 403, reason: "Forbidden"}
		c.feed(inRefused, nil, nil)
		return
	}
	c.dialFor(m, d)
}

// adopt offers the party from the other call a place in this one: ports of this call's media session. The box's key stays what it
// was (its stream has a new SSRC): some phones take no other one for the rest of a dialog.
func (c *Call) adopt(m *transfer, x *leg) {
	fail := func(status int) {
		c.dismiss(x)
		c.refusal = refusal{status: status, reason: reason(status)}
		c.feed(inRefused, nil, nil)
	}
	if err := x.openMedia(); err != nil {
		c.log.Error("no media ports", "err", err)
		fail(503)
		return
	}
	x.media.Continue(x.before)
	c.runTimer(x)
	body, err := x.offerCodecs(sdp.OfferTo(c.offerFor(m.stays), x.codecs.Codecs()), sdp.SendRecv)
	if err != nil {
		c.log.Error("re-INVITE", "leg", x.name, "err", err)
		fail(500)
		return
	}
	c.reinvite(x, body, glareTries, func(res *sip.Response, err error) {
		switch {
		case c.moving != m || c.state != Transferring && c.state != Waiting:
			c.dismiss(x)
		case err != nil || x.over: // it has hung up meanwhile
			fail(480)
		case res.StatusCode >= 300:
			fail(res.StatusCode)
		case !c.usable(x, res):
			fail(488)
		default:
			c.feed(inAnswer, x, res)
		}
	})
}
