package b2bua

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// TestCallerLosesConnection: an emergency call goes on when the phone's connection falls before the answer; the PSAP
// ends it, and calls back.
func TestCallerLosesConnection(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911")
	in := x.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	o.wait(180)
	a.conn.Close()
	w.until(func() bool { return slices.Contains(w.kinds(""), AlarmRaised) })
	psap := x.answer(in, pcmu)
	x.acked()
	psap.within(sip.BYE, nil).wait(200) // nobody else ends it
	if r := w.ended(); r.Cause != causeBye || r.EndedBy != "callee" {
		t.Errorf("%+v", r)
	}
}

// TestCallerCallsAgain: the call that lost its phone makes way for the same phone's next one.
func TestCallerCallsAgain(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("7777"), w.sbc("sbc1") // nobody's phone: its address tells who it is
	help := func(u *ua) *outgoing { return u.send(u.request(sip.INVITE, "7777", "911", offer())) }
	help(a)
	first := x.incoming(sip.INVITE)
	first.Reply(180, "Ringing")
	a.conn.Close()
	w.until(func() bool { return slices.Contains(w.kinds(""), AlarmRaised) })
	a = w.phone("7777")
	o := help(a)
	if tx := x.cancelled(); tx != first {
		t.Error("another call is cancelled")
	}
	first.Reply(487, "Request Terminated")
	x.answer(x.incoming(sip.INVITE), pcmu)
	if r := w.ended(); r.Cause != causeAgain {
		t.Errorf("%+v", r)
	}
	o.up(nil)
	x.acked()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestOneSideDead: a session that expires on one side does not end an emergency call, on both it does.
func TestOneSideDead(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o, _ := w.callHelp(a, x)
	c := w.onlyCall()
	c.post(gotReply{c.caller, nil, stack.ErrTimeout, func(_ *sip.Response, err error) { c.lost(c.caller, causeExpired, nil) }})
	w.until(func() bool { return slices.Contains(w.kinds(""), AlarmRaised) })
	o.within(sip.OPTIONS, nil).wait(200) // it is there after all
	lost := func(l *leg) {
		c.post(gotReply{l, nil, stack.ErrTimeout, func(*sip.Response, error) { c.lost(l, causeDead, nil) }})
	}
	lost(c.callee)
	o.within(sip.OPTIONS, nil).wait(200) // so it has not ended
	lost(c.caller)
	x.bye()
	a.bye()
	if r := w.ended(); r.Cause != causeDead {
		t.Errorf("%+v", r)
	}
}

// TestPeerKnowsNoCall: who answers 481 has hung up.
func TestPeerKnowsNoCall(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	w.callHelp(a, x)
	c := w.onlyCall()
	c.post(gotReply{c.callee, nil, nil, func(*sip.Response, error) { c.lost(c.callee, causeDead, sip.NewResponse(481, "")) }})
	x.bye()
	a.bye()
	w.ended()
}

// TestUnusableKeys: a phone whose SRTP suites the box does not know is no reason to refuse: the PSAP is called.
func TestUnusableKeys(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	odd := []byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 0\r\na=rtpmap:0 PCMU/8000\r\na=crypto:1 SOMETHING_NEW inline:AAAA\r\n")
	o := a.send(a.request(sip.INVITE, "1001", "911", odd))
	x.answer(x.incoming(sip.INVITE), pcmu)
	o.up(nil) // without an answer: the phone cannot be heard, but the call stands
	x.acked()
	w.until(func() bool { return slices.Contains(w.kinds(""), AlarmRaised) })
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestHelpIsNotChallengedForItsHeaders: neither Replaces nor a short session interval stands in the way.
func TestHelpIsNotChallengedForItsHeaders(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	req := a.request(sip.INVITE, "1001", "911", offer())
	req.AppendHeader(sip.NewHeader("Supported", "timer"))
	req.AppendHeader(sip.NewHeader("Session-Expires", "1"))
	req.AppendHeader(sip.NewHeader("Replaces", "no such call"))
	o := a.send(req)
	x.answer(x.incoming(sip.INVITE), pcmu)
	o.up(nil)
	x.acked()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// until waits for a condition.
func (w *world) until(ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(deadline); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatal(errors.New("it does not come about"))
		}
	}
}

// onlyCall is the call that runs.
func (w *world) onlyCall() *Call {
	w.t.Helper()
	w.agent.mu.Lock()
	defer w.agent.mu.Unlock()
	for _, c := range w.agent.calls {
		if len(w.agent.calls) == 1 {
			return c
		}
	}
	w.t.Fatalf("%d calls", len(w.agent.calls))
	return nil
}

// TestPSAPChangesACallWhosePhoneIsSilent: the phone does not answer what the PSAP's change asks of it. The PSAP is not told
// that there is no such call, which would end it there (RFC 3261 §12.2.1.2).
func TestPSAPChangesACallWhosePhoneIsSilent(t *testing.T) {
	for name, c := range map[string]struct {
		offer []byte
		want  int
	}{
		"hold":          {directed(sdp.SendOnly, pcmu), 200},
		"another codec": {directed(sdp.SendRecv, pcma), 480},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldAt(t, hasty(), helpful)
			a, x := w.phone("1001"), w.sbc("sbc1")
			o := a.call("911", pcmu, pcma)
			psap := x.answer(x.incoming(sip.INVITE), pcmu)
			o.up(nil)
			x.acked()
			change := psap.within(sip.INVITE, c.offer)
			a.incoming(sip.INVITE) // and no answer
			change.wait(c.want)
			if c.want == 200 {
				psap.ackChange()
			}
			w.until(func() bool { return slices.Contains(w.kinds(""), AlarmRaised) })
			o.within(sip.OPTIONS, nil).wait(200) // it has not ended
			psap.within(sip.BYE, nil).wait(200)
			a.bye()
			w.ended()
		})
	}
}

// TestAckIsLostWithItsConnection: the trunk's connection falls under the ACK. The trunk repeats its 200 over the next one, and
// gets the ACK there.
func TestAckIsLostWithItsConnection(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911", pcmu)
	in := x.incoming(sip.INVITE)
	ok := in.Response(200, "OK")
	ok.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "psap", Host: "127.0.0.1"}})
	setSDP(ok, answerTo(t, in.Request().Body(), pcmu))
	in.Respond(ok)
	o.up(nil)
	x.acked() // as the box sees it
	again := w.sbc("sbc1")
	x.conn.Close()
	again.conn.Write(ok)
	if ack := again.acked(); ack.CSeq().SeqNo != in.Request().CSeq().SeqNo || ack.Recipient.User != "psap" {
		t.Errorf("ACK:\n%s", ack)
	}
	fork := sip.CopyResponse(ok)
	fork.To().Params.Remove("tag")
	fork.To().Params.Add("tag", "another")
	again.conn.Write(fork) // of another dialog: that one ends, and the call goes on
	again.name = "psap"
	again.hungUp("another")
	o.within(sip.BYE, nil).wait(200)
	again.bye()
	w.ended()
}

// TestByeOverTheOtherTrunk: SBCs that share a certificate may end each other's calls; others may not.
func TestByeOverTheOtherTrunk(t *testing.T) {
	w := newWorld(t, nil)
	var share atomic.Bool
	w.mu.Lock() // as whoever reads it does
	w.agent.o.IsTrunk = func(c *stack.Conn, trunk string) bool {
		return share.Load() && c.Get() == any("sbc2") && trunk == "sbc1"
	}
	w.mu.Unlock()
	a, x1, x2 := w.phone("1001"), w.sbc("sbc1"), w.sbc("sbc2")
	o := a.call("911", pcmu)
	psap := x1.answer(x1.incoming(sip.INVITE), pcmu)
	o.up(nil)
	x1.acked()
	psap.u = x2
	psap.within(sip.BYE, nil).wait(481)
	share.Store(true)
	psap.within(sip.BYE, nil).wait(200)
	a.bye()
	w.ended()
}
