package b2bua

import (
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/elin"
	"holdfast/sip/registrar"
	"holdfast/sip/route"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// Whom a callback rings. A phone that is registered here is found by its binding. Any other is known by the connection that it
// called over, as long as that stands; then by what it says of itself, should it have registered since; a device on UDP by the
// address and port that it called from; and in the end by its address: all phones there ring.

// helper is the caller of an emergency call as a pin remembers it.
func (c *Call) helper() elin.Caller {
	l := c.caller
	who := elin.Caller{Source: l.source.String(), Instance: l.instance, Binding: l.binding, At: l.at, CallID: c.id, Test: c.decision.Test,
		Plain: l.peer != nil && l.plainOK && l.send.Suite == ""}
	who.Flows[0] = l.flow.Load()
	if who.Binding == "" {
		who.Binding = l.dlg.target.String()
		if who.Instance == "" && c.invite != nil {
			who.Instance = claimedInstance(c.invite.Request())
		}
	}
	if dev := c.callerDevice(); dev != nil && tellsApart(dev, l) {
		who.Device = dev.ID
	}
	if z := c.site.Place(c.callerDevice(), l.user).Zone; z != nil {
		who.Place = z.Name
	}
	if l.user != nil {
		who.User, who.Number, who.Display = l.user.ID, l.user.Extension, l.user.Name
	}
	return who
}

// tellsApart reports whether the device says who calls. What a stranger says that it is does not, and must not move another caller's
// pin; nor does a gateway's address, whose lines are users of their own.
func tellsApart(dev *site.Device, l *leg) bool {
	at := dev.Address == l.source.String()
	return l.user == nil && at || l.user != nil && (!at || dev.User == l.user.ID)
}

// claimedInstance is the instance that a request's sender says it is (RFC 5626 §4.1), as the registrar writes it.
func claimedInstance(req *sip.Request) string {
	ct := req.Contact()
	if ct == nil {
		return ""
	}
	v, _ := ct.Params.Get("+sip.instance")
	if v = strings.Trim(v, `"`); len(v) > 200 {
		return ""
	}
	return v
}

// isHere reports whether the phone that called can be rung.
func (a *Agent) isHere(who elin.Caller) bool {
	return slices.ContainsFunc(who.Flows[:], func(f uint64) bool { return a.accessConn(f) != nil }) || a.isBound(who) ||
		a.o.Stack.Reach(who.At) != nil
}

// stays reports whether the phone that called would be known to have left: it has a binding, or a connection that it would have
// closed. A flow over UDP closes for nobody.
func (a *Agent) stays(who elin.Caller) bool {
	return a.isBound(who) || slices.ContainsFunc(who.Flows[:], func(f uint64) bool {
		conn := a.accessConn(f)
		return conn != nil && conn.Over() != stack.UDP
	})
}

// isBound reports whether the phone that called has a binding here.
func (a *Agent) isBound(who elin.Caller) bool {
	return slices.ContainsFunc(a.o.Bindings(who.User), func(b registrar.Binding) bool {
		return (a.accessConn(uint64(b.Flow)) != nil || a.restored(b)) && who.MayBe(b.Instance, b.URI, uint64(b.Flow))
	})
}

// accessConn is the connection of that number to a phone, if it is open.
func (a *Agent) accessConn(flow uint64) *stack.Conn {
	if flow == 0 {
		return nil
	}
	if conn, ok := a.o.Stack.Conn(flow); ok && conn.Side() == stack.Access && !conn.Closed() {
		return conn
	}
	return nil
}

// ringCaller rings the phone that called.
func (c *Call) ringCaller(u *site.User, who elin.Caller, id route.CallerID) {
	before := len(c.branches)
	if u != nil {
		c.ringPhones(u, id, who.Is)
	}
	if len(c.branches) == before {
		for _, f := range who.Flows {
			if conn := c.agent.accessConn(f); conn != nil {
				c.ringOver(conn, u, who.Instance, who.Binding, id)
			}
		}
	}
	if len(c.branches) == before && (who.Instance != "" || who.Binding != "") {
		c.ringLikely(u, who, id)
	}
	if conn := c.device(who.At); conn != nil && len(c.branches) == before {
		c.ringOver(conn, u, who.Instance, who.Binding, id)
	}
}

// ringLikely rings a phone that has registered since and says that it is the one that called.
func (c *Call) ringLikely(u *site.User, who elin.Caller, id route.CallerID) {
	if u != nil {
		c.ringPhones(u, id, who.MayBe)
		return
	}
	for _, x := range c.registeredAt(who.Source) {
		if who.MayBe(x.binding.Instance, x.binding.URI, uint64(x.binding.Flow)) {
			c.ringOver(x.conn, x.user, x.binding.Instance, x.binding.URI, id)
		}
	}
}

// calledPlain reports whether the leg is the very phone that called for help with plain RTP: it is called back so.
func (c *Call) calledPlain(l *leg) bool {
	return slices.ContainsFunc(c.decision.Targets, func(t route.Target) bool {
		return t.Only != nil && t.Only.Plain && (t.User == nil) == (l.user == nil) && (t.User == nil || t.User.ID == l.user.ID) &&
			(t.Only.Instance != "" || t.Only.Binding != "") && t.Only.MayBe(l.instance, l.binding, l.flow.Load())
	})
}

// ringSource rings everybody at the address of a phone that could not be told from them, or has not answered: those first of
// whom nothing is known but that. Who is in another call for help is left alone.
func (c *Call) ringSource(who elin.Caller, id route.CallerID) {
	known := make(map[uint64]bool)
	registered := c.registeredAt(who.Source)
	for _, x := range registered {
		known[x.conn.Flow()] = true
	}
	for _, conn := range c.agent.o.Stack.Conns() {
		if conn.Side() == stack.Access && conn.Remote().Addr().String() == who.Source && !conn.Closed() && !known[conn.Flow()] &&
			!c.wasRung(conn.Flow(), "") && !c.agent.callsForHelp(conn, nil) {
			c.ringOver(conn, nil, "", who.Binding, id)
		}
	}
	for _, x := range registered {
		if !c.agent.callsForHelp(x.conn, x.user) {
			c.ringOver(x.conn, x.user, x.binding.Instance, x.binding.URI, id)
		}
	}
}

// resident is a registered phone.
type resident struct {
	user    *site.User
	binding registrar.Binding
	conn    *stack.Conn
}

// registeredAt are the registered phones at an address. It looks at every user, which only a callback to a stranger is worth.
func (c *Call) registeredAt(source string) (out []resident) {
	users := c.site.Doc().Users
	for i := range users {
		for _, b := range registrar.Targets(c.agent.o.Bindings(users[i].ID)) {
			if conn := c.agent.accessConn(uint64(b.Flow)); conn != nil && conn.Remote().Addr().String() == source {
				out = append(out, resident{&users[i], b, conn})
			}
		}
	}
	return out
}

// wasRung reports whether the call has rung a phone: by its connection and its binding, or whichever there is behind that.
func (c *Call) wasRung(flow uint64, binding string) bool {
	return slices.ContainsFunc(c.branches, func(l *leg) bool { return l.flow.Load() == flow && (binding == "" || l.binding == binding) })
}

// ringOver rings the phone at the other end of a connection, unless the call has rung there before.
func (c *Call) ringOver(conn *stack.Conn, u *site.User, instance, binding string, id route.CallerID) {
	if c.wasRung(conn.Flow(), binding) || len(c.trying()) >= maxBranches {
		return
	}
	var target sip.Uri
	if sip.ParseUri(binding, &target) != nil || target.Host == "" {
		target = sip.Uri{Scheme: "sip", Host: conn.Remote().Addr().String(), Port: int(conn.Remote().Port())}
	}
	if err := c.dialContact(u, instance, binding, target, id, conn); err != nil {
		c.log.Warn("cannot ring a phone", "source", conn.Remote().String(), "err", err)
	}
}

// goesAway prepares for a callback that rings a caller by the cloud: its time is short, and should the number lead back here, the
// call does not go round. It returns whom to ring.
func (c *Call) goesAway(d route.Decision) []route.Target {
	targets := d.Targets
	if len(targets) == 0 {
		targets = []route.Target{{Number: d.Number, CallerID: d.CallerID}}
	}
	if c.turnsBack() {
		c.ringing = c.after(d.RingFor, c.ringTime)
		return targets
	}
	c.log.Warn("the callback goes round: the caller's cloud number leads back here", "to", clip(c.query.Target))
	return slices.DeleteFunc(slices.Clone(targets), func(t route.Target) bool { return t.Number != "" })
}
