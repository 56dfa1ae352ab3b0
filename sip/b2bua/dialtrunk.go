package b2bua

import (
	"cmp"
	"net"
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/route"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

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
		c.log.Warn("the call goes round: out by the trunk that it came from, and back", "to", clip(c.query.Target))
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
		c.renews(l)
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
		c.ringing = c.after(cmp.Or(c.decision.RingFor, ringAtTrunk), c.rangAtTrunk)
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
	l.dlg = c.agent.opens(dialog{local: party{name: quoted(shownName(id)), uri: callerURI(id, self)},
		remote: party{uri: to}, target: to, contact: contactFor(conn)})
	headers := assertedIdentity(id, self)
	if c.decision.Away {
		headers = append(headers, sip.NewHeader("Priority", "psap-callback")) // RFC 7090: nothing is to divert it there
	}
	return c.sendInvite(l, conn, headers)
}

// trunkHost is the host part of URIs towards the SBC.
func trunkHost(t *site.Trunk) string {
	host := t.Domain
	if host == "" {
		host, _, _ = net.SplitHostPort(t.Address)
	}
	return host
}

// noTrunk is what a caller hears when there is no way outside.
var noTrunk = refusal{status: 480, reason: "No Trunk Available"}
