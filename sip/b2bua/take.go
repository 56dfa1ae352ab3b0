package b2bua

import (
	"errors"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// take is a phone's INVITE that wants to take part in a call that is there already.
type take struct {
	tx        *stack.ServerTx
	user      *site.User
	of        *leg   // whose place it wants (Replaces)
	earlyOnly bool   // only while that rings
	place     string // the parked party there; neither: the call that rings
}

// taken decides whether the phone may, and starts it.
func (c *Call) taken(t take) {
	r := c.mayTake(t)
	if r.status == 0 && c.takers == maxTakers {
		r = refusal{status: 403, reason: "Too Many Tries"}
	}
	if r.status != 0 {
		t.tx.Reply(r.status, r.reason)
		return
	}
	c.takers++
	n, r := c.taker(t)
	switch {
	case r.status != 0:
	case len(t.tx.Request().Body()) == 0:
		r = c.offerTaker(n, t)
	default:
		r = c.takesOffer(n, t)
	}
	if r.status != 0 {
		t.tx.Reply(r.status, r.reason)
		n.answered, n.over = false, true
		c.dismiss(n)
	}
}

// takesOffer goes on with the phone's offer.
func (c *Call) takesOffer(n *leg, t take) refusal {
	d, r := parseBody(t.tx.Request())
	switch {
	case r.status != 0:
		return r
	case n.takeOffer(d) != nil:
		return refusal{status: 488, reason: "SRTP Required"}
	case c.state == Dialling:
		return c.picksUp(n, d)
	}
	return c.takes(n, d, t)
}

// mayTake applies RFC 3891 §3, and what the box allows: a call that rings may be taken by every user of the site, a
// running one only by the same user's other phone, a parked one by everybody.
func (c *Call) mayTake(t take) refusal {
	busy := refusal{status: 491, reason: "Request Pending"}
	ringing := c.state == Dialling && len(c.trying()) > 0
	switch {
	case c.state == Over:
		return refusal{status: 603, reason: "Decline"}
	case t.of == nil && t.place == "":
		if !ringing {
			return refusal{status: 404, reason: "No Call To Pick Up"}
		}
	case t.of == nil:
		if c.moving == nil || c.moving.place != t.place {
			return refusal{status: 404, reason: "Nothing Parked There"}
		}
		if c.changing {
			return busy
		}
	case t.of.ringsFor():
		if !ringing {
			return busy
		}
	case t.of.over:
		return refusal{status: 603, reason: "Decline"}
	case !t.of.answered: // a dialog that the box has not begun is not replaced before its answer
		return refusal{status: 481, reason: "Call/Transaction Does Not Exist"}
	case t.earlyOnly:
		return refusal{status: 486, reason: "Busy Here"}
	case t.of.user == nil || t.of.user.ID != t.user.ID || c.emergency:
		return refusal{status: 403, reason: "Not Your Call"}
	case c.state != Up || c.changing || c.other(t.of) == nil:
		return busy
	}
	return refusal{}
}

// maxTakers bounds how often phones try to take part in one call: each leaves a leg, which is in the call's record.
const maxTakers = 32

// taker makes the phone's leg out of its INVITE.
func (c *Call) taker(t take) (*leg, refusal) {
	n := &leg{call: c, name: c.legName(), side: stack.Access, user: t.user, uas: t.tx, shown: shownUser(t.user)}
	n.use(t.tx.Conn())
	n.plainOK = n.plainDevice()
	n.dlg = dialogFrom(t.tx)
	n.peerTag.Store(n.dlg.remote.tag)
	n.identify()
	n.learn(t.tx.Request())
	if err := n.openMedia(); err != nil {
		return n, refusal{status: 503, reason: "Service Unavailable"}
	}
	c.legs = append(c.legs, n)
	c.agent.addLeg(n)
	return n, refusal{}
}

// staysFor is the party that the phone is to talk to; nil while the call rings.
func (c *Call) staysFor(t take) *leg {
	switch {
	case c.state == Dialling:
		return nil
	case t.of != nil:
		return c.other(t.of)
	}
	return c.moving.stays
}

// picksUp lets the phone answer the call that rings elsewhere.
func (c *Call) picksUp(n *leg, d *sdp.Description) refusal {
	if _, err := sdp.Agree(c.wants, sdp.Filter(d.Codecs), d.Codecs); err != nil {
		return refusal{status: 488, reason: "No Common Codec"}
	}
	c.log.Info("picked up", "leg", n.name, "aor", n.aor())
	c.feed(inAnswer, n, nil)
	return refusal{}
}

// tiePickup fixes the codec between the caller and a phone that picks up.
func (c *Call) tiePickup(n *leg) error {
	offered := sdp.Filter(n.peer.Codecs)
	if n.answered { // it made none: these are of the box's
		offered = n.offer
	}
	g, err := sdp.Agree(c.wants, offered, n.peer.Codecs)
	if err != nil {
		return err
	}
	n.codecs, n.ours = g.B, g.Ours
	c.caller.codecs, c.caller.ours = g.A, g.A
	if err := c.caller.reclaim(); err != nil {
		return err
	}
	return errors.Join(n.apply(c.callerDirection()), c.caller.apply(n.peer.Direction))
}

// accept answers the INVITE of a phone that takes part.
func (c *Call) accept(n *leg, dir sdp.Direction) error {
	body, err := n.answer(dir)
	if err != nil {
		return err
	}
	ok := n.uas.Response(200, "OK")
	c.complete(n, n.uas.Request(), ok, body)
	n.answered = true
	c.save(n)
	n.uas.Respond(ok)
	c.await(n, ok, func(*sip.Request) {})
	return nil
}

// takes offers the party that stays what the phone can; once it has answered, the phone has the place.
func (c *Call) takes(n *leg, d *sdp.Description, t take) refusal {
	stays := c.staysFor(t)
	if stays.onAck != nil || stays.peer == nil {
		return refusal{status: 491, reason: "Request Pending"}
	}
	codecs := sdp.OfferTo(d.Codecs, stays.codecs.Codecs())
	if len(codecs) == 0 {
		return refusal{status: 488, reason: "No Supported Codec"}
	}
	body, err := stays.offerCodecs(codecs, d.Direction)
	if err != nil {
		return refusal{status: 500, reason: "Server Internal Error"}
	}
	c.changing = true
	old, before := c.other(stays), stays.codecs
	c.mayLeave(n)
	c.reinvite(stays, body, glareTries, func(res *sip.Response, err error) {
		defer c.free()
		r := c.taking(n, stays, d, res, err)
		if n.over {
			if r.status == 0 && c.state != Over && !stays.over {
				c.putBack(stays, old, before)
			}
			return
		}
		if r.status == 0 && (c.state != Up && c.state != Waiting || stays.over) {
			r = refusal{status: 481, reason: "Call/Transaction Does Not Exist"}
		}
		if r.status != 0 {
			n.uas.Reply(r.status, r.reason)
			n.over = true
			c.dismiss(n)
			return
		}
		n.takes = t.of
		c.feed(inTaken, n, nil)
	})
	return refusal{}
}

// taking fits the answer of the party that stays.
func (c *Call) taking(n, stays *leg, d *sdp.Description, res *sip.Response, err error) refusal {
	if err != nil {
		return refusal{status: 480, reason: "Temporarily Unavailable"}
	}
	if res.StatusCode >= 300 {
		return refusal{max(res.StatusCode, 400), reason(max(res.StatusCode, 400)), true}
	}
	fd, r := parseBody(res)
	if r.status != 0 {
		return refusal{status: 488, reason: "Not Acceptable Here"}
	}
	g, err := sdp.Agree(d.Codecs, stays.offer, fd.Codecs)
	if err == nil {
		err = stays.takeAnswer(fd)
	}
	if err != nil {
		return refusal{status: 488, reason: "No Common Codec"}
	}
	stays.codecs, stays.ours = g.B, g.Ours
	n.codecs, n.ours = g.A, g.A
	return refusal{}
}

// takeOver gives the phone its place.
func (c *Call) takeOver(n *leg) {
	old, stays := n.takes, (*leg)(nil)
	if m := c.moving; m != nil {
		old, stays = m.by, m.stays
		m.timer.stop()
		c.ringing.stop()
		c.stopWaiting()
		c.ringsAt.Store(nil)
		c.unparkFrom(m)
		c.moving = nil
	} else {
		stays = c.other(old)
	}
	c.replace(old, n)
	if n.answered { // an offer of the box's: now the party that stays is asked
		c.exclusive(func() { c.bring(n, stays) })
		return
	}
	err := c.accept(n, stays.peer.Direction)
	if err == nil {
		err = c.bridgeParties(n, stays)
	}
	if err != nil {
		c.unjoined(n, err)
		return
	}
	c.log.Info("taken over", "leg", n.name, "aor", n.aor())
}
