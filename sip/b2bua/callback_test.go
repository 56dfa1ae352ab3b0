package b2bua

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/elin"
	"holdfast/sip/registrar"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// asks dials 911 from a phone that names its instance, and hangs up; it returns the number that the PSAP saw.
func (w *world) asks(u, sbc *ua, instance string) (shown string) {
	w.t.Helper()
	req := u.request(sip.INVITE, u.name, "911", offer())
	if instance != "" {
		req.Contact().Params = sip.NewParams()
		req.Contact().Params.Add("+sip.instance", `"`+instance+`"`)
	}
	o := u.send(req)
	in := sbc.incoming(sip.INVITE)
	shown = in.Request().From().Address.User
	sbc.answer(in)
	o.up(nil)
	sbc.acked()
	o.within(sip.BYE, nil).wait(200)
	sbc.bye()
	w.ended()
	return shown
}

// quiet fails if a phone has been asked for anything.
func (u *ua) quiet() {
	u.w.t.Helper()
	select {
	case tx := <-u.requests:
		u.w.t.Errorf("%s got %s", u.name, tx.Request().Method)
	default:
	}
}

// taken answers the callback's INVITE at u and ends the call.
func (w *world) taken(cb *outgoing, u *ua) {
	w.t.Helper()
	u.answer(u.incoming(sip.INVITE), pcmu)
	cb.up(nil)
	u.acked()
	cb.within(sip.BYE, nil).wait(200)
	u.bye()
	w.ended()
}

// twoNumbers is a site with two ELINs for phones of nobody.
func twoNumbers(d *site.Document) {
	helpful(d)
	d.Emergency.ELINs = append(d.Emergency.ELINs, site.ELIN{Trunk: "sbc1", Number: "+12175550915"})
}

// TestStrangersBehindOneAddress: each of two phones of nobody has a number of its own, and a callback rings the one that
// called, over its connection. Only where that does not take it the others at the address ring, registered or not.
func TestStrangersBehindOneAddress(t *testing.T) {
	w := newWorld(t, twoNumbers)
	x := w.sbc("sbc1")
	first, second, user := w.phone("7771"), w.phone("7772"), w.phone("1002")
	one, two := w.asks(first, x, "<urn:uuid:1>"), w.asks(second, x, "<urn:uuid:2>")
	if one == two {
		t.Fatal("two phones share a number though there is another")
	}
	w.taken(x.call(two, pcmu), second)
	w.taken(x.call(one, pcmu), first)
	first.quiet()
	second.quiet()
	user.quiet()

	cb := x.call(one, pcmu)
	first.incoming(sip.INVITE).Reply(486, "Busy Here")
	in := second.incoming(sip.INVITE)
	user.incoming(sip.INVITE).Reply(180, "Ringing")
	cb.wait(180)
	second.answer(in, pcmu)
	cb.up(nil)
	second.acked()
	user.cancelled().Reply(487, "Request Terminated")
	cb.within(sip.BYE, nil).wait(200)
	second.bye()
	w.ended()
	first.quiet()
}

// TestStrangerComesBack: a phone of nobody that has lost its connection is found by its instance once it has registered, and
// before that with all others at its address.
func TestStrangerComesBack(t *testing.T) {
	w := newWorld(t, helpful)
	x := w.sbc("sbc1")
	lost, other, user := w.phone("7771"), w.phone("7772"), w.phone("1002")
	number := w.asks(lost, x, "<urn:uuid:1>")
	lost.conn.Close()
	w.until(func() bool { return len(w.stack.Conns()) == 3 })

	cb := x.call(number, pcmu)
	in := other.incoming(sip.INVITE)
	user.incoming(sip.INVITE).Reply(180, "Ringing")
	cb.wait(180)
	other.answer(in, pcmu)
	cb.up(nil)
	other.acked()
	user.cancelled().Reply(487, "Request Terminated")
	cb.within(sip.BYE, nil).wait(200)
	other.bye()
	w.ended()

	back := w.phone("1003")
	w.mu.Lock()
	w.bindings["u1003"][0].Instance = "<urn:uuid:1>"
	w.mu.Unlock()
	w.taken(x.call(number, pcmu), back)
	other.quiet()
	user.quiet()
}

// TestCallbackWithoutBinding: a phone that has proven whose it is, but is not registered here, is called back over its
// connection.
func TestCallbackWithoutBinding(t *testing.T) {
	w := newWorld(t, helpful)
	x, a, desk := w.sbc("sbc1"), w.phone("1001"), w.phone("1003")
	w.mu.Lock()
	w.bindings["u1001"] = []registrar.Binding{}
	w.mu.Unlock()
	number := w.asks(a, x, "")
	w.serving = false
	w.taken(x.call(number, pcmu), a)
	desk.quiet()
}

// TestCallRecoversTheRightPhone: an emergency call that has lost its phone goes on over the one connection that can be the
// phone's, not over that of somebody else who was there before, and over none where it could be several.
func TestCallRecoversTheRightPhone(t *testing.T) {
	w := newWorld(t, helpful)
	x := w.sbc("sbc1")
	before, a := w.phone("7770"), w.phone("7771")
	o, _ := w.callHelp(a, x)
	l := w.agent.find(o.req.CallID().Value(), o.dlg.remote.tag)
	if l == nil {
		t.Fatal("no leg")
	}
	probe := &leg{call: l.call, side: l.side, source: l.source, user: l.user}
	probe.flow.Store(l.flow.Load())
	if c := probe.connection(); c != nil {
		t.Errorf("took over %s", c.Remote())
	}
	back := w.phone("7772")
	if c := probe.connection(); c == nil || c.Remote() != back.conn.Local() {
		t.Errorf("the phone is not found on its new connection: %v", c)
	}
	probe = &leg{call: l.call, side: l.side, source: l.source, user: l.user}
	probe.flow.Store(l.flow.Load())
	w.phone("7773")
	if c := probe.connection(); c != nil {
		t.Errorf("took one of two: %s", c.Remote())
	}
	before.quiet()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// atTheCloud is a site whose 1001 has a number there; the cloud is back and nobody is registered here.
func atTheCloud(d *site.Document) {
	twoNumbers(d)
	d.Users[0].CloudNumbers = []string{"+13125551001"}
}

// TestCallbackByTheCloud: the caller's phone has gone back to the cloud and is rung there, for a while and marked as what it is;
// then the desk rings.
func TestCallbackByTheCloud(t *testing.T) {
	w := newWorld(t, atTheCloud)
	x, a, desk := w.sbc("sbc1"), w.phone("1001"), w.phone("1003")
	number := w.asks(a, x, "")
	w.mu.Lock()
	call := w.records[0].ID
	w.mu.Unlock()
	a.conn.Close()
	w.mu.Lock()
	delete(w.bindings, "u1001")
	w.mu.Unlock()
	w.until(func() bool { return len(w.stack.Conns()) == 2 })
	w.serving, w.cloud = false, true

	cb := x.call(number, pcmu)
	in := x.incoming(sip.INVITE)
	if to := in.Request().Recipient.User; to != "+13125551001" || header(in.Request(), "priority") != "psap-callback" ||
		in.Request().From().Address.User != w.site.Doc().Site.MainNumber {
		t.Errorf("%s rings at the cloud:\n%s", to, in.Request())
	}
	x.answer(in, pcmu)
	cb.up(nil)
	x.acked()
	cb.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
	w.mu.Lock()
	last := w.help[len(w.help)-2]
	w.mu.Unlock()
	if last.Call != call || last.Kind != CallbackAnswered || last.Who != "+13125551001" || last.Text == "" {
		t.Errorf("%+v", last)
	}
	desk.quiet()

	cb = x.call(number, pcmu)
	x.incoming(sip.INVITE).Reply(486, "Busy Here")
	w.taken(cb, desk)

	w.cloud = false
	w.taken(x.call(number, pcmu), desk)
}

// TestCallbackGoesRound: a cloud number that leads back to the ELIN, whoever it says is calling, ends at the desk and takes no more
// than a few channels.
func TestCallbackGoesRound(t *testing.T) {
	w := newWorld(t, atTheCloud)
	x, a, desk := w.sbc("sbc1"), w.phone("1001"), w.phone("1003")
	number := w.asks(a, x, "")
	a.conn.Close()
	w.mu.Lock()
	delete(w.bindings, "u1001")
	w.mu.Unlock()
	w.until(func() bool { return len(w.stack.Conns()) == 2 })
	w.cloud = true

	laps := []*outgoing{x.call(number, pcmu)}
	for range maxHairpins {
		in := x.incoming(sip.INVITE)
		in.Reply(180, "Ringing")
		laps = append(laps, x.call(number, pcmu))
	}
	in := desk.incoming(sip.INVITE)
	x.quiet()
	in.Reply(180, "Ringing")
	for i := range laps {
		laps[i].wait(180)
	}
	for i := range laps[:maxHairpins] {
		laps[i].tx.Cancel()
		laps[i].wait(487)
		x.cancelled().Reply(487, "Request Terminated")
		w.ended()
	}
	desk.answer(in, pcmu)
	laps[maxHairpins].up(nil)
	desk.acked()
	laps[maxHairpins].within(sip.BYE, nil).wait(200)
	desk.bye()
	w.ended()
}

// TestCallbackThatReachesNobody: whoever calls back hears so, in words that are meant for them, and an alarm is raised.
func TestCallbackThatReachesNobody(t *testing.T) {
	w := newWorld(t, helpful)
	x := w.sbc("sbc1")
	cb := x.call(floorELIN, pcmu)
	x.incoming(sip.INVITE).Reply(486, "Busy Here") // the desk outside
	cb.wait(183)
	if _, legs := w.media.last(); legs[0].plays[0] != NobodyThere {
		t.Errorf("hears %v", legs[0].plays)
	}
	cb.tx.Cancel()
	cb.wait(487)
	w.ended()
	if got := w.kinds(""); len(got) == 0 || got[len(got)-1] != AlarmRaised {
		t.Errorf("steps %v", got)
	}
}

// TestCallbackDisturbsNoCaller: whoever is at the caller's address rings in the end, but nobody who is in a call for help.
func TestCallbackDisturbsNoCaller(t *testing.T) {
	w := newWorld(t, twoNumbers)
	x := w.sbc("sbc1")
	first, second, user := w.phone("7771"), w.phone("7772"), w.phone("1002")
	number := w.asks(first, x, "<urn:uuid:1>")
	o := second.send(second.request(sip.INVITE, "7772", "911", offer()))
	in := x.incoming(sip.INVITE)
	x.answer(in)
	o.up(nil)
	x.acked()
	cb := x.call(number, pcmu)
	first.incoming(sip.INVITE).Reply(486, "Busy Here")
	w.taken(cb, user)
	second.quiet()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestCallbackInPlain: a phone that called for help with plain RTP is called back with it; nobody else is, nor that phone once it
// has called with SRTP.
func TestCallbackInPlain(t *testing.T) {
	for _, ext := range []string{"1001", "7771"} {
		w := newWorld(t, helpful)
		x, a := w.sbc("sbc1"), w.phone(ext)
		other := w.phone("1002")
		if ext == "1001" {
			other = w.phone("1001")
		}
		help := func(body []byte) (number string) {
			o := a.send(a.request(sip.INVITE, ext, "911", body))
			in := x.incoming(sip.INVITE)
			x.answer(in)
			o.up(nil)
			x.acked()
			o.within(sip.BYE, nil).wait(200)
			x.bye()
			w.ended()
			return in.Request().From().Address.User
		}
		plainly := func(in *stack.ServerTx) bool {
			return strings.Contains(string(in.Request().Body()), " RTP/AVP ")
		}
		number := help(plain(4200))

		cb := x.call(number, pcmu)
		in := a.incoming(sip.INVITE)
		if !plainly(in) {
			t.Fatalf("%s is offered\n%s", ext, in.Request().Body())
		}
		res := in.Response(200, "OK")
		res.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: ext, Host: "127.0.0.1", Port: int(a.conn.Local().Port())}})
		setSDP(res, plain(4100))
		in.Respond(res)
		cb.up(nil)
		a.acked()
		_, legs := w.media.last()
		if s := legs[1].stream; s.Recv.Suite != "" || s.Send.Suite != "" || !s.FixedSource || !s.ToPeer || !s.FromPeer {
			t.Errorf("the caller's media: %+v", s)
		}
		cb.within(sip.BYE, nil).wait(200)
		a.bye()
		w.ended()

		cb = x.call(number, pcmu)
		a.incoming(sip.INVITE).Reply(486, "Busy Here")
		in = other.incoming(sip.INVITE)
		if plainly(in) {
			t.Errorf("another phone is offered\n%s", in.Request().Body())
		}
		other.answer(in, pcmu)
		cb.up(nil)
		other.acked()
		cb.within(sip.BYE, nil).wait(200)
		other.bye()
		w.ended()

		help(offer())
		cb = x.call(number, pcmu)
		in = a.incoming(sip.INVITE)
		if plainly(in) {
			t.Errorf("a phone that knows SRTP is offered\n%s", in.Request().Body())
		}
		a.answer(in, pcmu)
		cb.up(nil)
		a.acked()
		cb.within(sip.BYE, nil).wait(200)
		a.bye()
		w.ended()
	}
}

// TestGatewayThatLeft: an address is not a sign of life: a gateway on UDP without a binding may be at the cloud again, and is rung
// there when it does not answer here.
func TestGatewayThatLeft(t *testing.T) {
	w := newWorld(t, func(d *site.Document) {
		elevator("udp")(d)
		d.Users[1].CloudNumbers = []string{"+13125551002"}
	})
	gw, x := w.gateway("1002", true, false), w.sbc("sbc1")
	who := elin.Caller{User: "u1002", Binding: w.list("u1002")[0].URI, Flows: elin.Flows{uint64(w.list("u1002")[0].Flow)}}
	if !w.agent.isHere(who) || !w.agent.stays(who) {
		t.Error("a gateway that is registered is not here")
	}
	o := gw.send(gw.request(sip.INVITE, "1002", "911", plain(4200)))
	in := x.incoming(sip.INVITE)
	number := in.Request().From().Address.User
	x.answer(in)
	o.up(nil)
	x.acked()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
	w.mu.Lock()
	delete(w.bindings, "u1002")
	w.mu.Unlock()
	w.serving, w.cloud = false, true
	if !w.agent.isHere(who) || w.agent.stays(who) {
		t.Error("a gateway without a binding can be rung, and may have left")
	}
	cb := x.call(number, pcmu)
	gw.incoming(sip.INVITE).Reply(404, "Not Found")
	in = x.incoming(sip.INVITE)
	if to := in.Request().Recipient.User; to != "+13125551002" {
		t.Errorf("then %s is rung", to)
	}
	x.answer(in, pcmu)
	cb.up(nil)
	x.acked()
	cb.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}
