package b2bua

import (
	"slices"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/site"
	"holdfast/sip/stack"
)

const (
	siteELIN  = "+12175550911"
	floorELIN = "+12175550912"
)

// helpful is a site with ELINs: two for a floor (1002 is there), one for the rest.
func helpful(d *site.Document) {
	d.Trunks = d.Trunks[:1]
	d.Emergency.ELINs = []site.ELIN{{Trunk: "sbc1", Number: siteELIN, Address: "1 Main St"}}
	d.Zones = []site.Zone{{ID: "floor2", Name: "Floor 2", ELINs: []site.ELIN{{Trunk: "sbc1", Number: floorELIN, Address: "1 Main St, floor 2"}}}}
	d.Users[1].Zone = "floor2"
	d.Emergency.Security = []string{"1003", "+13125550199"}
	d.Users[0].BYOCNumbers = nil // a phone without a number of its own
}

// kinds are the steps that were told so far.
func (w *world) kinds(call string) (out []EmergencyKind) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.help {
		if call == "" || e.Call == call {
			out = append(out, e.Kind)
		}
	}
	return out
}

// callHelp dials 911 and brings the call up; it returns what the PSAP saw.
func (w *world) callHelp(u, sbc *ua) (o *outgoing, shown string) {
	w.t.Helper()
	o = u.call("911")
	in := sbc.incoming(sip.INVITE)
	shown = in.Request().From().Address.User
	if pai := header(in.Request(), "p-asserted-identity"); !strings.Contains(pai, "sip:"+shown+"@") {
		w.t.Errorf("From is %s, P-Asserted-Identity %s", shown, pai)
	}
	sbc.answer(in)
	o.up(nil)
	sbc.acked()
	return o, shown
}

func TestELINAndCallback(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	other := w.phone("1001") // another phone of the same user: it is not the one that called
	o, shown := w.callHelp(a, x)
	if shown != siteELIN {
		t.Errorf("the PSAP sees %s", shown)
	}
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	r := w.ended()
	if got := w.kinds(r.ID); !slices.Equal(got, []EmergencyKind{Recognised, InviteLeaves, CallAnswered, CallEnded}) {
		t.Errorf("steps %v", got)
	}
	w.mu.Lock()
	if e := w.help[1]; e.ELIN != siteELIN || e.Address != "1 Main St" || e.Trunk != "sbc1" || w.pinSaves < 2 {
		t.Errorf("INVITE %+v, pins saved %d times", e, w.pinSaves)
	}
	w.mu.Unlock()

	w.serving = false // the cloud is back: the pin holds
	cb := x.call(siteELIN, pcmu)
	in := a.incoming(sip.INVITE)
	select {
	case <-other.requests:
		t.Error("the caller's other phone rings first")
	default:
	}
	a.answer(in, pcmu)
	cb.up(nil)
	a.acked()
	cb.within(sip.BYE, nil).wait(200)
	a.bye()
	w.ended()
	if got := w.kinds(r.ID); !slices.Equal(got[4:], []EmergencyKind{CallbackBegan, CallbackAnswered, CallbackEnded}) {
		t.Errorf("steps %v", got)
	}
}

// TestCallbackChain: the caller's phone, the caller's other phones, the desk inside, the desk outside.
func TestCallbackChain(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	other, desk := w.phone("1001"), w.phone("1003")
	o, _ := w.callHelp(a, x)
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
	cb := x.call(siteELIN, pcmu)
	a.incoming(sip.INVITE).Reply(486, "Busy Here")
	other.incoming(sip.INVITE).Reply(486, "Busy Here")
	desk.incoming(sip.INVITE).Reply(486, "Busy Here")
	out := x.incoming(sip.INVITE) // to the desk's number outside, over the same trunk
	if out.Request().Recipient.User != "+13125550199" {
		t.Errorf("the desk outside is %v", out.Request().Recipient)
	}
	x.answer(out, pcmu)
	cb.up(nil)
	x.acked()
	cb.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestThreeCallersOnTwoELINs: the third shares, and a callback rings both of a shared one and the desk.
func TestThreeCallersOnTwoELINs(t *testing.T) {
	w := newWorld(t, func(d *site.Document) {
		helpful(d)
		d.Zones[0].ELINs = append(d.Zones[0].ELINs, site.ELIN{Trunk: "sbc1", Number: "+12175550913"})
		for i := range d.Users {
			d.Users[i].Zone = "floor2"
		}
		d.Emergency.Security = []string{"+13125550199"}
	})
	x := w.sbc("sbc1")
	phones := []*ua{w.phone("1001"), w.phone("1002"), w.phone("1003")}
	var calls []*outgoing
	var shown []string
	for _, p := range phones {
		o, n := w.callHelp(p, x)
		calls, shown = append(calls, o), append(shown, n)
	}
	if shown[0] == shown[1] || shown[2] != shown[0] && shown[2] != shown[1] {
		t.Fatalf("shown %v", shown)
	}
	for _, o := range calls {
		o.within(sip.BYE, nil).wait(200)
		x.bye()
		w.ended()
	}
	cb := x.call(shown[2], pcmu)
	sharer := phones[slices.Index(shown, shown[2])]
	first, second, desk := sharer.incoming(sip.INVITE), phones[2].incoming(sip.INVITE), x.incoming(sip.INVITE)
	if desk.Request().Recipient.User != "+13125550199" {
		t.Errorf("the desk is %v", desk.Request().Recipient)
	}
	for _, tx := range []*stack.ServerTx{first, second, desk} {
		tx.Reply(180, "Ringing")
	}
	cb.wait(180)
	phones[2].answer(second, pcmu)
	cb.up(nil)
	phones[2].acked()
	sharer.cancelled().Reply(487, "Request Terminated")
	x.cancelled().Reply(487, "Request Terminated")
	cb.within(sip.BYE, nil).wait(200)
	phones[2].bye()
	w.ended()
}

// TestNoPin: a call to an ELIN that nobody holds ends at the desk, never in a 404.
func TestNoPin(t *testing.T) {
	w := newWorld(t, helpful)
	x, desk := w.sbc("sbc1"), w.phone("1003")
	cb := x.call(floorELIN, pcmu)
	desk.answer(desk.incoming(sip.INVITE), pcmu)
	cb.up(nil)
	desk.acked()
	cb.within(sip.BYE, nil).wait(200)
	desk.bye()
	w.ended()
}

// TestAllTrunksDead: the desk rings, an alarm is raised, and the caller hears why it takes so long.
func TestAllTrunksDead(t *testing.T) {
	w := newWorld(t, helpful)
	a, desk := w.phone("1001"), w.phone("1003")
	o := a.call("911")
	in := desk.incoming(sip.INVITE)
	o.wait(183)
	if _, legs := w.media.last(); legs[0].plays[0] != AllTrunksDead {
		t.Errorf("the caller hears %v", legs[0].plays)
	}
	desk.answer(in, pcmu)
	o.up(nil)
	desk.acked()
	o.within(sip.BYE, nil).wait(200)
	desk.bye()
	r := w.ended()
	got := w.kinds(r.ID)
	for _, k := range []EmergencyKind{NoTrunk, AlarmRaised, DeskRings, CallAnswered, CallEnded} {
		if !slices.Contains(got, k) {
			t.Errorf("no %s in %v", k, got)
		}
	}
}

// TestStranger: a phone that nobody knows is helped without a challenge, a few times, and can be called back.
func TestStranger(t *testing.T) {
	w := newWorld(t, helpful)
	x := w.sbc("sbc1")
	a := w.phone("7777") // connected, but no user of the site
	call := func() *outgoing { return a.send(a.request(sip.INVITE, "7777", "911", offer())) }
	o := call()
	in := x.incoming(sip.INVITE)
	if f := in.Request().From().Address.User; f != siteELIN {
		t.Errorf("the PSAP sees %s", f)
	}
	x.answer(in)
	o.up(nil)
	x.acked()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
	cb := x.call(siteELIN, pcmu)
	a.answer(a.incoming(sip.INVITE), pcmu)
	cb.up(nil)
	a.acked()
	cb.within(sip.BYE, nil).wait(200)
	a.bye()
	w.ended()
	for range strangerBurst - 1 {
		o := call()
		x.incoming(sip.INVITE).Reply(486, "Busy Here")
		x.incoming(sip.INVITE).Reply(486, "Busy Here") // the desk outside
		o.wait(183)                                    // "nobody can be reached"
		o.tx.Cancel()
		o.wait(487)
		w.ended()
	}
	call().wait(503)
}

// TestBrokenOfferIsNoObstacle: an emergency call whose SDP cannot be read gets the box's offer.
func TestBrokenOfferIsNoObstacle(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.send(a.request(sip.INVITE, "1001", "911", []byte("v=0 what?")))
	in := x.incoming(sip.INVITE)
	x.answer(in)
	res := o.wait(200)
	o.res <- res
	o.up(answerTo(t, res.Body(), pcmu))
	x.acked()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestNothingElseRingsTheCaller: call waiting does not disturb an emergency call.
func TestNothingElseRingsTheCaller(t *testing.T) {
	w := newWorld(t, helpful)
	a, b, x := w.phone("1001"), w.phone("1002"), w.sbc("sbc1")
	o, _ := w.callHelp(a, x)
	b.call("1001").wait(486)
	w.ended()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestUrgent: what the stack must let through beyond its limits.
func TestUrgent(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	phone, _ := w.agent.o.Stack.Conn(uint64(w.list("u1001")[0].Flow))
	sbc, _ := w.trunks.Open("sbc1")
	for name, c := range map[string]struct {
		conn *stack.Conn
		req  *sip.Request
		want bool
	}{
		"911":                        {phone, a.request(sip.INVITE, "1001", "911", nil), true},
		"a test call":                {phone, a.request(sip.INVITE, "1001", "9933", nil), true},
		"its CANCEL":                 {phone, a.request(sip.CANCEL, "1001", "911", nil), true},
		"an ordinary call":           {phone, a.request(sip.INVITE, "1001", "1002", nil), false},
		"OPTIONS to 911":             {phone, a.request(sip.OPTIONS, "1001", "911", nil), false},
		"a call to an ELIN":          {sbc, x.request(sip.INVITE, "psap", siteELIN, nil), true},
		"in national form":           {sbc, x.request(sip.INVITE, "psap", siteELIN[1:], nil), true},
		"in ten digits":              {sbc, x.request(sip.INVITE, "psap", siteELIN[2:], nil), true},
		"as people write it":         {sbc, x.request(sip.INVITE, "psap", "+1-217-555-0911", nil), true},
		"with parameters":            {sbc, x.request(sip.INVITE, "psap", siteELIN+";npdi", nil), true},
		"in seven digits":            {sbc, x.request(sip.INVITE, "psap", siteELIN[5:], nil), true},
		"with another area code":     {sbc, x.request(sip.INVITE, "psap", "3125550911", nil), false},
		"to the main number, short":  {sbc, marked(x.request(sip.INVITE, "psap", "2175550100", nil)), true},
		"to it, unmarked":            {sbc, x.request(sip.INVITE, "psap", "+12175550100", nil), false},
		"a phone's call to an ELIN":  {phone, a.request(sip.INVITE, "1001", siteELIN, nil), false},
		"911 from a trunk":           {sbc, x.request(sip.INVITE, "psap", "911", nil), false},
		"a call to a number":         {sbc, x.request(sip.INVITE, "psap", "+12175551002", nil), false},
		"the same, says the trunk":   {sbc, marked(x.request(sip.INVITE, "psap", "+12175551002", nil)), false},
		"to the main number":         {sbc, marked(x.request(sip.INVITE, "psap", w.agent.o.Site().Doc().Site.MainNumber, nil)), true},
		"says a phone":               {phone, marked(a.request(sip.INVITE, "1001", "1002", nil)), false},
		"a dialog that there is not": {phone, tagged(a.request(sip.BYE, "1001", "911", nil)), false},
	} {
		if got := w.agent.Urgent(c.conn, c.req); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	o, _ := w.callHelp(a, x)
	if bye := o.dlg.request(sip.BYE, a.conn); !w.agent.Urgent(phone, bye) || w.agent.Urgent(sbc, bye) {
		t.Error("the BYE of an emergency call")
	}
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

func marked(req *sip.Request) *sip.Request {
	req.AppendHeader(sip.NewHeader("Priority", "PSAP-callback"))
	return req
}

func tagged(req *sip.Request) *sip.Request {
	req.To().Params = sip.NewParams()
	req.To().Params.Add("tag", "nobodys")
	return req
}

// TestLongTarget: what is kept of a Request-URI is bounded, however long it is: a stranger may write it into the emergency records.
func TestLongTarget(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911;x=" + strings.Repeat("a", 4000))
	x.answer(x.incoming(sip.INVITE))
	o.up(nil)
	x.acked()
	if i := w.agent.Calls()[0]; len(i.Dialled) > 128 || len(i.To) > 128 {
		t.Errorf("status has %d and %d bytes", len(i.Dialled), len(i.To))
	}
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	r := w.ended()
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.help[0].Facts.Dialled); n > 128 || len(r.Dialled) > 128 {
		t.Errorf("%d bytes in the emergency record, %d in the call's", n, len(r.Dialled))
	}
}
