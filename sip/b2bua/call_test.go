package b2bua

import (
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/site"
)

func TestCallInside(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.phone("1001"), w.phone("1002")
	o := a.call("1002")
	in := b.incoming(sip.INVITE)
	if from := in.Request().From(); from.Address.User != "1001" || from.DisplayName != "User 1001" {
		t.Errorf("callee sees %v", from)
	}
	if in.Request().CallID().Value() == o.req.CallID().Value() {
		t.Error("the caller's Call-ID went through")
	}
	in.Reply(180, "Ringing")
	o.wait(180)
	callee := b.answer(in, pcmu, ev8)
	res := o.up(nil)
	b.acked()
	d, err := sdp.Parse(res.Body())
	if err != nil || len(sdp.Filter(d.Codecs)) != 2 || !d.Codecs[0].Same(pcmu) {
		t.Fatalf("answer %v, %v", d, err)
	}
	s, legs := w.media.last()
	if len(legs) != 2 || len(s.links) != 1 || !legs[0].stream.ToPeer || !legs[1].stream.FromPeer {
		t.Errorf("media %+v", legs)
	}
	if string(legs[0].stream.Recv.Key) != string(offerKeys[0].Key) {
		t.Error("the caller's key was not taken")
	}
	if string(legs[0].stream.Send.Key) == string(legs[1].stream.Send.Key) {
		t.Error("one key on two legs")
	}
	callee.within(sip.BYE, nil).wait(200)
	a.bye()
	r := w.ended()
	if r.Cause != causeBye || r.EndedBy != "callee" || r.Status != 200 || len(r.Legs) != 2 || r.Legs[1].Codec != "PCMU" {
		t.Errorf("record %+v", r)
	}
}

func TestCallerHangsUp(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.phone("1001"), w.phone("1002")
	o := a.call("1002")
	b.answer(b.incoming(sip.INVITE))
	o.up(nil)
	b.acked()
	o.within(sip.BYE, nil).wait(200)
	b.bye()
	if r := w.ended(); r.EndedBy != "caller" {
		t.Errorf("record %+v", r)
	}
}

func TestForkFirstWins(t *testing.T) {
	w := newWorld(t, nil)
	a, b1, b2 := w.phone("1001"), w.phone("1002"), w.phone("1002")
	o := a.call("1002")
	in1, in2 := b1.incoming(sip.INVITE), b2.incoming(sip.INVITE)
	in1.Reply(180, "Ringing")
	in2.Reply(180, "Ringing")
	o.wait(180)
	b2.answer(in2)
	o.up(nil)
	b2.acked()
	select {
	case <-b1.cancels:
	case <-time.After(deadline):
		t.Fatal("the other phone still rings")
	}
	in1.Reply(487, "Request Terminated")
	o.within(sip.BYE, nil).wait(200)
	b2.bye()
	w.ended()
}

// TestAnswerCrossesCancel: the phone picks up in the moment in which the caller gives up.
func TestAnswerCrossesCancel(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.phone("1001"), w.phone("1002")
	o := a.call("1002")
	in := b.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	o.wait(180)
	o.tx.Cancel()
	o.wait(487)
	<-b.cancels
	b.answer(in)
	b.acked()
	b.bye()
	if r := w.ended(); r.Cause != causeCancelled || r.Status != 487 {
		t.Errorf("record %+v", r)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		want   int
	}{{"busy", 486, 486}, {"declined", 603, 603}, {"no codec", 488, 488}, {"unavailable", 480, 480}, {"broken", 500, 500}, {"redirect", 302, 480}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil)
			a, b := w.phone("1001"), w.phone("1002")
			o := a.call("1002")
			b.incoming(sip.INVITE).Reply(c.status, "No")
			o.wait(c.want)
			w.ended()
		})
	}
}

func TestForwardOnBusy(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { d.Users[1].Forward.Busy = "1003" })
	a, b, c := w.phone("1001"), w.phone("1002"), w.phone("1003")
	o := a.call("1002")
	b.incoming(sip.INVITE).Reply(486, "Busy Here")
	c.answer(c.incoming(sip.INVITE))
	o.up(nil)
	c.acked()
	o.within(sip.BYE, nil).wait(200)
	c.bye()
	w.ended()
}

func TestNoAnswer(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { d.Users[1].NoAnswerAfter = 1 })
	a, b := w.phone("1001"), w.phone("1002")
	o := a.call("1002")
	in := b.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	<-b.cancels
	in.Reply(487, "Request Terminated")
	o.wait(480)
	w.ended()
}

func TestNobodyThere(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { d.Trunks = []site.Trunk{} })
	o := w.phone("1001").call("1002")
	o.wait(480)
	w.ended()
}

func TestNotServing(t *testing.T) {
	w := newWorld(t, nil)
	w.serving = false
	res := w.phone("1001").call("1002").wait(503)
	if header(res, "retry-after") != "" {
		t.Errorf("Retry-After %q would hold back a call for help", header(res, "retry-after"))
	}
	w.ended()
}

func TestBadOffers(t *testing.T) {
	for name, c := range map[string]struct {
		body, kind string
		want       int
	}{
		"no SDP":     {"hello", "application/sdp", 400},
		"other type": {"hello", "text/plain", 415},
		"IPv6":       {strings.ReplaceAll(string(offer(pcmu)), "IP4 127.0.0.1", "IP6 ::1"), "application/sdp", 488},
		"no SRTP":    {strings.ReplaceAll(string(offer(pcmu)), "RTP/SAVP", "RTP/AVP"), "application/sdp", 200}, // optional SRTP: a=crypto in RTP/AVP
		"plain RTP":  {"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n", "application/sdp", 488},
		"only video": {"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 4000 RTP/SAVP 96\r\n", "application/sdp", 488},
		"only GSM":   {strings.Replace(string(offer(pcmu)), "RTP/SAVP 0", "RTP/SAVP 3", 1), "application/sdp", 488},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			a, b := w.phone("1001"), w.phone("1002")
			req := a.request(sip.INVITE, "1001", "1002", nil)
			req.AppendHeader(sip.NewHeader("Content-Type", c.kind))
			req.SetBody([]byte(c.body))
			o := a.send(req)
			if c.want == 200 {
				b.answer(b.incoming(sip.INVITE))
				o.up(nil)
				return
			}
			o.wait(c.want)
			w.ended()
		})
	}
}

func TestPortsOut(t *testing.T) {
	w := newWorld(t, nil)
	w.media.noPorts = true
	a := w.phone("1001")
	w.phone("1002")
	a.call("1002").wait(503)
	w.ended()
}

func TestLateOffer(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.phone("1001"), w.phone("1002")
	o := a.send(a.request(sip.INVITE, "1001", "1002", nil))
	in := b.incoming(sip.INVITE)
	if len(in.Request().Body()) == 0 {
		t.Fatal("no early offer to the callee")
	}
	b.answer(in, pcma)
	res := o.wait(200)
	o.res <- res
	o.up(answerTo(t, res.Body(), pcma))
	b.acked()
	o.within(sip.BYE, nil).wait(200)
	b.bye()
	w.ended()
	_, legs := w.media.last()
	if legs[0].stream.Audio.Type != 8 || legs[0].stream.Remote.Port() != 4100 || legs[0].sets == 0 {
		t.Errorf("late caller's stream %+v", legs[0])
	}
}

func TestAnswerWithoutCommonCodec(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.phone("1001"), w.phone("1002")
	o := a.call("1002", pcmu)
	b.answer(b.incoming(sip.INVITE), pcma)
	b.acked()
	o.wait(488)
	b.bye()
	if r := w.ended(); r.Cause != causeNoCodec {
		t.Errorf("record %+v", r)
	}
}

func TestNoAck(t *testing.T) {
	w := newWorldAt(t, hasty(), nil)
	a, b := w.phone("1001"), w.phone("1002")
	o := a.call("1002")
	b.answer(b.incoming(sip.INVITE))
	b.acked()
	o.wait(200)
	o.wait(200) // sent again until the ACK comes
	b.bye()
	a.bye()
	if r := w.ended(); r.Cause != causeNoAck {
		t.Errorf("record %+v", r)
	}
}

func TestCallerLost(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.phone("1001"), w.phone("1002")
	o := a.call("1002")
	in := b.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	o.wait(180)
	a.conn.Close()
	<-b.cancels
	in.Reply(487, "Request Terminated")
	if r := w.ended(); r.Cause != causeLost {
		t.Errorf("record %+v", r)
	}
}

// TestStrangers: who does not have the dialog's tags, or comes from elsewhere, ends no call.
func TestStrangers(t *testing.T) {
	w := newWorld(t, nil)
	a, b, x := w.phone("1001"), w.phone("1002"), w.sbc("sbc1")
	o := a.call("1002")
	b.answer(b.incoming(sip.INVITE))
	o.up(nil)
	b.acked()
	forged := *o
	forged.u = x // the right tags, but from the trunk
	forged.within(sip.BYE, nil).wait(481)
	wrong := *o
	wrong.dlg.local.tag = "guess"
	wrong.within(sip.BYE, nil).wait(481)
	o.dlg.localSeq = 1
	old := o.dlg.numbered(sip.BYE, 1, a.conn)
	old.SetBody(nil)
	a.send(old).wait(500) // a number that was used
	o.dlg.localSeq = 10
	o.within(sip.BYE, nil).wait(200)
	b.bye()
	w.ended()
}

func TestLoop(t *testing.T) {
	w := newWorld(t, nil)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("912175550142")
	in := x.incoming(sip.INVITE)
	back := in.Request().Clone()
	back.RemoveHeader("Via")
	x.send(back).wait(482)
	in.Reply(486, "Busy Here")
	o.wait(486)
	w.ended()
}

func TestStop(t *testing.T) {
	w := newWorld(t, nil)
	a, b, c := w.phone("1001"), w.phone("1002"), w.phone("1003")
	o := a.call("1002")
	b.answer(b.incoming(sip.INVITE))
	o.up(nil)
	b.acked()
	ringing := c.call("1002")
	in := b.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	ringing.wait(180)
	go w.agent.Stop()
	ringing.wait(503)
	<-b.cancels
	in.Reply(487, "Request Terminated")
	a.bye()
	b.bye()
	w.ended()
	w.ended()
}

// TestOnePhoneGoneWild: it leaves the others their calls, and may still call for help.
func TestOnePhoneGoneWild(t *testing.T) {
	w := newWorld(t, helpful)
	w.agent.o.MaxCalls = 2 * mostOfOne
	wild, other, callee, sbc := w.phone("1001"), w.phone("1003"), w.phone("1002"), w.sbc("sbc1")
	var calls []*outgoing
	ring := func(u *ua) {
		calls = append(calls, u.call("1002", pcmu))
		callee.incoming(sip.INVITE).Reply(180, "Ringing")
		calls[len(calls)-1].wait(180)
	}
	for range mostOfOne {
		ring(wild)
	}
	wild.call("1002", pcmu).wait(503)
	ring(other)
	help := wild.call("911", pcmu)
	sbc.answer(sbc.incoming(sip.INVITE), pcmu)
	help.up(nil)
	sbc.acked()
	help.within(sip.BYE, nil).wait(200)
	sbc.bye()
	w.ended()
	for _, o := range calls {
		o.tx.Cancel()
		o.wait(487)
		callee.cancelled().Reply(487, "Request Terminated")
		w.ended()
	}
	w.until(func() bool { return w.agent.Count() == 0 })
	ring(wild)
	calls[len(calls)-1].tx.Cancel()
	callee.cancelled().Reply(487, "Request Terminated")
	w.ended()
}
