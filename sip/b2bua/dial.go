package b2bua

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/elin"
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
func (c *Call) ringPhones(u *site.User, id route.CallerID, only func(elin.Caller) bool) {
	for _, b := range registrar.Targets(c.agent.o.Bindings(u.ID)) {
		if b.Flow == 0 || len(c.trying()) == maxBranches || only != nil && !only(elin.Caller{Instance: b.Instance, Binding: b.URI}) {
			continue
		}
		conn, ok := c.agent.o.Stack.Conn(uint64(b.Flow))
		if !ok || conn.Closed() {
			continue
		}
		if !c.emergency && c.agent.callsForHelp(conn) {
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
	if dev, ok := c.site.DeviceByAddress(conn.Remote().Addr()); ok && dev.PlainRTP {
		l.plainOK = true
	}
	domain := c.site.Doc().Site.Domain
	to := sip.Uri{Scheme: "sip", User: target.User, Host: domain}
	if u != nil {
		to.User, l.shown = u.Extension, shownUser(u)
	}
	l.dlg = dialog{
		callID: stack.NewCallID(),
		local:  party{name: quoted(shownName(id)), uri: callerURI(id, domain), tag: stack.NewTag()},
		remote: party{uri: to},
		target: target, contact: contactFor(conn),
	}
	if err := c.sendInvite(l, conn, nil); err != nil {
		c.dropBranch(l)
		return err
	}
	return nil
}

// sendInvite offers media to the branch and sends its INVITE.
func (c *Call) sendInvite(l *leg, conn *stack.Conn, headers []sip.Header) error {
	l.use(conn)
	c.lend(l)
	body, err := l.offerCodecs(sdp.OfferTo(c.wants, nil), c.callerDirection())
	if err != nil {
		return err
	}
	l.body, l.extra, l.bodyType = body, headers, location.SDP
	if l.trunk != nil && l.trunk.Location && c.dialsEmergency() {
		c.addLocation(l)
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
	tx, err := c.send(conn, req, func(res *sip.Response, err error) { c.post(gotResponse{l, res, err}) })
	if err != nil {
		return err
	}
	l.invite, l.pending = tx, true
	return nil
}

// callerDirection is what the callee is offered: the caller's own direction. Who is transferred to hears and is heard.
func (c *Call) callerDirection() sdp.Direction {
	if c.moving == nil && c.caller.peer != nil {
		return c.caller.peer.Direction
	}
	return sdp.SendRecv
}

// orderTrunks puts the trunks that answer before those that do not; none is left out.
func (c *Call) orderTrunks(list []*site.Trunk) []*site.Trunk {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b *site.Trunk) int {
		return rank(c.agent.o.Trunks.Up(a.ID)) - rank(c.agent.o.Trunks.Up(b.ID))
	})
	return out
}

func rank(up bool) int {
	if up {
		return 0
	}
	return 1
}

// tryTrunk dials the next trunk; without one left the target is exhausted.
func (c *Call) tryTrunk() {
	if !c.turnsBack() {
		c.log.Warn("the call goes round: out by the trunk that it came from, and back", "to", c.query.Target)
		c.refusal = refusal{status: 482, reason: "Loop Detected"}
		c.refusedBy("box")
		c.feed(inRefused, nil, nil)
		return
	}
	if c.refusal.status == 0 {
		c.refusal = noTrunk
	}
	for len(c.trunks) > 0 {
		t := c.trunks[0]
		c.trunks = c.trunks[1:]
		victim, ok := c.takeTrunk(t)
		if !ok {
			c.log.Warn("trunk is full", "trunk", t.ID)
			c.refusal = noTrunk
			continue
		}
		l, err := c.newBranch(stack.Trunk)
		if err != nil {
			c.agent.leaveTrunk(t)
			c.refusal = refusal{status: 503, reason: "Service Unavailable"}
			continue
		}
		l.trunk, l.counted, l.pending = t, true, true
		l.shown = route.CallerID{Number: c.decision.Number}
		c.onTrunk.Store(&t.ID)
		l.patience = c.after(c.connectPatience(t), func() { c.giveUp(l, "no connection") })
		c.connectTrunk(t, victim, func(conn *stack.Conn, err error) { c.post(gotConn{l, conn, err}) })
		return
	}
	if len(c.trying()) == 0 {
		c.feed(inExhausted, nil, nil)
	}
}

// giveUp leaves a trunk that does not answer for the next one. What it may still answer is cancelled or hung up: never
// two live legs.
func (c *Call) giveUp(l *leg, why string) {
	c.log.Warn("trunk does not answer", "trunk", l.trunk.ID, "why", why)
	l.cancelled = true
	if l.invite != nil {
		l.invite.Cancel()
	}
	if !c.comeBackTo(l) {
		c.trunkFailed(l, 408, nil)
	}
	c.dropBranch(l)
	c.tryTrunk()
}

// trunkConn goes on once the connection to the SBC is there.
func (c *Call) trunkConn(in gotConn) {
	l := in.leg
	l.pending = false
	if c.state == Over || l.cancelled {
		c.dropBranch(l)
		return
	}
	err := in.err
	if err == nil {
		err = c.dialTrunk(l, in.conn)
	}
	if err != nil {
		c.log.Warn("trunk cannot be used", "trunk", l.trunk.ID, "err", err)
		c.trunkFailed(l, 408, nil)
		c.dropBranch(l)
		c.tryTrunk()
		return
	}
	c.awaitTrunk(l)
	if c.ringing == nil || c.ringing.over {
		c.ringing = c.after(ringAtTrunk, c.rangAtTrunk)
	}
}

// dialTrunk sends the INVITE to the SBC: E.164, the box's own names, early offer (the box always makes one).
func (c *Call) dialTrunk(l *leg, conn *stack.Conn) error {
	t := l.trunk
	host := trunkHost(t)
	self := conn.Contact().Addr().String()
	number, id := c.outside.number, c.outside.caller
	if c.dialsEmergency() {
		number = c.decision.NumberFor(t)
		id = route.CallerID{Number: c.shows(l), Name: id.Name}
	}
	to := sip.Uri{Scheme: "sip", User: number, Host: host, UriParams: sip.NewParams()}
	if strings.HasPrefix(number, "urn:") {
		if err := sip.ParseUri(number, &to); err != nil {
			return err
		}
	} else {
		to.UriParams.Add("user", "phone")
	}
	l.dlg = dialog{callID: stack.NewCallID(), local: party{name: quoted(shownName(id)), uri: callerURI(id, self), tag: stack.NewTag()},
		remote: party{uri: to}, target: to, contact: contactFor(conn)}
	return c.sendInvite(l, conn, assertedIdentity(id, self))
}

// trunkHost is the host part of URIs towards the SBC.
func trunkHost(t *site.Trunk) string {
	host := t.Domain
	if host == "" {
		host, _, _ = net.SplitHostPort(t.Address)
	}
	return host
}

// dropBranch gives a failed branch's ports and place on the trunk back at once.
func (c *Call) dropBranch(l *leg) {
	l.patience.stop()
	l.progress.stop()
	if l.counted {
		l.counted = false
		c.agent.leaveTrunk(l.trunk)
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

// response handles what a branch's INVITE got.
func (c *Call) response(in gotResponse) {
	l, res := in.leg, in.res
	c.heardFromTrunk(l, res)
	switch {
	case in.err != nil:
		l.pending = false
		status := 408
		if errors.Is(in.err, stack.ErrConnClosed) {
			status = 480
			c.connectionFell(l)
		}
		c.branchFailed(l, status, nil)
	case res.StatusCode < 200:
		c.provisional(l, res)
	case res.StatusCode < 300:
		c.success(l, res)
	case res.StatusCode == 422 && !l.cancelled && c.longerTimer(l, res):
	case res.StatusCode < 400 && !l.cancelled && c.state.dials() && l.user != nil && c.redirect(l, res):
	default:
		l.pending = false
		c.branchFailed(l, res.StatusCode, res)
	}
}

func (c *Call) provisional(l *leg, res *sip.Response) {
	if res.StatusCode == 100 || l.answered {
		return
	}
	if to := res.To(); to != nil {
		tag, _ := to.Params.Get("tag")
		l.early1xx = tag
		c.saveEarly(l, l.branch, tag)
	}
	if !c.acknowledge(l, res) || l.cancelled {
		return
	}
	if len(res.Body()) > 0 && len(c.trying()) == 1 {
		c.feed(inEarly, l, res)
		return
	}
	c.feed(inRinging, l, res)
}

// success takes a 2xx: the first of the branch may win the call; a repeated one is acknowledged again; one of another
// dialog (an SBC that forks) is ended.
func (c *Call) success(l *leg, res *sip.Response) {
	tag, _ := res.To().Params.Get("tag")
	switch {
	case !l.answered:
		l.answered, l.pending = true, false
		l.dlg.accepted(res)
		l.peerTag.Store(l.dlg.remote.tag)
		l.learn(res)
		c.keepTimer(l, res)
		if l.cancelled { // it crossed the CANCEL
			c.hangUp(l, res)
			return
		}
		if c.moving != nil && !c.usable(l, res) {
			c.hangUp(l, res)
			c.dismiss(l)
			c.branchFailed(l, 488, nil)
			return
		}
		c.feed(inAnswer, l, res)
	case tag != l.dlg.remote.tag:
		other := &leg{call: c, name: l.name, side: l.side, user: l.user, trunk: l.trunk, conn: l.conn, dlg: l.dlg, answered: true}
		other.dlg.routes = nil
		other.dlg.accepted(res)
		c.hangUp(other, res)
	case l.acked:
		l.ack(res.CSeq().SeqNo, nil)
	}
}

// hangUp ends a branch that answered although nobody waits for it any more: a late 2xx after CANCEL.
func (c *Call) hangUp(l *leg, res *sip.Response) {
	if res == nil { // it was a pickup that came too late
		c.dismiss(l)
		return
	}
	l.ack(res.CSeq().SeqNo, nil)
	l.bye()
}

// failover are a trunk's answers that send the call to the next trunk.
func failover(status int) bool {
	return status == 408 || status == 480 || status == 502 || status == 503 || status == 504
}

func (c *Call) branchFailed(l *leg, status int, res *sip.Response) {
	l.status = status
	c.forget(l)
	wasCancelled := l.cancelled
	c.dropBranch(l)
	if !c.state.dials() || wasCancelled {
		return
	}
	c.log.Info("branch failed", "leg", l.name, "aor", l.aor(), "status", status)
	if l.trunk != nil {
		c.trunkFailed(l, status, res)
		if (c.dialsEmergency() || failover(status)) && len(c.trunks) > 0 {
			c.worst(status)
			c.tryTrunk()
			return
		}
	}
	c.worst(status)
	if status >= 600 { // RFC 3261 §16.7 step 5: the user has declined everywhere
		c.cancelBranches(nil, nil)
	}
	if len(c.trying()) > 0 {
		c.feed(inFailed, l, nil)
		return
	}
	c.feed(inExhausted, l, nil)
}

// worst keeps the best refusal among the branches (RFC 3261 §16.7 step 6): a 6xx before all, then what says most.
func (c *Call) worst(status int) {
	if weight(status) > weight(c.refusal.status) || c.refusal.status == 0 {
		c.refusal = refusal{status, reason(status), true}
	}
}

// noTrunk is what a caller hears when there is no way outside.
var noTrunk = refusal{status: 480, reason: "No Trunk Available"}

// shown is what a caller is told of a callee's status: what means something to a phone. A challenge, an extension or a
// server's trouble on the other side means nothing, or the wrong thing: a phone would ask for a password, or leave.
func shown(status int) int {
	switch status {
	case 403, 404, 410, 480, 484, 486, 488, 600, 603, 604, 606:
		return status
	case 406, 415:
		return 488
	case 408, 487:
		return 480
	}
	if status >= 300 && status < 400 {
		return 480
	}
	return 500
}

func weight(status int) int {
	switch {
	case status >= 600:
		return 6
	case status == 486:
		return 5
	case status == 480 || status == 408 || status == 487:
		return 1
	case status >= 500:
		return 2
	case status >= 300 && status < 400:
		return 0
	}
	return 4
}

// outcome tells the router how the target ended; false if it would end so anywhere.
func (c *Call) outcome() (route.Outcome, bool) {
	if c.timedOut {
		c.timedOut = false
		return route.NoAnswer, true
	}
	switch s := c.refusal.status; s {
	case 486, 600:
		return route.Busy, true
	case 603:
		return route.Declined, true
	case 400, 405, 406, 413, 415, 416, 420, 482, 483, 488, 606:
		return 0, c.emergency // an emergency call is never given up before its last resort
	}
	return route.Unreachable, true
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
