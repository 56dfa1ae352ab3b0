package b2bua

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
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

// DrillOrder is a test call that the box makes in a user's place, through the real trunks, to a test number.
type DrillOrder struct {
	User   string // site.User.ID
	Number string // a test number of the site
	// During is called with the call's ID while the call is up, for what others have to look at.
	During func(call string)
}

// DrillStep is one thing that was tried.
type DrillStep struct {
	Name   string
	OK     bool
	Detail string // what was seen, or what is wrong
	Fix    string // what to do about it
}

// How long a drill waits: for a final answer, and for audio.
const (
	drillRings = 60 * time.Second
	drillHears = 10 * time.Second
)

// Drill makes the call and says of each step how it went; the error says in the end that it did not pass. It goes the way
// of an emergency call: the same decision, record, pin and INVITE; as a test it ends nobody's call and rings no desk.
func (a *Agent) Drill(ctx context.Context, o DrillOrder, say func(DrillStep)) error {
	st := a.o.Site()
	u, ok := st.UserByID(o.User)
	if !ok {
		return fmt.Errorf("drill: there is no user %q", o.User)
	}
	q := route.Query{From: route.FromUser(u), Scheme: "sip", Target: o.Number}
	dec := route.Decide(st, a.o.Policy(), a.view(), q)
	if dec.Kind != route.Emergency || !dec.Test {
		return fmt.Errorf("drill: %s is not a test number here", o.Number)
	}
	a.mu.Lock()
	if a.stop {
		a.mu.Unlock()
		return stack.ErrStopped
	}
	a.wg.Add(1)
	a.totals.Calls.Add(1)
	a.mu.Unlock()
	defer a.wg.Done()
	c := &Call{agent: a, site: st, origin: q.From, query: q, decision: dec, kind: dec.Kind, emergency: true, wants: sdp.DefaultOffer(), began: time.Now(),
		inbox: make(chan any, 128), done: make(chan struct{}), gone: make(chan struct{})}
	c.id = fmt.Sprintf("drill-%d-%s", a.serial.Add(1), stack.NewTag()[:6])
	c.log = a.log.With("call", c.id)
	c.caller = a.drillPhone(c, u)
	c.legs = []*leg{c.caller}
	c.invite = stack.Past(c.pastInvite())
	c.media = a.o.Media.Open(c.id, MediaOptions{})
	d := &drill{Call: c, order: o, ctx: ctx, say: say}
	defer d.tidy()
	return d.run()
}

// drillPhone stands for the user's phone: a callback rings that.
func (a *Agent) drillPhone(c *Call, u *site.User) *leg {
	l := &leg{call: c, name: "a", side: stack.Access, user: u, source: netip.IPv4Unspecified()}
	for _, b := range registrar.Targets(a.o.Bindings(u.ID)) {
		if conn, ok := a.o.Stack.Conn(uint64(b.Flow)); ok {
			l.instance, l.binding, l.source = b.Instance, b.URI, conn.Remote().Addr()
			break
		}
	}
	domain := c.site.Doc().Site.Domain
	l.dlg = dialog{callID: c.id, local: party{uri: sip.Uri{Scheme: "sip", User: c.query.Target, Host: domain}},
		remote: party{uri: sip.Uri{Scheme: "sip", User: u.Extension, Host: domain}}}
	return l
}

type drill struct {
	*Call
	order  DrillOrder
	ctx    context.Context
	say    func(DrillStep)
	failed []string
}

// step reports; it returns ok.
func (d *drill) step(ok bool, name, detail, fix string) bool {
	s := DrillStep{Name: name, OK: ok, Detail: detail}
	if !ok {
		s.Fix = fix
		d.failed = append(d.failed, name)
	}
	d.say(s)
	return ok
}

func (d *drill) run() error {
	d.recognised()
	place := d.site.Place(d.callerDevice(), d.caller.user)
	where := "the site's address"
	if place.Zone != nil {
		where = place.Zone.Name
	}
	d.step(true, "recognised", fmt.Sprintf("%s is a test number; the place is %s", d.query.Target, where), "")
	if d.caller.binding == "" {
		d.step(false, "phone", "no phone of the user is registered: a callback finds its desk only", "switch the phone on, or drill another user")
	}
	var up *leg
	for _, t := range d.orderTrunks(d.decision.Trunks) {
		if up = d.try(t); up != nil || d.ctx.Err() != nil {
			break
		}
	}
	if up == nil {
		d.note(EmergencyEvent{Kind: NoTrunk})
		d.endsBy(causeRefused, "box")
		if d.ctx.Err() != nil {
			return d.ctx.Err()
		}
		return d.verdict()
	}
	d.helpAnswered(up)
	d.listen(up)
	if d.order.During != nil {
		d.order.During(d.id)
	}
	d.hang(up)
	return d.verdict()
}

func (d *drill) verdict() error {
	if len(d.failed) > 0 {
		return fmt.Errorf("%d steps failed, first %q", len(d.failed), d.failed[0])
	}
	return nil
}

// try makes the call over one trunk; nil if that does not answer.
func (d *drill) try(t *site.Trunk) *leg {
	name := "trunk " + t.ID
	if _, ok := d.takeTrunk(t); !ok {
		d.step(false, name, "all its channels are in use; a test ends nobody's call", "try again later")
		return nil
	}
	l, err := d.newBranch(stack.Trunk)
	if err != nil {
		d.agent.leaveTrunk(t)
		d.step(false, name, "no media ports: "+err.Error(), "see the alarms of holdfast status")
		return nil
	}
	l.trunk, l.counted = t, true
	d.agent.o.Trunks.Connect(t.ID, func(conn *stack.Conn, err error) { d.post(gotConn{l, conn, err}) })
	in, ok := d.wait(2*d.agent.o.EmergencyPatience, func(in any) bool { _, is := in.(gotConn); return is && in.(gotConn).leg == l }).(gotConn)
	switch {
	case !ok:
		return d.leave(l, name, "no connection in time", "check the cable, the SBC's address and the firewall")
	case in.err != nil:
		return d.leave(l, name, in.err.Error(), "check the SBC's address and the certificates of both sides")
	}
	d.step(true, name, "connected to "+in.conn.Remote().String(), "")
	if err := d.dialTrunk(l, in.conn); err != nil {
		return d.leave(l, name, err.Error(), "the connection fell: see holdfast trace")
	}
	d.checkInvite(l)
	return d.answer(l)
}

// checkInvite looks at what has left for the trunk.
func (d *drill) checkInvite(l *leg) {
	req := l.invite.Request()
	shown, address := req.From().Address.User, ""
	list := d.site.Place(d.callerDevice(), d.caller.user).ELINs(l.trunk.ID)
	if i := slices.IndexFunc(list, func(e site.ELIN) bool { return e.Number == l.elin }); i >= 0 {
		address = ", " + d.site.Place(d.callerDevice(), d.caller.user).Address(list[i])
	}
	d.step(l.elin != "", "ELIN", shown+address, "the place has no ELIN on this trunk, and the call shows the main number: add one to the zone or the site")
	pinned := slices.ContainsFunc(d.agent.pinned(shown).Callers, func(c elin.Caller) bool { return c.CallID == d.id })
	d.step(pinned, "pin", "a call to "+shown+" leads to "+d.caller.aor(), "the number is held by an emergency call just now, or the table is full: see holdfast pins")
	number, _ := trunkCaller(req)
	d.step(shown == number && req.GetHeader("p-asserted-identity") != nil && req.GetHeader("privacy") == nil, "caller ID on the wire",
		fmt.Sprintf("From %s, P-Asserted-Identity %s", shown, number), "report this: both must be the ELIN")
	offer, err := sdp.Parse(offerOf(req))
	g711 := err == nil && slices.ContainsFunc(offer.Codecs, func(x sdp.Codec) bool { return x.Name == sdp.PCMU || x.Name == sdp.PCMA })
	d.step(g711, "G.711 in the offer", "what every PSAP understands", "report this: an offer without G.711 left the box")
	if l.trunk.Location {
		d.step(req.GetHeader(location.Header) != nil, "location", "sent with the call (PIDF-LO)", "give /emergency/civic the site's address")
	}
}

// offerOf is the session description in a request.
func offerOf(req *sip.Request) []byte {
	if ct := req.ContentType(); ct != nil {
		if body, _, err := location.Split(ct.Value(), req.Body()); err == nil {
			return body
		}
	}
	return nil
}

// answer waits for the trunk's.
func (d *drill) answer(l *leg) *leg {
	in, ok := d.wait(drillRings, func(in any) bool {
		r, is := in.(gotResponse)
		return is && r.leg == l && (r.err != nil || r.res.StatusCode >= 200)
	}).(gotResponse)
	switch {
	case !ok:
		l.cancelled = true
		l.invite.Cancel()
		return d.leave(l, "answer", "nobody answered", "ask the carrier whether the test number is in service")
	case in.err != nil:
		l.pending = false
		return d.leave(l, "answer", in.err.Error(), "see holdfast trace")
	case in.res.StatusCode >= 300:
		l.pending = false
		d.trunkFailed(l, in.res.StatusCode, nil)
		return d.leave(l, "answer", fmt.Sprintf("the trunk answered %d %s", in.res.StatusCode, reason(in.res.StatusCode)), "ask the carrier whether it knows the test number and this caller ID")
	}
	l.answered, l.pending = true, false
	l.dlg.accepted(in.res)
	l.peerTag.Store(l.dlg.remote.tag)
	l.ack(in.res.CSeq().SeqNo, nil)
	desc, bad := parseBody(in.res)
	if bad.status == 0 {
		var g sdp.Agreement
		var err error
		if g, err = sdp.Agree(d.wants, l.offer, desc.Codecs); err == nil {
			if err = l.takeAnswer(desc); err == nil {
				l.codecs, l.ours = g.B, g.Ours
				err = l.apply(sdp.SendRecv)
			}
		}
		if err != nil {
			bad = refusal{status: 488, reason: err.Error()}
		}
	}
	if bad.status != 0 {
		l.bye()
		return d.leave(l, "answer", "it cannot be used: "+bad.reason, "check the SBC's codecs and SRTP suites")
	}
	d.callee = l
	d.step(true, "answer", fmt.Sprintf("%s, %s", l.codecs.Audio.Name, l.send.Suite), "")
	return l
}

// leave gives up a trunk.
func (d *drill) leave(l *leg, name, detail, fix string) *leg {
	d.step(false, name, detail, fix)
	d.dropBranch(l)
	d.forget(l)
	return nil
}

// listen waits for audio.
func (d *drill) listen(l *leg) {
	if _, err := l.media.Play(SilentPrompt, PlayOptions{Loop: true}); err != nil {
		d.log.Warn("nothing is sent to the test number", "err", err)
	}
	packets := uint64(0)
	for end := time.Now().Add(drillHears); packets == 0 && time.Now().Before(end) && d.ctx.Err() == nil && !l.over; {
		d.wait(100*time.Millisecond, func(any) bool { return false })
		packets = l.media.Stats().RxPackets
	}
	d.step(packets > 0, "audio", "heard from the other side",
		fmt.Sprintf("no packet came to %s that could be authenticated: check the firewall between the SBC and the media ports", l.media.Local()))
}

// hang ends the call.
func (d *drill) hang(l *leg) {
	if l.over {
		d.step(true, "end", "the other side hung up", "")
		d.endsBy(causeBye, l.name)
		return
	}
	l.over = true
	d.endsBy(causeBye, "box")
	conn := l.connection()
	if conn == nil {
		d.step(false, "end", "the trunk's connection is gone", "see holdfast trace")
		return
	}
	l.request(l.dlg.request(sip.BYE, conn), func(res *sip.Response, err error) {})
	in, ok := d.wait(5*time.Second, func(in any) bool { r, is := in.(gotReply); return is && r.leg == l }).(gotReply)
	d.step(ok && in.err == nil && in.res.StatusCode < 300, "end", "BYE is answered", "the trunk does not answer BYE: the call may stay up there")
}

// wait handles what comes until want is met, and returns it; nil when the time is over.
func (d *drill) wait(most time.Duration, want func(any) bool) any {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		select {
		case in := <-d.inbox:
			if r, ok := in.(gotRequest); ok {
				switch {
				case r.tx.Method() == "BYE":
					r.leg.over = true
					r.tx.Reply(200, "OK")
				case r.tx.Method() == "INVITE" || r.tx.Method() == "UPDATE":
					r.tx.Reply(488, "Not Acceptable Here")
				default:
					r.tx.Reply(200, "OK")
				}
			}
			if want(in) {
				return in
			}
		case <-d.media.Events():
		case <-timer.C:
			return nil
		case <-d.ctx.Done():
			return nil
		case <-d.agent.done:
			return nil
		}
	}
}

// tidy gives everything back; a trunk that still rings is cancelled, and hung up should it answer.
func (d *drill) tidy() {
	d.ctx = context.Background()
	for _, l := range d.branches {
		if l.pending && l.invite != nil {
			l.invite.Cancel()
			in, ok := d.wait(5*time.Second, func(in any) bool {
				r, is := in.(gotResponse)
				return is && r.leg == l && (r.err != nil || r.res.StatusCode >= 200)
			}).(gotResponse)
			if ok && in.err == nil && in.res.StatusCode < 300 {
				l.answered = true
				l.dlg.accepted(in.res)
				l.ack(in.res.CSeq().SeqNo, nil)
			}
		}
		d.dismiss(l)
	}
	d.endsBy(causeCancelled, "box")
	d.helpEnds()
	d.media.Close()
	close(d.done)
}
