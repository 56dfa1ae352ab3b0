package b2bua

import (
	"time"

	"holdfast/sip/route"
	"holdfast/sip/sdp"
)

// begin prepares the caller's side and starts to dial.
func (c *Call) begin() {
	c.caller = &leg{call: c, name: "a", side: c.invite.Conn().Side(), user: c.origin.User, trunk: c.origin.Trunk}
	c.caller.use(c.invite.Conn())
	c.caller.dlg = dialogFrom(c.invite)
	c.caller.peerTag.Store(c.caller.dlg.remote.tag)
	c.legs = []*leg{c.caller}
	c.spare(func() {
		c.caller.identify() // so it is found again on another connection, and by a callback
		c.caller.learn(c.invite.Request())
		c.caller.shown = c.callerShown()
		c.caller.plainOK = c.caller.plainDevice()
	})
	c.agent.addLeg(c.caller)
	if c.caller.trunk != nil {
		c.onTrunk.Store(&c.caller.trunk.ID)
		c.agent.forceTrunk(c.caller.trunk) // the SBC has taken a channel for it already
		c.caller.counted = true
	}
	c.log.Info("call", "from", c.caller.aor(), "to", clip(c.query.Target), "kind", c.decision.Kind.String())
	if c.decision.Kind != route.Reject {
		c.media = c.agent.o.Media.Open(c.id, MediaOptions{Emergency: c.emergency && !c.modest})
		if r := c.takeCaller(); r.status != 0 {
			c.refusal = r
			c.endsBy(causeRefused, "box")
			c.feed(inRefused, nil, nil)
			return
		}
	}
	c.spare(c.tellCodecs)
	c.recognised()
	c.dial()
}

// takeCaller takes the caller's ports and its offer, if there is one.
func (c *Call) takeCaller() (r refusal) {
	if err := c.caller.openMedia(); err != nil {
		c.log.Error("no media ports", "err", err)
		return refusal{status: 503, reason: "Service Unavailable"}
	}
	if !c.spare(func() { r = c.readOffer() }) {
		c.offered, c.wants, c.caller.peer = false, sdp.DefaultOffer(), nil
	}
	return r
}

func (c *Call) readOffer() refusal {
	req := c.invite.Request()
	if len(req.Body()) == 0 {
		c.wants = sdp.DefaultOffer()
		return refusal{}
	}
	d, r := c.caller.describes(req)
	if r.status != 0 {
		if c.emergency { // whatever is wrong with it, the call goes on: the box makes the offer
			c.wants = sdp.DefaultOffer()
			return refusal{}
		}
		return r
	}
	c.wants, c.offered = sdp.Filter(d.Codecs), true
	if len(sdp.OfferTo(c.wants, nil)) == 0 {
		if !c.emergency {
			return refusal{status: 488, reason: "No Supported Codec"}
		}
		c.wants = sdp.DefaultOffer() // it will not be understood, but it will be seen, and called back
	}
	if c.emergency {
		c.caller.plainOK = true // better heard by others than not at all
	}
	if err := c.caller.takeOffer(d); err != nil {
		if c.emergency { // no key that the box knows: it offers its own
			c.offered, c.wants = false, sdp.DefaultOffer()
			return refusal{}
		}
		c.log.Info("offer refused", "leg", "a", "err", err)
		return refusal{status: 488, reason: "SRTP Required"}
	}
	return refusal{}
}

// ptime is the packet time that the caller asked for, for every leg: the box does not repacketise.
func (c *Call) ptime() int {
	if c.offered && c.caller.peer != nil {
		return c.caller.peer.Ptime
	}
	return 0
}

// dial carries out the decision in force.
func (c *Call) dial() {
	c.ringsAt.Store(nil)
	c.spareDesk()
	if c.moving != nil && c.decision.Kind == route.ToUser {
		c.decision.CallerID = c.moving.stays.shown // who calls now, not who transferred
	}
	d := c.decision
	c.trunks, c.silent = nil, nil // of the target before
	if d.Away {
		d.Targets = c.goesAway(d)
	}
	switch {
	case d.Away && len(d.Targets) == 0:
		c.feed(inExhausted, nil, nil)
	case len(d.Targets) > 0:
		c.dialTargets(d.Targets)
	case d.Kind == route.ToUser:
		c.dialUser(d.User)
	case d.Kind == route.ToTrunk || d.Kind == route.Emergency:
		c.outside = outside{d.Number, d.CallerID}
		c.trunks = c.orderTrunks(d.Trunks)
		c.tryTrunk()
	default:
		c.refusal = refusal{status: d.Status, reason: d.Reason}
		if d.Kind != route.Reject { // a feature code
			c.refusal = refusal{status: 403, reason: "Forbidden"}
		}
		c.refusedBy("box")
		if c.announced && d.Announce { // first the caller is to hear why
			c.after(announceFor, func() { c.feed(inRefused, nil, nil) })
			return
		}
		c.feed(inRefused, nil, nil)
	}
}

// announceFor is how long a caller hears that nobody can be reached before the call is refused.
const announceFor = 12 * time.Second

// refusedBy notes why a call that nobody has answered ends; a transfer that fails ends none.
func (c *Call) refusedBy(who string) {
	if c.state == Dialling {
		c.endsBy(causeRefused, who)
	}
}

// next asks the router where the call goes after the target's outcome. A refusal that is about the call itself (no
// codec in common, say) is the same everywhere: the caller gets it.
func (c *Call) next() {
	c.ringing.stop()
	o, ok := c.outcome()
	if !ok {
		c.refusedBy("callee")
		c.feed(inRefused, nil, nil)
		return
	}
	wasHelp := c.dialsEmergency()
	c.decision = route.After(c.decision, o)
	c.helpGoesOn(wasHelp)
	if c.decision.Kind == route.Reject && c.refusal.status != 0 && c.decision.Status == 480 && !c.emergency {
		// Nowhere else to go: the caller hears what the callee's side said.
		r := c.refusal.forCaller()
		c.decision.Status, c.decision.Reason = r.status, r.reason
	}
	c.dial()
}
