package b2bua

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/elin"
	"holdfast/sip/registrar"
	"holdfast/sip/route"
	"holdfast/sip/sdp"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// RingOrder is a call that the box itself makes, to a user's phones or to a number outside: somebody has to hear
// something and press a key.
type RingOrder struct {
	ID      string       // for the log
	User    string       // site.User.ID: all phones ring together, past do-not-disturb, forwarding and busy
	But     *elin.Caller // of these not the phone that called for help; nil: all
	Outside string       // instead of User: E.164, over the first trunk that takes it
	Name    string       // shown as the caller
	Number  string       // shown as the caller's number
	Prompt  Prompt       // played, again and again, to who answers
	RingFor time.Duration
}

// RingEvent is what happens in such a call.
type RingEvent uint8

// The events, in their order; any may be missing.
const (
	RingBegan RingEvent = iota + 1 // phones of the user ring
	RingTaken                      // somebody answered and hears it
	RingAcked                      // and pressed a key
)

// Errors of Ring.
var (
	ErrNobodyThere = errors.New("no phone of the user can be reached")
	ErrNotTaken    = errors.New("nobody took the call")
)

// talkFor bounds how long somebody may listen without a key.
const talkFor = 5 * time.Minute

// Ring makes the call and returns when it is over: nil when somebody took it. When ctx ends it hangs up. It has no
// caller: of a Call it borrows the legs and the inbox, not the life.
func (a *Agent) Ring(ctx context.Context, o RingOrder, on func(RingEvent)) error {
	st := a.o.Site()
	u, ok := st.UserByID(o.User)
	if !ok && o.Outside == "" {
		return fmt.Errorf("ring %s: %w", o.User, ErrNobodyThere)
	}
	a.mu.Lock()
	if a.stop {
		a.mu.Unlock()
		return stack.ErrStopped
	}
	a.wg.Add(1)
	a.mu.Unlock()
	defer a.wg.Done()
	c := &Call{agent: a, id: "notice-" + o.ID, log: a.log.With("call", "notice-"+o.ID), site: st, emergency: true, wants: sdp.DefaultOffer(), began: time.Now(),
		inbox: make(chan any, 128), done: make(chan struct{}), gone: make(chan struct{})}
	c.caller = &leg{call: c, name: "a"} // nobody
	c.legs = []*leg{c.caller}
	c.decision = route.Decision{CallerID: route.CallerID{Name: o.Name, Number: o.Number}, Callback: true} // it counts as one
	c.media = a.o.Media.Open(c.id, MediaOptions{Emergency: true})
	r := &ring{Call: c, order: o, on: on}
	err := r.contained(func() error { return r.run(ctx, u) })
	close(c.done)
	r.contained(func() error { r.hangUpAll(); return nil })
	return err
}

// ring is a Call without a caller.
type ring struct {
	*Call
	order RingOrder
	on    func(RingEvent)
	taken *leg

	mu   sync.Mutex
	over bool // nobody reads the inbox any more
}

func (r *ring) run(ctx context.Context, u *site.User) error {
	if r.order.Outside != "" {
		r.trunks = r.orderTrunks(r.site.Trunks())
		r.nextTrunk()
	} else {
		r.ringUser(u)
	}
	if len(r.trying()) == 0 {
		return ErrNobodyThere
	}
	if u != nil {
		r.on(RingBegan)
	}
	giveUp := time.NewTimer(r.order.RingFor)
	defer giveUp.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-giveUp.C:
			if r.taken == nil {
				return ErrNotTaken
			}
			return nil
		case e := <-r.media.Events():
			if e.Digit != 0 && r.taken != nil && e.Leg == r.taken.media {
				r.on(RingAcked)
				return nil
			}
		case in := <-r.inbox:
			before := r.taken
			if over := r.take(in); over {
				return nil
			}
			if before == nil && r.taken != nil {
				giveUp.Reset(talkFor)
			}
			if r.taken == nil && len(r.trying()) == 0 {
				if r.nextTrunk(); len(r.trying()) == 0 {
					return ErrNotTaken
				}
				giveUp.Reset(r.order.RingFor) // whom no trunk has reached so far has not heard it ring
			}
		}
	}
}

// ringUser rings the user's phones, but for one that is in an emergency call itself, or that made the one in question.
func (r *ring) ringUser(u *site.User) {
	for _, b := range registrar.Targets(r.agent.o.Bindings(u.ID)) {
		if conn, ok := r.agent.o.Stack.Conn(uint64(b.Flow)); ok && !conn.Closed() && len(r.branches) < maxBranches && !r.agent.callsForHelp(conn, u) && !spares(r.order.But, b) {
			if err := r.invitePhone(u, b, conn); err != nil {
				r.log.Warn("cannot ring a phone", "aor", u.ID, "err", err)
			}
		}
	}
}

// spares reports whether a binding is that of a phone that is to be left out.
func spares(but *elin.Caller, b registrar.Binding) bool {
	return but != nil && but.MayBe(b.Instance, b.URI, uint64(b.Flow))
}

// invitePhone rings one phone.
func (r *ring) invitePhone(u *site.User, b registrar.Binding, conn *stack.Conn) error {
	var target sip.Uri
	if err := sip.ParseUri(b.URI, &target); err != nil {
		return fmt.Errorf("contact %q: %w", b.URI, err)
	}
	target.Headers = nil
	l, err := r.newBranch(stack.Access)
	if err != nil {
		return err
	}
	l.user, l.instance, l.binding = u, b.Instance, b.URI
	domain, id := r.site.Doc().Site.Domain, r.decision.CallerID
	l.dlg = r.agent.opens(dialog{local: party{name: quoted(id.Name), uri: callerURI(id, domain)},
		remote: party{uri: sip.Uri{Scheme: "sip", User: u.Extension, Host: domain}}, target: target, contact: contactFor(conn)})
	return r.send(l, conn, sip.NewHeader("Priority", "emergency")) // RFC 3261 §20.26
}

// send offers media to a branch and sends its INVITE.
func (r *ring) send(l *leg, conn *stack.Conn, headers ...sip.Header) error {
	l.use(conn)
	l.plainOK = l.plainDevice()
	body, err := l.offerCodecs(sdp.OfferTo(r.wants, nil), sdp.SendRecv)
	if err != nil {
		return err
	}
	req := l.dlg.request(sip.INVITE, conn)
	for _, h := range headers {
		req.AppendHeader(h)
	}
	setSDP(req, body)
	r.agent.addLeg(l)
	l.invite, err = conn.SendUrgent(req, func(res *sip.Response, err error) {
		if !r.deliver(gotResponse{l, res, err}) && isAnswer(res, err) {
			r.agent.Stray(conn, res) // it is over; who picks up now is hung up
		}
	})
	l.pending = err == nil
	return err
}

// deliver puts a response into the inbox; false once nobody reads it any more.
func (r *ring) deliver(in any) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	select {
	case r.inbox <- in:
		return true
	case <-r.done: // it was full, and hangUpAll waits for the lock
		return false
	}
}

// nextTrunk asks for a connection to the next trunk that there is.
func (r *ring) nextTrunk() {
	for len(r.trunks) > 0 {
		t := r.trunks[0]
		r.trunks = r.trunks[1:]
		victim, ok := r.takeTrunk(t)
		if !ok {
			continue
		}
		l, err := r.newBranch(stack.Trunk)
		if err != nil {
			r.agent.leaveTrunk(t)
			r.log.Warn("cannot ring outside", "trunk", t.ID, "err", err)
			continue
		}
		l.trunk, l.counted, l.pending = t, true, true
		l.patience = r.after(r.connectPatience(t), func() { r.leave(l, "no connection") })
		r.connectTrunk(t, victim, func(conn *stack.Conn, err error) { r.deliver(gotConn{l, conn, err}) })
		return
	}
}

// connected sends the INVITE to a trunk.
func (r *ring) connected(in gotConn) {
	l := in.leg
	l.patience.stop()
	if l.pending = false; in.err != nil || l.cancelled {
		r.dropBranch(l)
		return
	}
	id := route.CallerID{Number: r.order.Number, Name: r.order.Name}
	self, host := in.conn.Contact().Addr().String(), trunkHost(l.trunk)
	to := sip.Uri{Scheme: "sip", User: r.order.Outside, Host: host, UriParams: sip.NewParams()}
	to.UriParams.Add("user", "phone")
	l.dlg = r.agent.opens(dialog{local: party{name: quoted(id.Name), uri: callerURI(id, self)},
		remote: party{uri: to}, target: to, contact: contactFor(in.conn)})
	if err := r.send(l, in.conn, assertedIdentity(id, self)...); err != nil {
		r.log.Warn("cannot ring outside", "trunk", l.trunk.ID, "err", err)
		r.dropBranch(l)
		return
	}
	l.patience = r.after(r.agent.o.EmergencyPatience, func() { r.leave(l, "no answer at all") })
	l.progress = r.after(r.agent.o.EmergencyProgress, func() {
		if r.untried() {
			r.leave(l, "nothing but 100")
		}
	})
}

// leave gives a trunk up that does not answer; run tries the next one.
func (r *ring) leave(l *leg, why string) {
	r.log.Warn("trunk does not answer", "trunk", l.trunk.ID, "why", why)
	l.cancelled = true
	if l.invite != nil {
		l.invite.Cancel()
		r.renews(l)
	}
	r.dropBranch(l)
}

// take handles one input; true when the call is over.
func (r *ring) take(in any) bool {
	switch in := in.(type) {
	case gotConn:
		r.connected(in)
	case gotResponse:
		r.answer(in.leg, in.res, in.err)
	case gotStray:
		in.leg.stray(in.conn, in.res, func() { r.answer(in.leg, in.res, nil) })
	case gotTimer:
		if !in.t.over {
			in.t.over = true
			in.t.do()
		}
	case gotRequest:
		switch in.tx.Method() {
		case "BYE":
			in.leg.over = true
			in.tx.Reply(200, "OK")
			return in.leg == r.taken
		case "INVITE", "UPDATE":
			in.tx.Reply(488, "Not Acceptable Here") // there is nobody to put on hold
		default:
			in.tx.Reply(200, "OK")
		}
	}
	return false
}

func (r *ring) answer(l *leg, res *sip.Response, err error) {
	r.heardFromTrunk(l, res)
	switch {
	case err != nil || res.StatusCode >= 300:
		l.pending = false
		if l.trunk != nil && !l.cancelled && r.taken == nil {
			r.refused(l, res, err)
		}
		r.dropBranch(l)
		return
	case res.StatusCode < 200:
		return
	case l.answered:
		if tag, _ := res.To().Params.Get("tag"); tag != l.dlg.remote.tag { // one more phone, of an SBC that forks
			r.agent.hangUpLate(l.conn, res)
			return
		}
		l.ack(res.CSeq().SeqNo, nil)
		return
	}
	l.answered, l.pending = true, false
	l.dlg.accepted(res)
	l.peerTag.Store(l.dlg.remote.tag)
	l.ack(res.CSeq().SeqNo, nil)
	if r.taken != nil || l.cancelled || !r.hears(l, res) {
		l.bye()
		return
	}
	r.taken = l
	r.cancelBranches(l, elsewhere)
	r.on(RingTaken)
}

// refused looks whether a trunk that has failed is worth another try.
func (r *ring) refused(l *leg, res *sip.Response, err error) {
	switch {
	case errors.Is(err, stack.ErrConnClosed):
		r.connectionFell(l)
	case res != nil:
		r.trunkFailed(l, res.StatusCode, res)
	}
}

// hears connects the prompt.
func (r *ring) hears(l *leg, res *sip.Response) bool {
	d, bad := l.describes(res)
	if bad.status != 0 {
		return false
	}
	g, err := sdp.Agree(r.wants, l.offer, d.Codecs)
	if err == nil {
		err = l.takeAnswer(d)
	}
	if err == nil {
		l.codecs, l.ours = g.B, g.Ours
		err = l.apply(sdp.SendRecv)
	}
	if err == nil {
		_, err = l.media.Play(r.order.Prompt, PlayOptions{Loop: true})
	}
	if err != nil {
		r.log.Warn("a phone cannot hear the notice", "aor", l.aor(), "err", err)
	}
	return err == nil
}

// hangUpAll releases everything.
func (r *ring) hangUpAll() {
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	if r.taken == nil {
		r.taken = r.caller // from here on nobody can take it
	}
	for waiting := true; waiting; {
		select {
		case in := <-r.inbox:
			r.take(in)
		default:
			waiting = false
		}
	}
	r.cancelBranches(nil, elsewhere)
	for _, l := range r.branches {
		l.bye()
		r.agent.dropLeg(l)
		if l.counted {
			r.agent.leaveTrunk(l.trunk)
		}
	}
	r.media.Close()
	for _, l := range r.branches {
		l.wipe()
	}
}
