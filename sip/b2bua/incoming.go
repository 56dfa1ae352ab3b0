package b2bua

import (
	"fmt"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/elin"
	"holdfast/sip/route"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// invite opens a call.
func (a *Agent) invite(tx *stack.ServerTx) {
	begun := false
	defer a.contain(tx, &begun)
	req := tx.Request()
	if a.looped(req) {
		tx.Reply(482, "Loop Detected")
		return
	}
	from, help := route.Origin{}, false
	st := a.o.Site()
	if tx.Conn().Side() == stack.Trunk {
		id, _ := tx.Conn().Get().(string)
		t, ok := st.Trunk(id)
		if !ok {
			tx.Reply(403, "Forbidden")
			return
		}
		from = route.FromTrunk(t)
	} else {
		_, _, help = route.Recognise(st, wanted(req))
		u, ok := a.caller(tx, help)
		if !ok {
			return
		}
		if u != nil {
			from = route.FromUser(u)
		} else if dev, ok := st.DeviceByAddress(tx.Conn().Remote().Addr()); ok {
			from = route.FromDevice(dev, nil) // no stranger, though it has no password
		}
	}
	if !help && a.tooBrief(tx) {
		return
	}
	tx.Reply(100, "Trying")
	if !help && a.replaces(tx, from) {
		return
	}
	q := a.query(tx, from)
	d := route.Decide(st, a.o.Policy(), a.view(), q)
	switch d.Kind {
	case route.Pickup:
		a.pickUp(tx, from.User, d.User)
		return
	case route.Park:
		a.fetch(tx, from.User, d.Number)
		return
	}
	begun = true
	a.serve(tx, st, from, q, d)
}

// serve is the call's life.
func (a *Agent) serve(tx *stack.ServerTx, st *site.Site, from route.Origin, q route.Query, d route.Decision) {
	c, was := a.newCall(tx, st, from, q, d)
	for was != nil && !was.joins(tx) {
		c, was = a.newCall(tx, st, from, q, d)
	}
	if was != nil {
		return
	}
	if c == nil {
		tx.Reply(503, "Service Unavailable")
		return
	}
	tx.OnCancel(func() { c.post(gotCancel{way: tx}) })
	tx.OnGone(func() { c.post(gotCallerLost{}) })
	c.run()
}

// caller says who calls. For an emergency call nobody is asked to prove it: a phone that has proven who it is before is
// known, any other is a stranger (nil) who is served too, a few times a minute. A gateway on UDP is known by its address, which
// anybody can write: a line that calls again and again is asked for its password, which the gateway has and sends.
func (a *Agent) caller(tx *stack.ServerTx, help bool) (*site.User, bool) {
	if !help {
		return a.o.Authenticate(tx)
	}
	if a.o.Known != nil {
		if u, ok := a.o.Known(tx); ok {
			conn := tx.Conn()
			switch {
			case conn.Over() != stack.UDP || a.lines.allow(origin{addr: conn.Remote().Addr(), line: u.ID}, time.Now()):
				return u, true
			case a.o.Prove != nil:
				return u, a.o.Prove(tx, u) // one datagram in the line's name is believed, a stream of them is not
			}
		}
	}
	if !a.strangers.allow(originOf(tx, a.o.Site()), time.Now()) {
		a.log.Warn("a stranger dials for help too often", "source", tx.Conn().Remote().String())
		tx.Reply(503, "Service Unavailable")
		return nil, false
	}
	return nil, true
}

// wanted is the part of the Request-URI that says whom the caller wants.
func wanted(req *sip.Request) string {
	switch strings.ToLower(req.Recipient.Scheme) {
	case "tel", "urn":
		return req.Recipient.Raw()
	}
	return req.Recipient.User
}

// looped recognises an INVITE that the box sent itself: it names one of the box's own dialogs as its source.
func (a *Agent) looped(req *sip.Request) bool {
	tag, _ := req.From().Params.Get("tag")
	return a.find(req.CallID().Value(), tag) != nil
}

// newCall makes the call and enters it; nil when there are too many or the box stops. was is the call that has the same INVITE
// already.
func (a *Agent) newCall(tx *stack.ServerTx, st *site.Site, from route.Origin, q route.Query, d route.Decision) (c, was *Call) {
	help := d.Kind == route.Emergency
	c = &Call{agent: a, site: st, origin: from, query: q, decision: d, kind: d.Kind, invite: tx, began: time.Now(),
		inbox: make(chan any, 128), done: make(chan struct{}), gone: make(chan struct{}), emergency: d.Kind == route.Emergency || d.Callback}
	c.id = fmt.Sprintf("%d-%s", a.serial.Add(1), strings.ToLower(stack.NewTag()[:6]))
	c.log = a.log.With("call", c.id)
	a.mu.Lock()
	defer a.mu.Unlock()
	if was = a.original(tx, from, help); was != nil {
		return nil, was
	}
	if help {
		c.helpFrom = claimant(from, tx.Conn().Remote().Addr())
		c.modest = d.Test || a.claimed(c.helpFrom)
	}
	if a.stop || len(a.calls) >= a.o.MaxCalls && (!c.emergency || c.modest) || !c.emergency && a.hasMany(from) {
		return nil, nil
	}
	a.calls[c.id] = c
	if key := mergeKey(tx.Request(), help); a.invites[key] == nil {
		c.merges = key
		a.invites[key] = c
	}
	a.wg.Add(1)
	a.totals.Calls.Add(1)
	if help {
		a.totals.Emergency.Add(1)
		c.helpFlow.Store(tx.Conn().Flow())
	}
	return c, nil
}

// mostOfOne is how many of the calls that there may be at once are one user's at the least; else it is a tenth of them: one phone that has
// gone wild must not leave the others none.
const mostOfOne = 10

// hasMany reports whether the origin has all the calls that it may have. a.mu is held.
func (a *Agent) hasMany(from route.Origin) bool {
	n, most := 0, max(mostOfOne, a.o.MaxCalls/10)
	if from.User == nil || len(a.calls) < most {
		return false
	}
	for _, c := range a.calls {
		if c.origin.User != nil && c.origin.User.ID == from.User.ID {
			n++
		}
	}
	return n >= most
}

// query says what was asked for, in the router's words.
func (a *Agent) query(tx *stack.ServerTx, from route.Origin) route.Query {
	req := tx.Request()
	q := route.Query{From: from, Scheme: strings.ToLower(req.Recipient.Scheme), Target: wanted(req), Host: req.Recipient.Host,
		Privacy: wantsPrivacy(req)}
	if q.Scheme == "tel" || q.Scheme == "urn" {
		q.Host = ""
	}
	if from.Trunk != nil {
		q.PSAPCallback = psapCallback(req)
		q.Caller.Number, q.Caller.Name = trunkCaller(req)
	}
	if own := tx.Conn().Contact().Addr().String(); q.Host == own || from.Trunk != nil {
		q.Host = "" // the box's own address, and whatever name the SBC knows the box by, mean this site
	}
	return q
}

// view shows the router who is here.
type view struct{ a *Agent }

func (a *Agent) view() route.View { return view{a} }

// Registered reports whether a phone of the user can be reached, or will be soon.
func (v view) Registered(userID string) bool {
	for _, b := range v.a.o.Bindings(userID) {
		if b.Flow != 0 || v.a.restored(b) {
			return true
		}
	}
	return false
}

// Here reports whether the phone that called for help can be rung.
func (v view) Here(who elin.Caller) bool { return v.a.isHere(who) }

// Stays reports whether it is known not to have left.
func (v view) Stays(who elin.Caller) bool { return v.a.stays(who) }

// Pinned says who called for help under a number.
func (v view) Pinned(number string) elin.Callback { return v.a.pinned(number) }
