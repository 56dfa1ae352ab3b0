package b2bua

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/registrar"
)

// TestReinviteBeforeTheCallerHasAnswered: the callee changes something while the caller, who made no offer, has not
// acknowledged the box's: it waits for the caller's answer, and nothing breaks.
func TestReinviteBeforeTheCallerHasAnswered(t *testing.T) {
	for name, body := range map[string][]byte{"offer": offer(pcmu), "none": nil} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			a, b := w.phone("1001"), w.phone("1002")
			o := a.send(a.request(sip.INVITE, "1001", "1002", nil))
			callee := b.answer(b.incoming(sip.INVITE), pcmu)
			b.acked()
			res := o.wait(200)
			change := callee.within(sip.INVITE, body)
			change.wait(100)
			o.res <- res
			o.up(answerTo(t, res.Body(), pcmu))
			ok := change.wait(200) // once the caller has answered
			callee.dlg.localSeq = change.req.CSeq().SeqNo
			ack := callee.dlg.numbered(sip.ACK, callee.dlg.localSeq, b.conn)
			if body == nil {
				setSDP(ack, answerTo(t, ok.Body(), pcmu))
			}
			b.conn.Write(ack)
			o.within(sip.BYE, nil).wait(200)
			b.bye()
			w.ended()
		})
	}
}

// TestWhatACallerIsTold: a trunk's trouble with the box is none of the phone's; what says something to a person is.
func TestWhatACallerIsTold(t *testing.T) {
	for status, want := range map[int]int{404: 404, 486: 486, 603: 603, 403: 403, 484: 484,
		401: 500, 407: 500, 420: 500, 421: 500, 500: 500, 501: 500, 408: 480, 487: 480, 480: 480, 302: 480, 503: 500, 415: 488} {
		w := newWorld(t, nil)
		a, x := w.phone("1001"), w.sbc("sbc1")
		w.trunks.down["sbc2"] = true
		o := a.call("912175550142")
		x.incoming(sip.INVITE).Reply(status, "Trouble")
		res := o.wait(want)
		if header(res, "retry-after") != "" || header(res, "www-authenticate") != "" {
			t.Errorf("%d: %v", status, res)
		}
		w.ended()
	}
}

// TestRecordRouteComesBack: a proxy between the caller and the box stays in the dialog (RFC 3261 §12.1.1).
func TestRecordRouteComesBack(t *testing.T) {
	w := newWorld(t, nil)
	x, b := w.sbc("sbc1"), w.phone("1002")
	req := x.request(sip.INVITE, "+13125550177", "+12175551002", offer(pcmu))
	req.AppendHeader(sip.NewHeader("Record-Route", "<sip:127.0.0.9:5061;transport=tls;lr>"))
	o := x.send(req)
	in := b.incoming(sip.INVITE)
	if header(in.Request(), "record-route") != "" {
		t.Error("the trunk's route set goes inside")
	}
	in.Reply(180, "Ringing")
	if rr := header(o.wait(180), "record-route"); !strings.Contains(rr, "127.0.0.9") {
		t.Errorf("180 with Record-Route %q", rr)
	}
	b.answer(in, pcmu)
	if rr := header(o.up(nil), "record-route"); !strings.Contains(rr, "127.0.0.9") {
		t.Errorf("200 with Record-Route %q", rr)
	}
	b.acked()
	o.within(sip.BYE, nil).wait(200)
	b.bye()
	w.ended()
}

// TestWithheldNameStaysWithheld: a private caller has no name inside either.
func TestWithheldNameStaysWithheld(t *testing.T) {
	w := newWorld(t, nil)
	x, b := w.sbc("sbc1"), w.phone("1002")
	req := x.request(sip.INVITE, "+13125550177", "+12175551002", offer(pcmu))
	req.AppendHeader(sip.NewHeader("P-Asserted-Identity", `"John Doe" <sip:+13125550177@carrier.test>`))
	req.AppendHeader(sip.NewHeader("Privacy", "id"))
	o := x.send(req)
	in := b.incoming(sip.INVITE)
	if strings.Contains(in.Request().String(), "John") || strings.Contains(in.Request().String(), "3125550177") {
		t.Errorf("the callee sees\n%s", in.Request())
	}
	in.Reply(486, "Busy Here")
	o.wait(486)
	w.ended()
}

// TestEmergencyAnswerWithoutSDP: a trunk that answers a call for help with nothing to hear is left for the next one.
func TestEmergencyAnswerWithoutSDP(t *testing.T) {
	w := newWorld(t, nil)
	a, x1, x2 := w.phone("1001"), w.sbc("sbc1"), w.sbc("sbc2")
	o := a.call("911")
	x1.incoming(sip.INVITE).Reply(200, "OK", &sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "x", Host: "127.0.0.1"}})
	x1.acked()
	x1.bye()
	x2.answer(x2.incoming(sip.INVITE))
	o.up(nil)
	x2.acked()
	o.within(sip.BYE, nil).wait(200)
	x2.bye()
	w.ended()
}

// TestPhoneComesBackOnAnotherConnection: a caller's phone that has lost its connection gets the BYE on its new one.
func TestPhoneComesBackOnAnotherConnection(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.phone("1001"), w.phone("1002")
	o := a.call("1002")
	callee := b.answer(b.incoming(sip.INVITE))
	o.up(nil)
	b.acked()
	w.mu.Lock()
	old := w.bindings["u1001"][0]
	w.bindings["u1001"] = nil
	w.mu.Unlock()
	a.conn.Close()
	again := w.phone("1001")
	if w.list("u1001")[0].Flow == old.Flow || old.Flow == registrar.Flow(0) {
		t.Fatal("the connection is the same")
	}
	callee.within(sip.BYE, nil).wait(200)
	again.bye()
	w.ended()
}

// TestMultipartOffer: the SDP is found beside what else a phone sends along.
func TestMultipartOffer(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.phone("1001"), w.phone("1002")
	req := a.request(sip.INVITE, "1001", "1002", nil)
	req.AppendHeader(sip.NewHeader("Content-Type", "multipart/mixed;boundary=xyz"))
	req.SetBody([]byte("--xyz\r\nContent-Type: application/sdp\r\n\r\n" + string(offer(pcmu)) + "\r\n--xyz\r\nContent-Type: text/plain\r\n\r\nhello\r\n--xyz--\r\n"))
	o := a.send(req)
	b.answer(b.incoming(sip.INVITE), pcmu)
	o.up(nil)
	b.acked()
	o.within(sip.BYE, nil).wait(200)
	b.bye()
	w.ended()
}

// TestRefusedSecurityAsksNobody: an offer that the box refuses has not held the other side before.
func TestRefusedSecurityAsksNobody(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	plain := "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\n"
	caller.within(sip.INVITE, []byte(plain)).wait(488)
	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye() // and nothing came before it
	w.ended()
}

// TestFaultEndsOneCall: what nobody has thought of ends the call that it happens in, not the box.
func TestFaultEndsOneCall(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	l := w.agent.find(caller.dlg.callID, caller.dlg.remote.tag)
	l.call.post(gotTimer{&timer{do: func() { panic("test") }}})
	caller.u.bye()
	callee.u.bye()
	if r := w.ended(); r.Cause != causeFault || w.agent.totals.Faults.Load() != 1 {
		t.Errorf("record %+v", r)
	}
}
