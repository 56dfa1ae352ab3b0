package b2bua

import (
	"errors"
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/location"
	"holdfast/sip/registrar"
	"holdfast/sip/route"
	"holdfast/sip/sdp"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

const (
	maxBranches  = 20                // phones of one user that ring together
	trunkSilence = 4 * time.Second   // no response at all from a trunk: the next one is tried
	ringAtTrunk  = 180 * time.Second // timer C (RFC 3261 §16.6): outside it may ring so long
)

// dialUser rings all phones of the user that can be reached.
func (c *Call) dialUser(u *site.User) {
	c.refusal = refusal{status: 480, reason: "Temporarily Unavailable"}
	c.ringsAt.Store(&u.ID)
	c.ringPhones(u, c.decision.CallerID, nil)
	if len(c.trying()) == 0 {
		if !c.waitForPhone(u) {
			c.feed(inExhausted, nil, nil)
		}
		return
	}
	c.ringing = c.after(c.decision.RingFor, c.ringTime)
}

// ringPhones rings the user's phones that can be reached and that only, where given, lets through. A phone that is in an
// emergency call is rung by its callback alone.
func (c *Call) ringPhones(u *site.User, id route.CallerID, only func(instance, binding string, flow uint64) bool) {
	for _, b := range registrar.Targets(c.agent.o.Bindings(u.ID)) {
		if b.Flow == 0 || len(c.trying()) == maxBranches || only != nil && !only(b.Instance, b.URI, uint64(b.Flow)) {
			continue
		}
		conn, ok := c.agent.o.Stack.Conn(uint64(b.Flow))
		if !ok || conn.Closed() {
			continue
		}
		if !c.emergency && c.agent.callsForHelp(conn, u) {
			c.refusal = refusal{status: 486, reason: "Busy Here"}
			continue
		}
		var target sip.Uri
		err := sip.ParseUri(b.URI, &target)
		if err == nil {
			err = c.dialContact(u, b.Instance, b.URI, target, id, conn)
		}
		if err != nil {
			c.log.Warn("cannot ring a phone", "aor", u.ID, "err", err)
			if errors.Is(err, ErrNoPorts) {
				c.refusal = refusal{status: 503, reason: "Service Unavailable"}
			}
		}
	}
}

func (c *Call) ringTime() {
	c.refusal = refusal{status: 480, reason: "No Answer"}
	c.timedOut = true
	c.feed(inRingTime, nil, nil)
}

// trying are the branches that have not ended yet.
func (c *Call) trying() []*leg {
	var out []*leg
	for _, l := range c.branches {
		if l.pending && !l.cancelled {
			out = append(out, l)
		}
	}
	return out
}

func (c *Call) newBranch(side stack.Side) (*leg, error) {
	l := &leg{call: c, name: c.legName(), side: side, own: true}
	if err := l.openMedia(); err != nil {
		return nil, err
	}
	c.branches = append(c.branches, l)
	c.legs = append(c.legs, l)
	return l, nil
}

func (c *Call) legName() string { return fmt.Sprintf("b%d", len(c.legs)) }

// dialContact sends the INVITE to one phone over its own connection (RFC 5626 §5.3); u is nil for a phone of nobody.
func (c *Call) dialContact(u *site.User, instance, binding string, target sip.Uri, id route.CallerID, conn *stack.Conn) error {
	target.Headers = nil // they may not stand in a Request-URI (RFC 3261 §19.1.1)
	l, err := c.newBranch(stack.Access)
	if err != nil {
		return err
	}
	l.user, l.instance, l.binding = u, instance, binding
	domain := c.site.Doc().Site.Domain
	to := sip.Uri{Scheme: "sip", User: target.User, Host: domain}
	if u != nil {
		to.User, l.shown = u.Extension, shownUser(u)
	}
	l.dlg = c.agent.opens(dialog{
		local:  party{name: quoted(shownName(id)), uri: callerURI(id, domain)},
		remote: party{uri: to},
		target: target, contact: contactFor(conn),
	})
	if err := c.sendInvite(l, conn, nil); err != nil {
		c.dropBranch(l)
		return err
	}
	return nil
}

// sendInvite offers media to the branch and sends its INVITE.
func (c *Call) sendInvite(l *leg, conn *stack.Conn, headers []sip.Header) error {
	l.use(conn)
	l.plainOK = l.plainDevice() || c.calledPlain(l)
	c.lend(l)
	body, err := l.offerCodecs(sdp.OfferTo(c.wants, nil), c.callerDirection())
	if err != nil {
		return err
	}
	l.body, l.extra, l.bodyType = body, headers, location.SDP
	if l.trunk != nil && l.trunk.Location && c.dialsEmergency() {
		c.spare(func() { c.addLocation(l) })
	}
	return c.invites(l, conn)
}

// invites sends the branch's INVITE, again after a 422.
func (c *Call) invites(l *leg, conn *stack.Conn) error {
	req := l.dlg.request(sip.INVITE, conn)
	if mf := c.invite.Request().MaxForwards(); mf != nil {
		hops := sip.MaxForwardsHeader(min(mf.Val(), 70) - 1)
		req.ReplaceHeader(&hops)
	}
	for _, h := range l.extra {
		req.AppendHeader(h)
	}
	c.proposeTimer(l, req)
	setBody(req, l.bodyType, l.body)
	c.agent.addLeg(l)
	branch, _ := req.Via().Params.Get("branch")
	l.branch = branch
	c.saveEarly(l, branch, "")
	tx, err := c.send(conn, req, func(res *sip.Response, err error) {
		if !c.post(gotResponse{l, res, err}) && isAnswer(res, err) {
			c.agent.Stray(conn, res)
		}
	})
	if err != nil {
		return err
	}
	l.invite, l.pending = tx, true
	return nil
}

// callerDirection is what the callee is offered: the caller's own direction. Who is transferred to hears and is heard.
func (c *Call) callerDirection() sdp.Direction {
	if c.moving == nil && c.caller.peer != nil {
		return c.direction(c.caller)
	}
	return sdp.SendRecv
}

// dropBranch gives a failed branch's ports and place on the trunk back at once.
func (c *Call) dropBranch(l *leg) {
	l.patience.stop()
	l.progress.stop()
	if l.counted {
		l.counted = false
		c.agent.leaveTrunk(l.trunk)
		c.placed()
	}
	if l.media != nil && !l.answered && !l.closed {
		if l.peer != nil {
			l.stats = l.media.Stats()
		}
		l.closed = true
		l.media.Close()
	}
	if c.early == l {
		c.early = nil
	}
}

// cancelBranches cancels every branch that is still trying, but for the one.
func (c *Call) cancelBranches(but *leg, why sip.Header) {
	for _, l := range c.branches {
		if l == but || !l.pending || l.cancelled {
			continue
		}
		l.cancelled = true
		l.patience.stop()
		l.progress.stop()
		if l.invite != nil {
			if why != nil {
				l.invite.Cancel(why)
			} else {
				l.invite.Cancel()
			}
		}
	}
}
