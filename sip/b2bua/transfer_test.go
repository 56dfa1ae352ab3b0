package b2bua

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// refer sends a REFER in the dialog.
func (o *outgoing) refer(referTo string, headers ...sip.Header) *outgoing {
	req := o.dlg.request(sip.REFER, o.u.conn)
	req.AppendHeader(sip.NewHeader("Refer-To", referTo))
	for _, h := range headers {
		req.AppendHeader(h)
	}
	return o.u.send(req)
}

// story is what a transferor hears: answered with 200, until the last word has come, and BYE if one is expected. The
// order of NOTIFY and BYE is not told: they come on goroutines of their own.
func (u *ua) story(bye bool) (heard []string) {
	u.w.t.Helper()
	word, last, gone := "", false, !bye
	for !last || !gone {
		select {
		case tx := <-u.requests:
			tx.Reply(200, "OK")
			switch req := tx.Request(); req.Method {
			case sip.NOTIFY:
				line, _, _ := strings.Cut(string(req.Body()), "\r\n")
				line = strings.TrimPrefix(line, "SIP/2.0 ")
				if header(req, "event") == "" || !strings.HasPrefix(header(req, "content-type"), "message/sipfrag") {
					u.w.t.Errorf("NOTIFY without Event or with another body:\n%s", req)
				}
				if strings.HasPrefix(header(req, "subscription-state"), "terminated") {
					word, last = line, true
				} else {
					heard = append(heard, line)
				}
			case sip.BYE:
				gone = true
			default:
				u.w.t.Fatalf("%s got %s", u.name, req.Method)
			}
		case <-time.After(deadline):
			u.w.t.Fatalf("%s waits: heard %q, last word %v, BYE %v", u.name, heard, last, gone)
		}
	}
	return append(heard, word)
}

// rejoined answers the re-INVITE that a transfer brings to who stays.
func (o *outgoing) rejoined(codecs ...sdp.Codec) *sdp.Description {
	o.u.w.t.Helper()
	in := o.u.incoming(sip.INVITE)
	d, err := sdp.Parse(in.Request().Body())
	if err != nil {
		o.u.w.t.Fatal(err)
	}
	res := in.Response(200, "OK")
	setSDP(res, answerTo(o.u.w.t, in.Request().Body(), codecs...))
	in.Respond(res)
	o.u.acked()
	return d
}

// finalWord is what the transferor was told last.
func finalWord(heard []string) string { return heard[len(heard)-1] }

// linked waits until the session's newest link ties the two legs.
func (w *world) linked(a, b uint16) {
	w.t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(time.Millisecond) {
		w.media.mu.Lock()
		for _, s := range w.media.sessions {
			if n := len(s.links); n > 0 {
				l := s.links[n-1]
				if l[0].port == a && l[1].port == b || l[0].port == b && l[1].port == a {
					w.media.mu.Unlock()
					return
				}
			}
		}
		w.media.mu.Unlock()
		if time.Now().After(end) {
			w.t.Fatalf("ports %d and %d are not connected", a, b)
		}
	}
}

// portIn is the box's port in a description.
func portIn(t *testing.T, body []byte) uint16 {
	t.Helper()
	d, err := sdp.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	return d.Remote.Port()
}

// TestBlindTransfer: either party hands the other to a third.
func TestBlindTransfer(t *testing.T) {
	for _, by := range []string{"caller", "callee"} {
		t.Run(by, func(t *testing.T) {
			w := newWorld(t, nil)
			caller, callee := established(w)
			x := w.phone("1003")
			transferor, stays := caller, callee
			if by == "callee" {
				transferor, stays = callee, caller
			}
			transferor.within(sip.INVITE, directed(sdp.SendOnly, pcmu, ev8)) // phones hold first
			stays.rejoined(pcmu, ev8)
			transferor.settle()
			transferor.refer("<sip:1003@lsp.test>").wait(202)
			in := x.incoming(sip.INVITE)
			if from := in.Request().From(); from.Address.User != stays.u.name {
				t.Errorf("the target sees %v, not who stays", from)
			}
			if len(in.Request().GetHeaders("referred-by"))+len(in.Request().GetHeaders("replaces")) > 0 {
				t.Errorf("the transfer shows:\n%s", in.Request())
			}
			in.Reply(180, "Ringing")
			target := x.answer(in, pcmu, ev8)
			x.acked()
			offered := stays.rejoined(pcmu, ev8)
			if offered.Direction != sdp.SendRecv {
				t.Errorf("who stays is offered %v", offered.Direction)
			}
			heard := transferor.u.story(true)
			if finalWord(heard) != "200 OK" || len(heard) < 2 {
				t.Errorf("the transferor heard %q", heard)
			}
			w.linked(offered.Remote.Port(), portIn(t, in.Request().Body()))
			if transferor.within(sip.BYE, nil).wait(481) == nil {
				t.Error("the transferor is still in")
			}
			target.within(sip.BYE, nil).wait(200)
			stays.u.bye()
			r := w.ended()
			if len(r.Legs) != 3 || r.Cause != causeBye {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// settle takes the 200 of the hold and acknowledges it.
func (o *outgoing) settle() {
	o.ackChange()
	o.within(sip.UPDATE, nil).wait(200) // the ACK has been taken
}

// TestTransferFails: the transferor keeps its call, and hears why.
func TestTransferFails(t *testing.T) {
	for status, want := range map[int]string{486: "486 Busy Here", 603: "603 Decline", 488: "488 Not Acceptable Here"} {
		t.Run(want, func(t *testing.T) {
			w := newWorld(t, nil)
			caller, callee := established(w)
			x := w.phone("1003")
			caller.within(sip.UPDATE, nil).wait(200)
			caller.refer("sip:1003@lsp.test").wait(202)
			x.incoming(sip.INVITE).Reply(status, "No")
			if heard := caller.u.story(false); finalWord(heard) != want {
				t.Errorf("heard %q", heard)
			}
			caller.refer("sip:1003@lsp.test").wait(202) // once more: the call is whole
			in := x.incoming(sip.INVITE)
			x.answer(in, pcma) // a codec that nobody offered ever spoke to the one who stays, but knows
			x.acked()
			callee.rejoined(pcma)
			caller.u.story(true)
			callee.within(sip.BYE, nil).wait(200)
			x.bye()
			w.ended()
		})
	}
}

// TestTransferAnswerUnusable: the target picks up without a codec in common.
func TestTransferAnswerUnusable(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	x := w.phone("1003")
	caller.within(sip.UPDATE, nil).wait(200)
	caller.refer("sip:1003@lsp.test").wait(202)
	x.answer(x.incoming(sip.INVITE), sdp.Codec{Type: 3, Name: "GSM", Clock: 8000, Channels: 1})
	x.acked()
	x.bye()
	if heard := caller.u.story(false); finalWord(heard) != "488 Not Acceptable Here" {
		t.Errorf("heard %q", heard)
	}
	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}

// TestTransferNoNotify: RFC 4488.
func TestTransferNoNotify(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	x := w.phone("1003")
	caller.within(sip.UPDATE, nil).wait(200)
	res := caller.refer("sip:1003@lsp.test", sip.NewHeader("Refer-Sub", "false"), sip.NewHeader("Supported", "norefersub")).wait(202)
	if header(res, "refer-sub") != "false" {
		t.Errorf("Refer-Sub %q", header(res, "refer-sub"))
	}
	x.answer(x.incoming(sip.INVITE), pcmu)
	x.acked()
	callee.rejoined(pcmu)
	caller.u.bye() // and nothing before
	callee.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestTransferorLeaves: it hangs up while the target rings; the target answers all the same, or the party is rung back to
// the transferor.
func TestTransferorLeaves(t *testing.T) {
	for _, answers := range []bool{true, false} {
		t.Run(fmt.Sprint("answers ", answers), func(t *testing.T) {
			w := newWorld(t, nil)
			caller, callee := established(w)
			x := w.phone("1003")
			caller.within(sip.UPDATE, nil).wait(200)
			caller.refer("sip:1003@lsp.test").wait(202)
			in := x.incoming(sip.INVITE)
			in.Reply(180, "Ringing")
			for n := 0; n < 2; n++ { // 100 and 180
				caller.u.incoming(sip.NOTIFY).Reply(200, "OK")
			}
			caller.within(sip.BYE, nil).wait(200)
			if answers {
				x.answer(in, pcmu)
				x.acked()
				caller.u.story(false)
				callee.rejoined(pcmu)
				callee.within(sip.BYE, nil).wait(200)
				x.bye()
				w.ended()
				return
			}
			in.Reply(486, "Busy Here")
			var back *stack.ServerTx
			for back == nil { // the last NOTIFY and the recall, in any order
				tx := <-caller.u.requests
				if tx.Request().Method == sip.INVITE {
					back = tx
				} else {
					tx.Reply(200, "OK")
				}
			}
			if from := back.Request().From().Address.User; from != "1002" {
				t.Errorf("recall from %q", from)
			}
			again := caller.u.answer(back, pcmu)
			caller.u.acked()
			callee.rejoined(pcmu)
			drainNotify(caller.u)
			again.within(sip.BYE, nil).wait(200)
			callee.u.bye()
			w.ended()
		})
	}
}

func drainNotify(u *ua) {
	for {
		select {
		case tx := <-u.requests:
			tx.Reply(200, "OK")
		default:
			return
		}
	}
}

// TestTransferNobodyTakes: the transferor has left and does not come back: the party is let go.
func TestTransferNobodyTakes(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	x := w.phone("1003")
	caller.within(sip.UPDATE, nil).wait(200)
	caller.refer("sip:1003@lsp.test", sip.NewHeader("Refer-Sub", "false")).wait(202)
	in := x.incoming(sip.INVITE)
	caller.within(sip.BYE, nil).wait(200)
	in.Reply(486, "Busy Here")
	caller.u.incoming(sip.INVITE).Reply(486, "Busy Here")
	callee.u.bye()
	w.ended()
}

// TestStayingPartyHangsUp while the target rings.
func TestStayingPartyHangsUp(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	x := w.phone("1003")
	caller.within(sip.UPDATE, nil).wait(200)
	caller.refer("sip:1003@lsp.test").wait(202)
	in := x.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	callee.within(sip.BYE, nil).wait(200)
	<-x.cancels
	in.Reply(487, "Request Terminated")
	if heard := caller.u.story(true); finalWord(heard) != "487 Request Terminated" {
		t.Errorf("heard %q", heard)
	}
	w.ended()
}

// TestTransferOutside: to the trunk with the transferor's number, and nothing of the REFER with it; and a transferor
// behind the trunk reaches what a trunk reaches.
func TestTransferOutside(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	sbc := w.sbc("sbc1")
	caller.within(sip.UPDATE, nil).wait(200)
	caller.refer("<sip:912175550142@lsp.test>;early=1", sip.NewHeader("Referred-By", "<sip:1001@lsp.test>")).wait(202)
	in := sbc.incoming(sip.INVITE)
	if u := in.Request().From().Address.User; u != "+12175551001" {
		t.Errorf("From %q", u)
	}
	for _, inside := range []string{"Refer", "refer", "lsp.test", callee.dlg.callID, caller.dlg.callID} {
		if strings.Contains(strings.ReplaceAll(in.Request().String(), "Allow: "+allow, ""), inside) {
			t.Errorf("%q goes outside:\n%s", inside, in.Request())
		}
	}
	out := sbc.answer(in, pcmu)
	sbc.acked()
	callee.rejoined(pcmu)
	caller.u.story(true)
	// Now the SBC transfers: outside it gets nowhere.
	out.within(sip.UPDATE, nil).wait(200)
	out.refer("sip:+13125550100@outside.test").wait(404)
	out.refer("sip:1003@127.0.0.1").wait(404)
	x := w.phone("1003")
	out.refer("sip:+12175551003@127.0.0.1").wait(202)
	x.answer(x.incoming(sip.INVITE), pcmu)
	x.acked()
	callee.rejoined(pcmu)
	sbc.story(true)
	callee.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
	w.agent.mu.Lock()
	defer w.agent.mu.Unlock()
	if len(w.agent.busy) > 0 {
		t.Errorf("trunk places left: %v", w.agent.busy)
	}
}

// TestReferRefused: targets that nobody may be sent to, and REFERs that make no sense.
func TestReferRefused(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	caller.within(sip.UPDATE, nil).wait(200)
	for _, c := range []struct {
		to   string
		want int
	}{
		{"sip:911@lsp.test", 403}, {"sip:9911@lsp.test", 403}, {"<urn:service:sos>", 403}, {"sip:933@lsp.test", 403},
		{"sip:1002@lsp.test", 482}, {"sip:nobody@lsp.test", 404}, {"sip:1003@elsewhere.test", 404}, {"sip:*81003@lsp.test", 403},
		{"sip:lsp.test", 400}, {"", 400}, {"<sip:1003@lsp.test", 400}, {"mailto:x@lsp.test", 400}, {"<sip:1003@lsp.test;method=BYE>", 400},
		{"<sip:1003@lsp.test?Replaces=nonsense>", 400}, {"<sip:1003@lsp.test?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>", 481},
		{"<sip:1003@lsp.test?Replaces=%zz>", 400}, {"sip:" + strings.Repeat("1", 2000) + "@lsp.test", 400},
	} {
		caller.refer(c.to).wait(c.want)
	}
	req := caller.dlg.request(sip.REFER, caller.u.conn)
	caller.u.send(req).wait(400) // none
	req = caller.dlg.request(sip.REFER, caller.u.conn)
	req.AppendHeader(sip.NewHeader("Refer-To", "<sip:1003@lsp.test>"))
	req.AppendHeader(sip.NewHeader("Refer-To", "<sip:1003@lsp.test>"))
	caller.u.send(req).wait(400) // two
	out := caller.u.request(sip.REFER, "1001", "1003", nil)
	out.AppendHeader(sip.NewHeader("Refer-To", "<sip:1003@lsp.test>"))
	caller.u.send(out).wait(403) // outside of a dialog
	callee.within(sip.BYE, nil).wait(200)
	caller.u.bye()
	w.ended()
}

// TestReferFlood: while one transfer runs others wait, and their number in one call has an end.
func TestReferFlood(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	x := w.phone("1003")
	caller.within(sip.UPDATE, nil).wait(200)
	accepted := 0
	for range maxTransfers + 5 {
		o := caller.refer("sip:1003@lsp.test", sip.NewHeader("Refer-Sub", "false"))
		res := <-o.res
		time.Sleep(25 * time.Millisecond) // or the connection's own rate limit comes first
		if res.StatusCode == 403 {
			continue
		}
		if res.StatusCode != 202 {
			t.Fatalf("REFER got %d", res.StatusCode)
		}
		accepted++
		in := x.incoming(sip.INVITE)
		caller.refer("sip:1003@lsp.test").wait(491)
		callee.refer("sip:1003@lsp.test").wait(491)
		in.Reply(486, "Busy Here")
		x.acked()
		for w.agent.Calls()[0].State != "up" {
			time.Sleep(time.Millisecond)
		}
	}
	if accepted != maxTransfers {
		t.Errorf("%d transfers", accepted)
	}
	callee.within(sip.BYE, nil).wait(200)
	caller.u.bye()
	w.ended()
}

// TestEmergencyCallerCannotTransfer: the line to the PSAP stays where it is.
func TestEmergencyCallerCannotTransfer(t *testing.T) {
	w := newWorld(t, nil)
	a, sbc := w.phone("1001"), w.sbc("sbc1")
	w.phone("1003")
	o := a.call("911")
	sbc.answer(sbc.incoming(sip.INVITE))
	o.up(nil)
	sbc.acked()
	o.within(sip.UPDATE, nil).wait(200)
	o.refer("sip:1003@lsp.test").wait(403)
	o.refer("sip:*5@lsp.test").wait(403)
	o.within(sip.BYE, nil).wait(200)
	sbc.bye()
	w.ended()
}
