package b2bua

import (
	"slices"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/site"
)

func TestPickup(t *testing.T) {
	w := newWorld(t, nil)
	a, b, x := w.phone("1001"), w.phone("1002"), w.phone("1003")
	x.call("*81002").wait(404) // nothing rings
	o := a.call("1002", pcmu, ev8)
	in := b.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	o.wait(180)
	x.call("*81002", sdp.Codec{Type: 18, Name: sdp.G729, Clock: 8000, Channels: 1}).wait(488) // no codec in common: it rings on
	pick := x.call("*81002", pcma, pcmu)
	<-b.cancels
	in.Reply(487, "Request Terminated")
	p := pick.up(nil)
	res := o.up(nil)
	if d, err := sdp.Parse(p.Body()); err != nil || !d.Codecs[0].Same(pcmu) {
		t.Errorf("answer %v, %v", d, err)
	}
	w.linked(portIn(t, p.Body()), portIn(t, res.Body()))
	pick.within(sip.BYE, nil).wait(200)
	a.bye()
	if r := w.ended(); r.To != "u1003" || r.Status != 200 || r.EndedBy != "callee" {
		t.Errorf("record %+v", r)
	}
	x.call("*81002").wait(404) // nothing rings any more
	a.call("*89999").wait(404)
	w.ended() // of the last: nobody's number
}

// TestPickupAgainAndAgain: each try leaves a leg in the record, so there is an end to them.
func TestPickupAgainAndAgain(t *testing.T) {
	w := newWorld(t, nil)
	a, b, x := w.phone("1001"), w.phone("1002"), w.phone("1003")
	o := a.call("1002", pcmu, ev8)
	in := b.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	o.wait(180)
	for n := range maxTakers {
		if n%8 == 0 {
			x = w.phone("1003") // each connection has a rate of its own
		}
		x.call("*81002", sdp.Codec{Type: 18, Name: sdp.G729, Clock: 8000, Channels: 1}).wait(488)
	}
	x.call("*81002", pcmu).wait(403)
	in.Reply(486, "Busy Here")
	o.wait(486)
	if n := len(w.ended().Legs); n != 2+maxTakers {
		t.Errorf("%d legs", n)
	}
}

// TestPickupByReplaces: early-only fits a dialog that rings.
func TestPickupByReplaces(t *testing.T) {
	w := newWorld(t, nil)
	a, b, x := w.phone("1001"), w.phone("1002"), w.phone("1003")
	o := a.call("1002", pcmu)
	in := b.incoming(sip.INVITE)
	ringing := in.Response(180, "Ringing")
	in.Respond(ringing)
	o.wait(180)
	// As the phone sees its dialog: the box's tag is remote.
	tag, _ := in.Request().From().Params.Get("tag")
	own, _ := ringing.To().Params.Get("tag")
	req := x.request(sip.INVITE, "1003", "1002", offer(pcmu))
	req.AppendHeader(sip.NewHeader("Replaces", in.Request().CallID().Value()+";to-tag="+tag+";from-tag="+own+";early-only"))
	pick := x.send(req)
	<-b.cancels
	in.Reply(487, "Request Terminated")
	pick.up(nil)
	o.up(nil)
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

func TestPark(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	x := w.phone("1003")
	x.call("*57").wait(404)
	caller.within(sip.UPDATE, nil).wait(200)
	caller.refer("sip:*57@lsp.test").wait(202)
	if heard := caller.u.story(true); finalWord(heard) != "200 OK" {
		t.Errorf("heard %q", heard)
	}
	if s := w.agent.Calls()[0].State; s != "waiting" {
		t.Errorf("state %s", s)
	}
	callee.within(sip.UPDATE, nil).wait(200) // it may refresh; and what the call did before is done now
	_, legs := w.media.last()
	if !slices.Equal(legs[1].plays, []Prompt{HoldMusic}) || !legs[1].stream.ToPeer || !legs[0].closed {
		t.Errorf("the parked party hears %v, %+v", legs[1].plays, legs[1].stream)
	}
	callee.within(sip.INVITE, directed(sdp.SendRecv, pcmu, ev8)).wait(200)
	callee.ackChange()
	callee.within(sip.UPDATE, nil).wait(200)
	callee.refer("sip:1003@lsp.test").wait(403)

	fetch := x.call("*57", pcma)
	callee.rejoined(pcma)
	res := fetch.up(nil)
	w.linked(portIn(t, res.Body()), 20000+4)
	x.call("*57").wait(404)
	fetch.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	if r := w.ended(); len(r.Legs) != 3 {
		t.Errorf("record %+v", r)
	}
}

// TestParkPlaceTaken and the parked party's end.
func TestParkPlaceTaken(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	own, target, x := consultation(w, caller.u)
	caller.refer("sip:*5@lsp.test", sip.NewHeader("Refer-Sub", "false")).wait(202)
	caller.u.bye()
	own.refer("sip:*5@lsp.test").wait(486)
	own.refer("sip:*51001@lsp.test").wait(486) // the same place: the extension
	callee.within(sip.BYE, nil).wait(200)
	w.ended()
	own.refer("sip:*5@lsp.test", sip.NewHeader("Refer-Sub", "false")).wait(202)
	caller.u.bye()
	target.within(sip.BYE, nil).wait(200)
	w.ended()
	x.call("*51001").wait(404)
}

// TestParkTimeout: nobody fetches the call, it comes back.
func TestParkTimeout(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { d.Options.Features.ParkTimeout = 5 })
	w.site.Doc().Options.Features.ParkTimeout = 1 // shorter than a document may say
	caller, callee := established(w)
	caller.within(sip.UPDATE, nil).wait(200)
	caller.refer("sip:*5@lsp.test", sip.NewHeader("Refer-Sub", "false")).wait(202)
	caller.u.bye()
	back := caller.u.incoming(sip.INVITE)
	again := caller.u.answer(back, pcmu)
	caller.u.acked()
	callee.rejoined(pcmu)
	again.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}

// TestHoldMusic: who is held hears music until the other is back.
func TestHoldMusic(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	for _, dir := range []sdp.Direction{sdp.SendOnly, sdp.SendRecv} {
		change := caller.within(sip.INVITE, directed(dir, pcmu, ev8))
		callee.rejoined(pcmu, ev8)
		change.wait(200)
		caller.ackChange()
		caller.within(sip.UPDATE, nil).wait(200)
	}
	if _, legs := w.media.last(); !slices.Equal(legs[1].plays, []Prompt{HoldMusic, ""}) || len(legs[0].plays) > 0 {
		t.Errorf("played %v and %v", legs[0].plays, legs[1].plays)
	}
	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}

// TestDoNotDisturb and forwarding as the document has them, and a busy phone that gets a second call.
func TestDoNotDisturbAndForwarding(t *testing.T) {
	w := newWorld(t, func(d *site.Document) {
		d.Users[1].DND = true
		d.Users[1].Forward.Busy = "1003"
		d.Users[2].Forward.NoAnswer, d.Users[2].NoAnswerAfter = "1001", 1
	})
	a, b, x := w.phone("1001"), w.phone("1002"), w.phone("1003")
	o := a.call("1002")
	in := x.incoming(sip.INVITE)
	x.answer(in)
	o.up(nil)
	x.acked()
	select {
	case <-b.requests:
		t.Error("a phone rings that is not to be disturbed")
	default:
	}
	waiting := b.call("1003") // rings although 1003 is talking
	second := x.incoming(sip.INVITE)
	second.Reply(180, "Ringing")
	waiting.wait(180)
	<-x.cancels // not taken: to 1001
	second.Reply(487, "Request Terminated")
	a.incoming(sip.INVITE).Reply(486, "Busy Here")
	waiting.wait(486)
	w.ended()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestRedirected: a phone sends its call on, as far as its user may.
func TestRedirected(t *testing.T) {
	w := newWorld(t, nil)
	a, b, x, sbc := w.phone("1001"), w.phone("1002"), w.phone("1003"), w.sbc("sbc1")
	redirect := func(contact string) *outgoing {
		o := a.call("1002")
		in := b.incoming(sip.INVITE)
		res := in.Response(302, "Moved Temporarily")
		res.AppendHeader(sip.NewHeader("Contact", contact))
		in.Respond(res)
		b.acked()
		return o
	}
	o := redirect("<sip:1003@lsp.test>")
	in := x.incoming(sip.INVITE)
	if u := in.Request().From().Address.User; u != "1001" {
		t.Errorf("From %q", u)
	}
	in.Reply(486, "Busy Here")
	o.wait(486)
	w.ended()
	o = redirect("<sip:912175550142@127.0.0.1>")
	sbc.incoming(sip.INVITE).Reply(486, "Busy Here")
	o.wait(486)
	w.ended()
	for _, contact := range []string{"<sip:911@lsp.test>", "<sip:1002@lsp.test>", "<sip:1003@elsewhere.test>", "<sip:*5@lsp.test>", "<mailto:a@b>", "<sip:lsp.test>", "*"} {
		redirect(contact).wait(480)
		w.ended()
	}
	// Round and round: it ends.
	o = redirect("<sip:1003@lsp.test>")
	again := x.incoming(sip.INVITE)
	res := again.Response(302, "Moved Temporarily")
	res.AppendHeader(sip.NewHeader("Contact", "<sip:1002@lsp.test>"))
	again.Respond(res)
	o.wait(480)
	w.ended()
	select {
	case tx := <-b.requests:
		t.Errorf("another %s", tx.Request().Method)
	case <-time.After(20 * time.Millisecond):
	}
}

// TestParkedPartyIsGone: nobody waits for the parking time to be over.
func TestParkedPartyIsGone(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	caller.within(sip.UPDATE, nil).wait(200)
	caller.refer("sip:*57@lsp.test", sip.NewHeader("Refer-Sub", "false")).wait(202)
	caller.u.bye()
	s, _ := w.media.last()
	s.events <- MediaEvent{Leg: s.legs[1], Silent: true, For: time.Second}
	callee.u.incoming(sip.OPTIONS).Reply(481, "Call/Transaction Does Not Exist")
	callee.u.bye()
	if r := w.ended(); r.Cause != causeSilence {
		t.Errorf("record %+v", r)
	}
}
