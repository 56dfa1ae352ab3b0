package b2bua

import (
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/site"
)

// TestOut: what a trunk sees of a call from inside.
func TestOut(t *testing.T) {
	w := newWorld(t, nil)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("912175550142")
	in := x.incoming(sip.INVITE)
	req := in.Request()
	if req.Recipient.User != "+12175550142" || req.From().Address.User != "+12175551001" {
		t.Errorf("to %v from %v", req.Recipient.User, req.From().Address.User)
	}
	if pai := header(req, "p-asserted-identity"); !strings.Contains(pai, "sip:+12175551001@") {
		t.Errorf("P-Asserted-Identity %q", pai)
	}
	for _, inside := range []string{"lsp.test", a.conn.Local().String(), "sip:1001", o.req.CallID().Value()} {
		if strings.Contains(req.String(), inside) {
			t.Errorf("%q goes outside:\n%s", inside, req)
		}
	}
	if len(req.Body()) == 0 {
		t.Error("no early offer")
	}
	x.answer(in)
	o.up(nil)
	x.acked()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	if r := w.ended(); r.To != "trunk sbc1" || r.Kind != "trunk" {
		t.Errorf("record %+v", r)
	}
}

func TestOutPrivate(t *testing.T) {
	w := newWorld(t, nil)
	a, x := w.phone("1001"), w.sbc("sbc1")
	req := a.request(sip.INVITE, "1001", "912175550142", offer())
	req.AppendHeader(sip.NewHeader("Privacy", "id"))
	o := a.send(req)
	in := x.incoming(sip.INVITE)
	if f := in.Request().From().Address; f.User != "anonymous" || f.Host != "anonymous.invalid" {
		t.Errorf("From %v", f)
	}
	if header(in.Request(), "privacy") != "id" || !strings.Contains(header(in.Request(), "p-asserted-identity"), "+12175551001") {
		t.Errorf("identity %q, privacy %q", header(in.Request(), "p-asserted-identity"), header(in.Request(), "privacy"))
	}
	in.Reply(486, "Busy Here")
	o.wait(486)
	w.ended()
}

// TestIn: a call from the PSTN shows the number that the SBC asserts.
func TestIn(t *testing.T) {
	w := newWorld(t, nil)
	x, b := w.sbc("sbc1"), w.phone("1002")
	req := x.request(sip.INVITE, "+19995550100", "+12175551002", offer(pcmu))
	req.AppendHeader(sip.NewHeader("P-Asserted-Identity", `"Ann" <sip:+13125550177@carrier.test>`))
	o := x.send(req)
	in := b.incoming(sip.INVITE)
	if f := in.Request().From(); f.Address.User != "+13125550177" || f.DisplayName != "Ann" {
		t.Errorf("From %v", f)
	}
	b.answer(in)
	o.up(nil)
	b.acked()
	o.within(sip.BYE, nil).wait(200)
	b.bye()
	if r := w.ended(); r.From != "+13125550177" {
		t.Errorf("record %+v", r)
	}
}

func TestUnknownNumberFromOutside(t *testing.T) {
	w := newWorld(t, nil)
	w.sbc("sbc1").call("+12175559999").wait(404)
	w.ended()
}

func TestFailover(t *testing.T) {
	for name, first := range map[string]func(*ua){
		"503":     func(x *ua) { x.incoming(sip.INVITE).Reply(503, "Service Unavailable") },
		"silence": func(x *ua) { x.incoming(sip.INVITE) },
		"lost":    func(x *ua) { x.incoming(sip.INVITE); x.conn.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldAt(t, hastyIf(name == "silence"), nil)
			a, x1, x2 := w.phone("1001"), w.sbc("sbc1"), w.sbc("sbc2")
			o := a.call("912175550142")
			first(x1)
			x2.answer(x2.incoming(sip.INVITE))
			o.up(nil)
			x2.acked()
			o.within(sip.BYE, nil).wait(200)
			x2.bye()
			if r := w.ended(); r.To != "trunk sbc2" {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// TestDownTrunkLast: a trunk that is marked down is tried after the others, not left out.
func TestDownTrunkLast(t *testing.T) {
	w := newWorld(t, nil)
	a, x2 := w.phone("1001"), w.sbc("sbc2")
	w.sbc("sbc1")
	w.trunks.down["sbc1"] = true
	o := a.call("912175550142")
	x2.incoming(sip.INVITE).Reply(503, "Service Unavailable")
	o.wait(500)
	w.ended()
}

// TestRefusedByNumber: a busy or unknown number is busy on every trunk.
func TestRefusedByNumber(t *testing.T) {
	w := newWorld(t, nil)
	a, x1 := w.phone("1001"), w.sbc("sbc1")
	w.sbc("sbc2")
	o := a.call("912175550142")
	x1.incoming(sip.INVITE).Reply(404, "No such number <sip:10.1.2.3>")
	if res := o.wait(404); strings.Contains(res.Reason, "10.1.2.3") {
		t.Errorf("the trunk's phrase came through: %q", res.Reason)
	}
	w.ended()
}

func TestTrunkFull(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { d.Trunks[0].MaxCalls = 1 })
	a, x1, x2 := w.phone("1001"), w.sbc("sbc1"), w.sbc("sbc2")
	o := a.call("912175550142")
	x1.answer(x1.incoming(sip.INVITE))
	o.up(nil)
	x1.acked()
	second := a.call("912175550143")
	x2.incoming(sip.INVITE).Reply(486, "Busy Here")
	second.wait(486)
	w.ended()
	o.within(sip.BYE, nil).wait(200)
	x1.bye()
	w.ended()
	third := a.call("912175550142")
	x1.incoming(sip.INVITE).Reply(486, "Busy Here")
	third.wait(486)
	w.ended()
}

func TestEarlyMedia(t *testing.T) {
	w := newWorld(t, nil)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("912175550142")
	in := x.incoming(sip.INVITE)
	res := in.Response(183, "Session Progress")
	setSDP(res, answerTo(t, in.Request().Body(), pcmu))
	in.Respond(res)
	early := o.wait(183)
	if s, legs := w.media.last(); len(s.links) != 1 || !legs[0].stream.ToPeer {
		t.Errorf("early media is not connected: %+v", legs)
	}
	x.answer(in, pcmu)
	up := o.up(nil)
	x.acked()
	e, _ := sdp.Parse(early.Body())
	u, _ := sdp.Parse(up.Body())
	if e.Version != u.Version || e.Remote != u.Remote {
		t.Errorf("the answer changed from %v to %v in one dialog", e, u)
	}
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestEarlyMediaThenFailover: a second trunk's other answer may not come in the dialog of the first.
func TestEarlyMediaThenFailover(t *testing.T) {
	w := newWorld(t, nil)
	a, x1, x2 := w.phone("1001"), w.sbc("sbc1"), w.sbc("sbc2")
	o := a.call("912175550142")
	in := x1.incoming(sip.INVITE)
	res := in.Response(183, "Session Progress")
	setSDP(res, answerTo(t, in.Request().Body(), pcmu))
	in.Respond(res)
	early := o.wait(183)
	in.Reply(503, "Service Unavailable")
	x2.answer(x2.incoming(sip.INVITE), opus)
	up := o.up(nil)
	x2.acked()
	tagE, _ := early.To().Params.Get("tag")
	tagU, _ := up.To().Params.Get("tag")
	if tagE == tagU {
		t.Error("two different answers in one dialog")
	}
	o.within(sip.BYE, nil).wait(200)
	x2.bye()
	w.ended()
}

func TestForkedBySBC(t *testing.T) {
	w := newWorld(t, nil)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("912175550142")
	in := x.incoming(sip.INVITE)
	first := x.answer(in)
	o.up(nil)
	x.acked()
	// A second 2xx of another branch behind the SBC.
	res := in.Response(200, "OK")
	res.To().Params.Add("tag", "other")
	setSDP(res, answerTo(t, in.Request().Body(), pcmu))
	x.conn.Write(res)
	if ack := x.acked(); header(ack, "to") == "" || !strings.Contains(header(ack, "to"), "other") {
		t.Errorf("ACK %v", ack)
	}
	bye := x.incoming(sip.BYE)
	if tag, _ := bye.Request().To().Params.Get("tag"); tag != "other" {
		t.Errorf("BYE to %q", tag)
	}
	bye.Reply(200, "OK")
	first.within(sip.BYE, nil).wait(200)
	a.bye()
	w.ended()
}

func TestTrunkSilentForEver(t *testing.T) {
	p := patient()
	p.trunk = time.Second // nothing else ends the waiting in time
	w := newWorldAt(t, p, func(d *site.Document) { d.Trunks = d.Trunks[:1] })
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("912175550142")
	x.incoming(sip.INVITE)
	o.wait(480)
	w.ended()
}
