package b2bua

import (
	"errors"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/route"
	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// transfer is one party handing the other on, or leaving it alone.
type transfer struct {
	by       *leg           // who transfers
	stays    *leg           // who gets another party
	from     *leg           // attended: the transferor's leg in the other call
	decision route.Decision // blind: where it goes
	told     subscription
	place    string // parked there
	timer    *timer // until it comes back
	recalled bool   // by has been rung once
}

// startTransfer tries the target; the party that stays remains connected to the transferor until somebody answers.
func (c *Call) startTransfer() {
	m := c.moving
	if m.from != nil {
		c.askFor(m.from)
		return
	}
	c.dialFor(m, m.decision)
}

// dialFor dials in the name of the party that stays.
func (c *Call) dialFor(m *transfer, d route.Decision) {
	c.decision, c.refusal, c.timedOut, c.trunks = d, refusal{}, false, nil
	c.wants = c.offerFor(m.stays)
	c.dial()
}

// offerFor is what a new party for the leg is offered: what the leg speaks now, what else it has shown to know, and last
// what the box knows (a phone that has answered with one codec may have more).
func (c *Call) offerFor(l *leg) []sdp.Codec {
	return merge(merge(l.codecs.Codecs(), l.can), sdp.DefaultOffer())
}

// usable takes the new party's answer; false if there is nothing in it for the party that stays.
func (c *Call) usable(l *leg, res *sip.Response) bool {
	d, r := l.answerIn(res)
	if r.status != 0 {
		c.log.Warn("answer cannot be used", "leg", l.name, "err", r.reason)
		return false
	}
	g, err := agreed(l, d.Codecs)
	if err == nil {
		err = l.takeAnswer(d)
	}
	if err != nil {
		c.log.Warn("answer cannot be used", "leg", l.name, "err", err)
		return false
	}
	l.codecs, l.ours = g.B, g.Ours
	return true
}

// agreed is the stream that the leg's answer to the box's last offer fixes.
func agreed(l *leg, answered []sdp.Codec) (sdp.Agreement, error) {
	return sdp.Agree(l.offer, l.offer, answered)
}

// join gives the party that stays its new party. The transferor is told, and let go.
func (c *Call) join(x *leg, res *sip.Response) {
	m := c.moving
	c.ringing.stop()
	m.timer.stop()
	c.stopWaiting()
	c.cancelBranches(x, elsewhere)
	c.save(x)
	if x.invite != nil { // else it is the answer to a re-INVITE, acknowledged already
		x.ack(res.CSeq().SeqNo, nil)
	}
	c.notifyEnd(m, refusal{status: 200, reason: "OK"})
	c.moving = nil
	c.unparkFrom(m)
	c.replace(m.by, x)
	c.log.Info("transferred", "leg", x.name, "aor", x.aor())
	c.exclusive(func() { c.bring(x, m.stays) })
}

// replace puts a new leg in an old one's place in the call, and dismisses the old one.
func (c *Call) replace(old, with *leg) {
	if c.caller == old {
		c.caller = with
	} else {
		c.callee = with
	}
	c.dismiss(old)
	c.placed()
}

// bring makes one stream of both: the new party x has answered, now r is offered what x can.
func (c *Call) bring(x, r *leg) {
	if c.state == Over || x.over || r.over {
		return
	}
	if r.onAck != nil || r.peer == nil { // the handshake before is not through
		c.settled = append(c.settled, func() { c.exclusive(func() { c.bring(x, r) }) })
		return
	}
	body, err := r.offerCodecs(sdp.OfferTo(x.peer.Codecs, r.codecs.Codecs()), x.peer.Direction)
	if err != nil {
		c.unjoined(r, err)
		return
	}
	c.changing = true
	c.reinvite(r, body, glareTries, func(res *sip.Response, err error) {
		defer c.free()
		if c.state == Over || x.over || r.over {
			return
		}
		switch {
		case errors.Is(err, stack.ErrConnClosed) && r.user != nil: // away for a moment: it goes on with what it had
			err = c.fit(x, r)
		case err != nil || res.StatusCode == 408 || res.StatusCode == 481:
			c.lost(r, causeDead, res)
			return
		case res.StatusCode >= 300:
			err = c.fit(x, r)
		default:
			err = c.fitAnswer(x, r, res)
		}
		if err == nil {
			err = c.bridgeParties(x, r)
		}
		if err != nil {
			c.unjoined(r, err)
		}
	})
}

// unjoined ends a call whose parties have nothing in common.
func (c *Call) unjoined(r *leg, err error) {
	c.log.Warn("the parties of a transfer cannot be joined", "leg", r.name, "err", err)
	c.endsBy(causeNoCodec, "box")
	c.feed(inDead, nil, nil)
}

// fit keeps r's stream as it is, if x has answered with its codec too.
func (c *Call) fit(x, r *leg) error {
	_, err := sdp.Agree(x.peer.Codecs, r.codecs.Codecs(), r.codecs.Codecs())
	if err != nil {
		return err
	}
	return c.settle(x, r.codecs.Codecs())
}

// fitAnswer takes r's answer to what x can.
func (c *Call) fitAnswer(x, r *leg, res *sip.Response) error {
	d, no := r.describes(res)
	if no.status != 0 {
		return errors.New(no.reason)
	}
	g, err := sdp.Agree(x.peer.Codecs, r.offer, d.Codecs)
	if err == nil {
		err = r.takeAnswer(d)
	}
	if err != nil {
		return err
	}
	r.codecs, r.ours = g.B, g.Ours
	return c.settle(x, g.A.Codecs())
}

// settle fixes x's codec, which was one of several that x answered with. Did x name another one first, it is told.
func (c *Call) settle(x *leg, codecs []sdp.Codec) error {
	first := x.codecs.Audio
	g, err := sdp.Agree(codecs, x.offer, x.peer.Codecs)
	if err != nil {
		return err
	}
	x.codecs, x.ours = g.B, g.Ours
	if g.B.Audio.Same(first) {
		return nil
	}
	body, err := x.offerCodecs(x.codecs.Codecs(), x.local.Direction)
	if err != nil {
		return err
	}
	c.queued = append(c.queued, func() {
		if c.state == Over || x.over {
			return
		}
		c.changing = true
		c.reinvite(x, body, glareTries, func(res *sip.Response, err error) {
			defer c.free()
			if err == nil && res.StatusCode < 300 && !x.over {
				c.takeRefreshed(x, res)
			}
		})
	})
	return nil
}

// bridgeParties connects both.
func (c *Call) bridgeParties(x, r *leg) error {
	c.quiet(x)
	c.quiet(r)
	r.keyPause = false // if it took no key while it was alone, it is asked once more
	c.media.Connect(x.media, r.media)
	return errors.Join(x.apply(c.direction(r)), r.apply(c.direction(x)))
}

// keep ends a transfer that brought nobody: the transferor hears why and has its party still.
func (c *Call) keep() {
	m := c.moving
	c.moving = nil
	c.ringing.stop()
	c.stopWaiting()
	c.ringsAt.Store(nil)
	if c.refusal.status < 300 {
		c.refusal = refusal{status: 480, reason: "Temporarily Unavailable"}
	}
	c.log.Info("transfer failed", "status", c.refusal.status)
	c.notifyEnd(m, refusal{status: c.refusal.status, reason: reason(c.refusal.status)})
}

// leave lets a transferor go that has hung up while the target rings: who waits hears that.
func (c *Call) leave() {
	c.dismiss(c.moving.by)
	c.entertain(c.moving.stays, RingBack)
}

// recall rings the user who left the party alone, once: the transfer's target does not answer, or nobody fetched the
// parked call.
func (c *Call) recall() {
	m := c.moving
	m.timer.stop()
	if c.refusal.status >= 300 {
		c.notifyEnd(m, refusal{status: c.refusal.status, reason: reason(c.refusal.status)})
	}
	if m.recalled || m.by.user == nil {
		c.endsBy(causeRefused, "box")
		c.feed(inNobody, nil, nil)
		return
	}
	m.recalled = true
	c.entertain(m.stays, RingBack)
	q := route.Query{From: route.FromUser(m.by.user), Scheme: "sip", Target: m.by.user.Extension}
	c.log.Info("recall", "aor", m.by.aor())
	c.dialFor(m, c.decide(m, q))
}

// alone reports whether the leg waits for another party.
func (c *Call) alone(l *leg) bool {
	return c.state == Waiting && c.moving != nil && c.moving.stays == l
}
