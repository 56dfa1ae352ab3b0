package b2bua

import (
	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
)

// A phone may take part in a call without an offer of its own (RFC 3261 §13.2.1). It is offered in the 2xx what the party can with whom
// it wants to talk, and only its ACK says whether that serves. Until then the call goes on as if the phone was not there.

// offerTaker answers the phone's INVITE with an offer.
func (c *Call) offerTaker(n *leg, t take) refusal {
	codecs := c.wants
	if stays := c.staysFor(t); stays != nil {
		codecs = c.offerFor(stays)
	}
	body, err := n.offerCodecs(sdp.OfferTo(codecs, nil), sdp.SendRecv)
	if err != nil {
		c.log.Error("offer to a phone that takes part", "leg", n.name, "err", err)
		return refusal{status: 500, reason: "Server Internal Error"}
	}
	ok := n.uas.Response(200, "OK")
	c.complete(n, n.uas.Request(), ok, body)
	n.answered, n.owes = true, true
	c.save(n)
	n.uas.Respond(ok)
	c.await(n, ok, func(ack *sip.Request) { c.takerAnswered(n, t, ack) })
	return refusal{}
}

// takerAnswered takes the answer in the phone's ACK.
func (c *Call) takerAnswered(n *leg, t take, ack *sip.Request) {
	d, r := parseBody(ack)
	if r.status == 0 {
		g, err := agreed(n, d.Codecs)
		if err == nil {
			err = n.takeAnswer(d)
		}
		if err != nil {
			r = refusal{status: 488, reason: err.Error()}
		}
		n.codecs, n.ours = g.B, g.Ours
	}
	if r.status != 0 {
		c.log.Warn("answer in ACK cannot be used", "leg", n.name, "err", r.reason)
		c.dismiss(n)
		return
	}
	c.exclusive(func() { c.takesNow(n, t) })
}

// takesNow lets the phone take part, if it still may: much can have happened since its INVITE.
func (c *Call) takesNow(n *leg, t take) {
	if n.over {
		return
	}
	if r := c.mayTake(t); r.status != 0 {
		c.log.Info("too late to take part", "leg", n.name, "aor", n.aor(), "why", r.reason)
		c.dismiss(n)
		return
	}
	if c.state == Dialling {
		c.log.Info("picked up", "leg", n.name, "aor", n.aor())
		c.feed(inAnswer, n, nil)
		return
	}
	n.takes = t.of
	c.feed(inTaken, n, nil)
}
