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

// reliableCall is a call by a phone that knows (Supported) or wants (Require) 100rel.
func (u *ua) reliableCall(to, header string, body []byte) *outgoing {
	req := u.request(sip.INVITE, u.name, to, body)
	req.AppendHeader(sip.NewHeader(header, "100rel"))
	return u.send(req)
}

// prack acknowledges a reliable provisional response.
func (o *outgoing) prack(res *sip.Response, body []byte) *outgoing {
	o.early(res)
	return o.rack(fmt.Sprintf("%s %d INVITE", header(res, "rseq"), o.req.CSeq().SeqNo), body)
}

func (o *outgoing) rack(value string, body []byte) *outgoing {
	req := o.dlg.request(sip.PRACK, o.u.conn)
	req.AppendHeader(sip.NewHeader("RAck", value))
	setSDP(req, body)
	return o.u.send(req)
}

// early makes the dialog of a provisional response.
func (o *outgoing) early(res *sip.Response) {
	seq := max(o.dlg.localSeq, o.req.CSeq().SeqNo)
	o.dlg = dialog{callID: o.req.CallID().Value(), local: party{uri: o.req.From().Address}, remote: party{uri: o.req.To().Address}, localSeq: seq}
	o.dlg.local.tag, _ = o.req.From().Params.Get("tag")
	o.dlg.accepted(res)
}

// finish acknowledges the INVITE's 200, whatever was sent in the early dialog.
func (o *outgoing) finish() *sip.Response {
	o.u.w.t.Helper()
	res := o.wait(200)
	ack := o.dlg.numbered(sip.ACK, o.req.CSeq().SeqNo, o.u.conn)
	ack.SetBody(nil)
	o.u.conn.Write(ack)
	return res
}

// progress183 is early media of the SBC.
func progress183(t *testing.T, x *ua, codecs ...sdp.Codec) *outgoingInvite {
	t.Helper()
	in := x.incoming(sip.INVITE)
	res := in.Response(183, "Session Progress")
	res.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: x.name, Host: "127.0.0.1", Port: int(x.conn.Local().Port())}})
	setSDP(res, answerTo(t, in.Request().Body(), codecs...))
	return &outgoingInvite{in.Respond, res, func() *outgoing { return x.answer(in, codecs...) }, in.Reply}
}

type outgoingInvite struct {
	respond func(*sip.Response) error
	res     *sip.Response
	answer  func() *outgoing
	refuse  func(status int, reason string, headers ...sip.Header) error
}

// TestReliableEarlyMedia: the 183 comes again until its PRACK, and the 200 waits for it and says nothing new.
func TestReliableEarlyMedia(t *testing.T) {
	for _, option := range []string{"Supported", "Require"} {
		t.Run(option, func(t *testing.T) {
			w := newWorld(t, nil)
			a, x := w.phone("1001"), w.sbc("sbc1")
			o := a.reliableCall("912175550142", option, offer(pcmu, ev8))
			sbc := progress183(t, x, pcmu, ev8)
			sbc.respond(sbc.res)
			first := o.wait(183)
			if header(first, "require") != "100rel" || header(first, "rseq") == "" || len(first.Body()) == 0 {
				t.Fatalf("not reliable:\n%s", first)
			}
			again := o.wait(183)
			if header(again, "rseq") != header(first, "rseq") {
				t.Error("another RSeq in a retransmission")
			}
			callee := sbc.answer()
			x.acked()
			quiet := time.After(50 * time.Millisecond)
			for waiting := true; waiting; {
				select {
				case r := <-o.res:
					if r.StatusCode >= 200 {
						t.Fatalf("%d before the PRACK", r.StatusCode)
					}
				case <-quiet:
					waiting = false
				}
			}
			o.early(first)
			o.rack("99 1 INVITE", nil).wait(481)
			o.rack("1 99 INVITE", nil).wait(481)
			o.rack("nonsense", nil).wait(481)
			o.prack(first, nil).wait(200)
			ok := o.finish()
			if len(ok.Body()) > 0 {
				t.Error("a second answer in the 200")
			}
			o.prack(first, nil).wait(481) // it was acknowledged
			o.within(sip.UPDATE, nil).wait(200)
			callee.within(sip.BYE, nil).wait(200)
			a.bye()
			w.ended()
		})
	}
}

// TestNoPrack: a caller that never acknowledges is refused, even if the callee has answered.
func TestNoPrack(t *testing.T) {
	t.Parallel()
	for _, answered := range []bool{false, true} {
		t.Run(fmt.Sprint("answered ", answered), func(t *testing.T) {
			t.Parallel()
			w := newWorldAt(t, hasty(), nil)
			a, x := w.phone("1001"), w.sbc("sbc1")
			o := a.reliableCall("912175550142", "Require", offer(pcmu))
			sbc := progress183(t, x, pcmu)
			sbc.respond(sbc.res)
			o.wait(183)
			if answered {
				sbc.answer()
				x.acked()
				o.wait(504)
				x.bye()
			} else {
				o.wait(504)
				<-x.cancels
			}
			if r := w.ended(); r.Cause != causeNoPrack {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// TestRequiredReliableRinging: whoever demands 100rel gets a reliable 180; without an offer of its own only 100.
func TestRequiredReliableRinging(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.phone("1001"), w.phone("1002")
	o := a.reliableCall("1002", "Require", offer(pcmu))
	in := b.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	res := o.wait(180)
	if header(res, "require") != "100rel" {
		t.Fatalf("not reliable:\n%s", res)
	}
	b.answer(in, pcmu)
	o.early(res)
	o.finish() // an answer need not wait for the PRACK of a mere 180,
	b.acked()
	o.prack(res, nil).wait(200) // which may come after it (RFC 3262 section 3)
	o.prack(res, nil).wait(481)
	o.within(sip.BYE, nil).wait(200)
	b.bye()
	w.ended()

	late := a.reliableCall("1002", "Require", nil)
	in = b.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	time.Sleep(20 * time.Millisecond)
	in.Reply(486, "Busy Here")
	if res := late.wait(486); res.StatusCode != 486 {
		t.Error(res)
	}
	w.ended()
}

// TestEarlyUpdate: another address of the caller's, before and after there is an answer, by UPDATE and in a PRACK.
func TestEarlyUpdate(t *testing.T) {
	w := newWorld(t, nil)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.reliableCall("912175550142", "Supported", offer(pcmu))
	sbc := progress183(t, x, pcmu)
	sbc.respond(sbc.res)
	first := o.wait(183)
	o.early(first)
	moved := []byte(strings.Replace(string(offer(pcmu)), "m=audio 4000", "m=audio 4500", 1))
	o.within(sip.UPDATE, moved).wait(500) // the answer awaits its PRACK
	o.prack(first, moved).wait(200)
	if _, legs := w.media.last(); legs[0].stream.Remote.Port() != 4500 {
		t.Errorf("stream %+v", legs[0].stream)
	}
	ok := o.within(sip.UPDATE, offer(pcmu)).wait(200)
	if d, err := sdp.Parse(ok.Body()); err != nil || !d.Codecs[0].Same(pcmu) {
		t.Errorf("answer %v %v", d, err)
	}
	o.within(sip.UPDATE, offer(pcma)).wait(488) // nobody is there yet to agree
	o.within(sip.UPDATE, nil).wait(200)
	if _, legs := w.media.last(); legs[0].stream.Remote.Port() != 4000 {
		t.Errorf("stream %+v", legs[0].stream)
	}
	sbc.answer()
	x.acked()
	o.finish()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestReliableCallee: the box acknowledges reliable provisional responses, in order and once; an answer in one counts for
// the 200 without.
func TestReliableCallee(t *testing.T) {
	w := newWorld(t, nil)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("912175550142", pcmu)
	in := x.incoming(sip.INVITE)
	if !lists(in.Request(), "supported", "100rel") {
		t.Error("100rel is not offered")
	}
	reliably := func(status int, seq string, body []byte) *sip.Response {
		res := in.Response(status, "Progress")
		res.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "early", Host: "127.0.0.1", Port: int(x.conn.Local().Port())}})
		res.AppendHeader(sip.NewHeader("Require", "100rel"))
		res.AppendHeader(sip.NewHeader("RSeq", seq))
		setSDP(res, body)
		in.Respond(res)
		return res
	}
	res := reliably(183, "17", answerTo(t, in.Request().Body(), pcmu))
	prack := x.incoming(sip.PRACK)
	if got := header(prack.Request(), "rack"); got != fmt.Sprintf("17 %d INVITE", in.Request().CSeq().SeqNo) || prack.Request().Recipient.User != "early" {
		t.Errorf("RAck %q to %v", got, prack.Request().Recipient)
	}
	prack.Reply(200, "OK")
	o.wait(183)
	in.Respond(res)           // again
	reliably(180, "19", nil)  // out of order
	reliably(180, "bad", nil) // nonsense
	reliably(180, "18", nil)
	x.incoming(sip.PRACK).Reply(200, "OK")
	ok := in.Response(200, "OK")
	ok.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: x.name, Host: "127.0.0.1", Port: int(x.conn.Local().Port())}})
	in.Respond(ok) // without SDP
	o.up(nil)
	if ack := x.acked(); ack.CSeq().SeqNo != in.Request().CSeq().SeqNo {
		t.Errorf("ACK %d", ack.CSeq().SeqNo)
	}
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestPrackOfHelpHasRoom: an emergency call's PRACK leaves although as many transactions are open as there may be; without it
// the trunk would give the call up.
func TestPrackOfHelpHasRoom(t *testing.T) {
	w := limitedWorld(t, nil, stack.Limits{ClientTransactions: 1}) // the INVITE's
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911", pcmu)
	in := x.incoming(sip.INVITE)
	res := in.Response(180, "Ringing")
	res.AppendHeader(sip.NewHeader("Require", "100rel"))
	res.AppendHeader(sip.NewHeader("RSeq", "1"))
	in.Respond(res)
	x.incoming(sip.PRACK).Reply(200, "OK")
	x.answer(in, pcmu)
	o.up(nil)
	x.acked()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}
