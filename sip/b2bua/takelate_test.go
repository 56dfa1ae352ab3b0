package b2bua

import (
	"testing"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// pickedUpLate is a call from 1001 that rings at 1002's phone, and 1003's INVITE without an offer that would pick it up, answered.
func pickedUpLate(w *world) (o *outgoing, in *ringingAt, pick *outgoing, offered *sip.Response) {
	w.t.Helper()
	a, b, x := w.phone("1001"), w.phone("1002"), w.phone("1003")
	o = a.call("1002", pcmu, ev8)
	in = &ringingAt{b, b.incoming(sip.INVITE)}
	in.tx.Reply(180, "Ringing")
	o.wait(180)
	pick = x.send(x.request(sip.INVITE, "1003", "*81002", nil))
	offered = pick.wait(200)
	if d, err := sdp.Parse(offered.Body()); err != nil || len(d.Codecs) == 0 || !d.Codecs[0].Same(pcmu) {
		w.t.Fatalf("offer of the box: %v, %v", d, err)
	}
	pick.res <- offered
	return o, in, pick, offered
}

type ringingAt struct {
	u  *ua
	tx *stack.ServerTx
}

// goesOn checks that the call still rings: it is answered and ended.
func (in *ringingAt) goesOn(w *world, o *outgoing) {
	w.t.Helper()
	in.u.answer(in.tx, pcmu, ev8)
	o.up(nil)
	in.u.acked()
	o.within(sip.BYE, nil).wait(200)
	in.u.bye()
	w.ended()
}

func TestPickupWithoutOffer(t *testing.T) {
	w := newWorld(t, nil)
	o, in, pick, offered := pickedUpLate(w)
	select {
	case <-in.u.cancels:
		t.Error("the phone that rings was cancelled before the other one had answered")
	default:
	}
	pick.up(answerTo(t, offered.Body(), pcmu, ev8))
	<-in.u.cancels
	in.tx.Reply(487, "Request Terminated")
	res := o.up(nil)
	w.linked(portIn(t, offered.Body()), portIn(t, res.Body()))
	pick.within(sip.BYE, nil).wait(200)
	o.u.bye()
	if r := w.ended(); r.To != "u1003" || r.Status != 200 {
		t.Errorf("record %+v", r)
	}
}

// TestPickupWithoutOfferFails: the phone's ACK brings nothing, or never comes, or its user hangs up; the call rings on.
func TestPickupWithoutOfferFails(t *testing.T) {
	for name, ends := range map[string]func(w *world, pick *outgoing, offered *sip.Response){
		"no answer in the ACK": func(w *world, pick *outgoing, _ *sip.Response) { pick.up(nil); pick.u.bye() },
		"no ACK":               func(w *world, pick *outgoing, _ *sip.Response) { pick.u.bye() },
		"another codec": func(w *world, pick *outgoing, offered *sip.Response) {
			pick.up(answerTo(w.t, offered.Body(), sdp.Codec{Type: 99, Name: "iLBC", Clock: 8000, Channels: 1}))
			pick.u.bye()
		},
		"BYE": func(w *world, pick *outgoing, _ *sip.Response) { pick.up(nil); pick.within(sip.BYE, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldAt(t, hastyIf(name == "no ACK"), nil)
			o, in, pick, offered := pickedUpLate(w)
			ends(w, pick, offered)
			in.goesOn(w, o)
		})
	}
}

// TestPickupWithoutOfferTooLate: the phone that rings has answered meanwhile.
func TestPickupWithoutOfferTooLate(t *testing.T) {
	w := newWorld(t, nil)
	o, in, pick, offered := pickedUpLate(w)
	in.goesOn(w, o)
	pick.up(answerTo(t, offered.Body(), pcmu, ev8))
	pick.u.bye()
}

// TestFetchWithoutOffer: the parked party is asked once the phone has answered.
func TestFetchWithoutOffer(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	x := w.phone("1003")
	caller.within(sip.UPDATE, nil).wait(200)
	caller.refer("sip:*57@lsp.test", sip.NewHeader("Refer-Sub", "false")).wait(202)
	caller.u.bye()
	fetch := x.send(x.request(sip.INVITE, "1003", "*57", nil))
	offered := fetch.wait(200)
	fetch.res <- offered
	fetch.up(answerTo(t, offered.Body(), pcmu, ev8))
	d := callee.rejoined(pcmu, ev8)
	w.linked(d.Remote.Port(), portIn(t, offered.Body()))
	fetch.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}

// TestInviteReplacesWithoutOffer: a user's other phone takes over.
func TestInviteReplacesWithoutOffer(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	caller.within(sip.UPDATE, nil).wait(200)
	second := w.phone("1001")
	req := second.request(sip.INVITE, "1001", "1002", nil)
	req.AppendHeader(sip.NewHeader("Replaces", replacesOf(caller, false)))
	o := second.send(req)
	offered := o.wait(200)
	o.res <- offered
	o.up(answerTo(t, offered.Body(), pcmu, ev8))
	d := callee.rejoined(pcmu, ev8)
	caller.u.bye()
	w.linked(d.Remote.Port(), portIn(t, offered.Body()))
	o.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}
