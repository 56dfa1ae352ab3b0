package b2bua

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/site"
)

// replacesOf names a ua's dialog with the box, as a Refer-To does.
func replacesOf(o *outgoing, escaped bool) string {
	v := fmt.Sprintf("%s;to-tag=%s;from-tag=%s", o.dlg.callID, o.dlg.remote.tag, o.dlg.local.tag)
	if escaped {
		return url.QueryEscape(v)
	}
	return v
}

// consultation is a second call of the transferor's, up, to 1003.
func consultation(w *world, from *ua) (own, target *outgoing, x *ua) {
	w.t.Helper()
	x = w.phone("1003")
	own = from.call("1003", pcmu, ev8)
	target = x.answer(x.incoming(sip.INVITE), pcmu, ev8)
	own.up(nil)
	x.acked()
	own.within(sip.UPDATE, nil).wait(200)
	return own, target, x
}

func TestAttendedTransfer(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	own, target, x := consultation(w, caller.u)
	_, legs := w.media.last()
	key, port := string(legs[1].stream.Send.Key), legs[1].port
	callID := target.dlg.callID
	caller.refer("<sip:1003@lsp.test?Replaces=" + replacesOf(own, true) + ">").wait(202)
	joined := x.incoming(sip.INVITE)
	if joined.Request().CallID().Value() != callID {
		t.Error("the target got another dialog")
	}
	before, _ := sdp.Parse(joined.Request().Body())
	if len(before.Crypto) != 1 || string(before.Crypto[0].Key) != key {
		t.Error("the box's key has changed within the dialog: some phones do not follow")
	}
	if on := w.media.leg(before.Remote.Port()); on.before == nil || on.before.port != port {
		t.Error("the new media leg does not know the one before")
	}
	res := joined.Response(200, "OK")
	setSDP(res, answerTo(t, joined.Request().Body(), pcmu, ev8))
	joined.Respond(res)
	x.acked()
	d := callee.rejoined(pcmu, ev8)
	// The transferor's two dialogs end.
	byes, word := 0, ""
	for byes < 2 || word == "" {
		tx := <-caller.u.requests
		tx.Reply(200, "OK")
		switch {
		case tx.Request().Method == sip.BYE:
			byes++
		case strings.HasPrefix(header(tx.Request(), "subscription-state"), "terminated"):
			word = string(tx.Request().Body())
		}
	}
	if !strings.HasPrefix(word, "SIP/2.0 200") {
		t.Errorf("heard %q", word)
	}
	w.linked(d.Remote.Port(), before.Remote.Port())
	if r := w.ended(); r.Cause != causeTransferred {
		t.Errorf("the consultation's record %+v", r)
	}
	// The target's dialog lives on in the other call, in both directions.
	target.dlg.localSeq = 1
	target.within(sip.UPDATE, nil).wait(200)
	callee.within(sip.BYE, nil).wait(200)
	x.bye()
	if r := w.ended(); len(r.Legs) != 3 {
		t.Errorf("record %+v", r)
	}
}

// TestAttendedTransferWhileRinging: the transferor does not wait for the answer; the transfer goes on as a blind one.
func TestAttendedTransferWhileRinging(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	caller.within(sip.UPDATE, nil).wait(200)
	x := w.phone("1003")
	own := caller.u.call("1003", pcmu)
	first := x.incoming(sip.INVITE)
	first.Reply(180, "Ringing")
	ringing := own.wait(180)
	own.dlg = dialog{callID: own.req.CallID().Value()}
	own.dlg.local.tag, _ = own.req.From().Params.Get("tag")
	own.dlg.remote.tag, _ = ringing.To().Params.Get("tag")
	caller.refer("<sip:1003@lsp.test?Replaces=" + replacesOf(own, true) + ">").wait(202)
	own.wait(487)
	<-x.cancels
	first.Reply(487, "Request Terminated")
	x.answer(x.incoming(sip.INVITE), pcmu)
	x.acked()
	callee.rejoined(pcmu)
	caller.u.story(true)
	w.ended()
	callee.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestAttendedTransferTargetGone: the target does not take the new stream: the transferor still has the first party.
func TestAttendedTransferTargetGone(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	own, _, x := consultation(w, caller.u)
	caller.refer("<sip:1003@lsp.test?Replaces="+replacesOf(own, true)+">", sip.NewHeader("Refer-Sub", "false")).wait(202)
	caller.u.bye() // of the consultation
	x.incoming(sip.INVITE).Reply(488, "Not Acceptable Here")
	x.bye()
	w.ended()
	caller.within(sip.UPDATE, nil).wait(200)
	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}

// TestForeignReplaces: somebody else's dialogs are out of reach, by REFER and by INVITE.
func TestForeignReplaces(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	caller.within(sip.UPDATE, nil).wait(200)
	x := w.phone("1003")
	sbc := w.sbc("sbc1")
	mine := x.call("912175550142", pcmu)
	sbc.answer(sbc.incoming(sip.INVITE), pcmu)
	mine.up(nil)
	sbc.acked()
	mine.within(sip.UPDATE, nil).wait(200)
	mine.refer("<sip:1001@lsp.test?Replaces=" + replacesOf(caller, true) + ">").wait(403)
	mine.refer("<sip:1001@lsp.test?Replaces=" + replacesOf(mine, true) + ">").wait(400) // its own call
	wrong := *caller
	wrong.dlg.local.tag = "guess"
	mine.refer("<sip:1001@lsp.test?Replaces=" + replacesOf(&wrong, true) + ">").wait(481)

	invite := func(u *ua, from, replaces string) *outgoing {
		req := u.request(sip.INVITE, from, "1001", offer(pcmu))
		req.AppendHeader(sip.NewHeader("Replaces", replaces))
		return u.send(req)
	}
	invite(x, "1003", replacesOf(caller, false)).wait(403)
	invite(x, "1003", replacesOf(&wrong, false)).wait(481)
	invite(x, "1003", replacesOf(caller, false)+";early-only").wait(486)
	invite(x, "1003", "nonsense").wait(400)
	invite(sbc, "+13125550177", replacesOf(caller, false)).wait(403)
	two := x.request(sip.INVITE, "1003", "1001", offer(pcmu))
	two.AppendHeader(sip.NewHeader("Replaces", replacesOf(caller, false)))
	two.AppendHeader(sip.NewHeader("Replaces", replacesOf(caller, false)))
	x.send(two).wait(400)

	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
	mine.within(sip.BYE, nil).wait(200)
	sbc.bye()
	w.ended()
}

// TestInviteReplaces: a user's second phone takes the running call over.
func TestInviteReplaces(t *testing.T) {
	w := newWorld(t, func(d *site.Document) {})
	caller, callee := established(w)
	caller.within(sip.UPDATE, nil).wait(200)
	second := w.phone("1001")
	req := second.request(sip.INVITE, "1001", "1002", offer(pcma, pcmu))
	req.AppendHeader(sip.NewHeader("Replaces", replacesOf(caller, false)))
	req.AppendHeader(sip.NewHeader("Require", "replaces"))
	o := second.send(req)
	d := callee.rejoined(pcma)
	res := o.up(nil)
	caller.u.bye()
	w.linked(d.Remote.Port(), portIn(t, res.Body()))
	o.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()

	// And one that gets no codec in common leaves the call as it was.
	again, other := established(w)
	again.within(sip.UPDATE, nil).wait(200)
	req = second.request(sip.INVITE, "1001", "1002", offer(pcma))
	req.AppendHeader(sip.NewHeader("Replaces", replacesOf(again, false)))
	o = second.send(req)
	other.u.incoming(sip.INVITE).Reply(488, "Not Acceptable Here")
	o.wait(488)
	again.within(sip.BYE, nil).wait(200)
	other.u.bye()
	w.ended()
}

// TestAttendedTransferTargetHangsUp: the target hangs up while it is asked to change calls. The transferor keeps its party.
func TestAttendedTransferTargetHangsUp(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	own, target, x := consultation(w, caller.u)
	caller.refer("<sip:1003@lsp.test?Replaces=" + replacesOf(own, true) + ">").wait(202)
	joined := x.incoming(sip.INVITE)
	target.dlg.localSeq = 1
	target.within(sip.BYE, nil).wait(200)
	joined.Reply(487, "Request Terminated")
	if heard := caller.u.story(false); finalWord(heard) != "480 Temporarily Unavailable" {
		t.Errorf("heard %q", heard)
	}
	w.ended()
	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}
