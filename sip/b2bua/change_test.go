package b2bua

import (
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
)

// established is a call between 1001 and 1002 in PCMU.
func established(w *world) (caller, callee *outgoing) {
	w.t.Helper()
	a, b := w.phone("1001"), w.phone("1002")
	caller = a.call("1002", pcmu, ev8)
	callee = b.answer(b.incoming(sip.INVITE), pcmu, ev8)
	caller.up(nil)
	b.acked()
	return caller, callee
}

func (o *outgoing) ackChange() {
	ack := o.dlg.numbered(sip.ACK, o.dlg.localSeq, o.u.conn)
	ack.SetBody(nil)
	o.u.conn.Write(ack)
}

func TestHoldAndResume(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	for _, step := range []struct {
		offer, toPeer sdp.Direction
	}{{sdp.SendOnly, sdp.SendOnly}, {sdp.SendRecv, sdp.SendRecv}, {sdp.Inactive, sdp.Inactive}, {sdp.SendRecv, sdp.SendRecv}} {
		change := caller.within(sip.INVITE, directed(step.offer, pcmu, ev8))
		in := callee.u.incoming(sip.INVITE)
		d, err := sdp.Parse(in.Request().Body())
		if err != nil || d.Direction != step.toPeer {
			t.Fatalf("the callee is offered %v (%v), want %v", d, err, step.toPeer)
		}
		if string(d.Crypto[0].Key) == "" || len(d.Crypto) != 1 {
			t.Errorf("keys %v", d.Crypto)
		}
		res := in.Response(200, "OK")
		setSDP(res, answerTo(t, in.Request().Body(), pcmu, ev8))
		in.Respond(res)
		callee.u.acked()
		ok := change.wait(200)
		a, err := sdp.Parse(ok.Body())
		if err != nil || a.Direction != step.offer.Reverse() {
			t.Fatalf("answer %v (%v), want %v", a, err, step.offer.Reverse())
		}
		caller.ackChange()
		_, legs := w.media.last()
		if legs[1].stream.ToPeer != step.offer.Sends() || legs[0].stream.ToPeer != step.offer.Receives() {
			t.Errorf("%v: caller's leg %+v, callee's %+v", step.offer, legs[0].stream, legs[1].stream)
		}
	}
	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}

// TestRefreshIsLocal: a re-INVITE that changes nothing for the other side does not ring through to it.
func TestRefreshIsLocal(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	caller.within(sip.INVITE, directed(sdp.SendRecv, pcmu, ev8)).wait(200)
	caller.ackChange()
	caller.within(sip.UPDATE, nil).wait(200)
	select {
	case tx := <-callee.u.requests:
		t.Errorf("the callee got %s", tx.Request().Method)
	case <-time.After(50 * time.Millisecond):
	}
	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}

func TestOfferlessReinvite(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	change := callee.within(sip.INVITE, nil)
	ok := change.wait(200)
	if d, err := sdp.Parse(ok.Body()); err != nil || !d.Codecs[0].Same(pcmu) {
		t.Fatalf("offer %v, %v", d, err)
	}
	ack := callee.dlg.numbered(sip.ACK, callee.dlg.localSeq, callee.u.conn)
	setSDP(ack, answerTo(t, ok.Body(), pcmu, ev8))
	callee.u.conn.Write(ack)
	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}

func TestGlare(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	change := caller.within(sip.INVITE, directed(sdp.SendOnly, pcmu))
	in := callee.u.incoming(sip.INVITE)
	callee.within(sip.INVITE, directed(sdp.SendOnly, pcmu)).wait(491) // both hold at once
	in.Reply(491, "Request Pending")
	change.wait(491)
	if _, legs := w.media.last(); !legs[0].stream.ToPeer {
		t.Error("a refused hold took effect")
	}
	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}

func TestReinviteWithoutCommonCodec(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	caller.within(sip.INVITE, directed(sdp.SendRecv, sdp.Codec{Type: 3, Name: "GSM", Clock: 8000, Channels: 1})).wait(488)
	change := caller.within(sip.INVITE, directed(sdp.SendRecv, pcma)) // another codec: the callee is asked
	in := callee.u.incoming(sip.INVITE)
	res := in.Response(200, "OK")
	setSDP(res, answerTo(t, in.Request().Body(), pcma))
	in.Respond(res)
	callee.u.acked()
	change.wait(200)
	caller.ackChange()
	if _, legs := w.media.last(); legs[0].stream.Audio.Type != 8 || legs[1].stream.Audio.Type != 8 {
		t.Errorf("streams %+v", legs)
	}
	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}

// TestFarSideIsGone: a peer that no longer knows the dialog ends the call on both sides.
func TestFarSideIsGone(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	change := caller.within(sip.INVITE, directed(sdp.SendOnly, pcmu))
	callee.u.incoming(sip.INVITE).Reply(481, "Call/Transaction Does Not Exist")
	change.wait(481)
	caller.u.bye()
	callee.u.bye()
	if r := w.ended(); r.Cause != causeDead {
		t.Errorf("record %+v", r)
	}
}

func TestSilence(t *testing.T) {
	for name, alive := range map[string]bool{"peer still there": true, "peer gone": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			caller, callee := established(w)
			caller.within(sip.UPDATE, nil).wait(200) // the ACK has been taken by now
			s, _ := w.media.last()
			s.events <- MediaEvent{Leg: s.legs[1], Silent: true, For: 30 * time.Second}
			probe := callee.u.incoming(sip.OPTIONS)
			if alive {
				probe.Reply(200, "OK")
				caller.within(sip.UPDATE, nil).wait(200) // still up
				caller.within(sip.BYE, nil).wait(200)
				callee.u.bye()
				w.ended()
				return
			}
			probe.Reply(481, "Call/Transaction Does Not Exist")
			caller.u.bye()
			callee.u.bye()
			if r := w.ended(); r.Cause != causeSilence {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// TestUndecryptable: what cannot be decrypted is told, in the record too, and in a call for help at once; the call goes on.
func TestUndecryptable(t *testing.T) {
	for _, to := range []string{"1002", "911"} {
		t.Run(to, func(t *testing.T) {
			w := newWorld(t, nil)
			a, b := w.phone("1001"), w.phone("1002")
			if to == "911" {
				b = w.sbc("sbc1")
			}
			o := a.call(to, pcmu)
			b.answer(b.incoming(sip.INVITE), pcmu)
			o.up(nil)
			b.acked()
			s, _ := w.media.last()
			s.events <- MediaEvent{Leg: s.legs[1], Unopened: 250, For: 5 * time.Second}
			if to == "911" {
				w.until(func() bool { return w.heardAlarm("the sound from trunk sbc1 cannot be decrypted") == 1 })
			}
			w.until(func() bool { return len(s.events) == 0 })
			o.within(sip.UPDATE, nil).wait(200) // still up, and nobody was probed
			o.within(sip.BYE, nil).wait(200)
			b.bye()
			r := w.ended()
			if r.Cause != causeBye || r.Legs[0].Undecryptable || !r.Legs[1].Undecryptable {
				t.Errorf("%+v", r)
			}
			if n := w.heardAlarm("decrypted"); n != map[string]int{"911": 1}[to] {
				t.Errorf("%d alarms", n)
			}
		})
	}
}

// TestFirstNumber: a callee's first request may have any number, also 0 (RFC 3261 §12.2.1.1); after that they grow.
func TestFirstNumber(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	numbered := func(o *outgoing, m sip.RequestMethod, seq uint32) *outgoing {
		req := o.dlg.numbered(m, seq, o.u.conn)
		req.SetBody(nil)
		return o.u.send(req)
	}
	numbered(callee, sip.OPTIONS, 0).wait(200)
	numbered(callee, sip.OPTIONS, 0).wait(500)
	numbered(callee, sip.OPTIONS, 7).wait(200)
	numbered(callee, sip.BYE, 6).wait(500)
	numbered(caller, sip.BYE, 1).wait(500) // its INVITE's
	numbered(callee, sip.BYE, 8).wait(200)
	caller.u.bye()
	w.ended()
}
