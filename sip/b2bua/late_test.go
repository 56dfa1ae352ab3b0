package b2bua

import (
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// says sends a 2xx to an INVITE in a dialog with a tag of its own, over the connection.
func (u *ua) says(tx *stack.ServerTx, tag string, on *stack.Conn) {
	u.w.t.Helper()
	res := stack.NewResponse(tx.Request(), 200, "OK", tag)
	res.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: u.name, Host: "127.0.0.1", Port: int(u.conn.Local().Port())}})
	setSDP(res, answerTo(u.w.t, tx.Request().Body()))
	if err := on.Write(res); err != nil {
		u.w.t.Fatal(err)
	}
}

// hungUp waits for the ACK and the BYE of a dialog that the box does not want.
func (u *ua) hungUp(tag string) {
	u.w.t.Helper()
	ack := u.acked()
	if got, _ := ack.To().Params.Get("tag"); got != tag {
		u.w.t.Fatalf("ACK to %q, want %q", got, tag)
	}
	bye := u.incoming(sip.BYE)
	if got, _ := bye.Request().To().Params.Get("tag"); got != tag {
		u.w.t.Fatalf("BYE to %q, want %q", got, tag)
	}
	if a, b := ack.CSeq().SeqNo, bye.Request().CSeq().SeqNo; b <= a {
		u.w.t.Errorf("BYE has number %d, the INVITE %d", b, a)
	}
	if bye.Request().Recipient.User != u.name {
		u.w.t.Errorf("BYE goes to %v, not to the Contact", bye.Request().Recipient.String())
	}
	bye.Reply(200, "OK")
}

// forgotten waits until the agent holds nothing of any call.
func (w *world) forgotten() {
	w.t.Helper()
	for end := time.Now().Add(deadline); w.agent.Count() > 0 || w.agent.Legs() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatal("a call is still there")
		}
	}
}

// TestAnswerWhenItIsOver: whoever answers an INVITE that nobody waits for any more is not left with a call (RFC 3261 §13.2.2.4).
func TestAnswerWhenItIsOver(t *testing.T) {
	const late = "late"
	for _, number := range []string{"912175550142", "911"} {
		for name, play := range map[string]func(w *world, o *outgoing, x *ua, in *stack.ServerTx){
			"after CANCEL and 487": func(w *world, o *outgoing, x *ua, in *stack.ServerTx) {
				in.Reply(180, "Ringing")
				o.wait(180)
				o.tx.Cancel()
				x.cancelled().Reply(487, "Request Terminated")
				o.wait(487)
				x.acked()
				w.ended()
				w.forgotten()
				x.says(in, late, x.conn)
				x.hungUp(late)
			},
			"after CANCEL, before 487": func(w *world, o *outgoing, x *ua, in *stack.ServerTx) {
				in.Reply(180, "Ringing")
				o.wait(180)
				o.tx.Cancel()
				x.cancelled()
				o.wait(487)
				w.ended()
				x.says(in, late, x.conn)
				x.hungUp(late)
				w.forgotten()
				x.says(in, "fork", x.conn) // and another one behind it
				x.hungUp("fork")
			},
			"a fork after the call": func(w *world, o *outgoing, x *ua, in *stack.ServerTx) {
				x.answer(in)
				o.up(nil)
				x.acked()
				o.within(sip.BYE, nil).wait(200)
				x.bye()
				w.ended()
				w.forgotten()
				x.says(in, late, x.conn)
				x.hungUp(late)
			},
			"a fork in the call that no transaction knows": func(w *world, o *outgoing, x *ua, in *stack.ServerTx) {
				x.answer(in)
				o.up(nil)
				x.acked()
				other := w.sbc("sbc1") // the same SBC's second connection
				other.says(in, late, other.conn)
				other.name = x.name
				other.hungUp(late)
				o.within(sip.BYE, nil).wait(200) // the call is not touched by it
				x.bye()
				w.ended()
			},
			"the answer itself, on another connection": func(w *world, o *outgoing, x *ua, in *stack.ServerTx) {
				in.Reply(180, "Ringing")
				o.wait(180)
				other := w.sbc("sbc1")
				other.says(in, late, other.conn)
				if tag, _ := other.acked().To().Params.Get("tag"); tag != late {
					t.Errorf("ACK to %q", tag)
				}
				o.up(nil)
				x.conn.Close() // it was dead already
				o.within(sip.BYE, nil).wait(200)
				other.bye()
				w.ended()
			},
		} {
			t.Run(number+" "+name, func(t *testing.T) {
				w := newWorldAt(t, patient(), nil)
				a, x := w.phone("1001"), w.sbc("sbc1")
				o := a.call(number)
				play(w, o, x, x.incoming(sip.INVITE))
			})
		}
	}
}

// TestAnswerAfterTimerB: the CANCEL had no effect in 64*T1, and then somebody picks up.
func TestAnswerAfterTimerB(t *testing.T) {
	w := newWorldAt(t, hasty(), nil)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("912175550142")
	in := x.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	o.wait(180)
	o.tx.Cancel()
	x.cancelled()
	o.wait(487)
	w.ended()
	w.forgotten()
	x.says(in, "late", x.conn)
	x.hungUp("late")
}

// TestAnswerAfterARefusal: one phone of two refuses and then answers all the same. The other one's call goes on.
func TestAnswerAfterARefusal(t *testing.T) {
	w := newWorld(t, nil)
	a, b, c := w.phone("1001"), w.phone("1002"), w.phone("1002")
	o := a.call("1002")
	first, second := b.incoming(sip.INVITE), c.incoming(sip.INVITE)
	second.Reply(180, "Ringing")
	o.wait(180)
	first.Reply(486, "Busy Here")
	b.acked()
	b.says(first, "late", b.conn)
	b.hungUp("late")
	c.answer(second)
	o.up(nil)
	c.acked()
	o.within(sip.BYE, nil).wait(200)
	c.bye()
	w.ended()
}

// TestAnswerToNoInvite: a 2xx to what the box never sent gets nothing.
func TestAnswerToNoInvite(t *testing.T) {
	w := newWorld(t, nil)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("912175550142")
	in := x.incoming(sip.INVITE)
	in.Reply(486, "Busy Here")
	o.wait(486)
	x.acked()
	w.ended()
	w.forgotten()
	for _, change := range []func(*sip.Response){
		func(r *sip.Response) { r.From().Params.Add("tag", stack.NewTag()) },
		func(r *sip.Response) { r.From().Params.Remove("tag") },
		func(r *sip.Response) { id := sip.CallIDHeader(stack.NewCallID()); r.ReplaceHeader(&id) },
	} {
		res := stack.NewResponse(in.Request(), 200, "OK", "late")
		change(res)
		x.conn.Write(res)
	}
	x.says(in, "real", x.conn)
	x.hungUp("real") // and this is the first that the SBC hears
	if n := w.stack.Counters().StrayResponses.Load(); n < 4 {
		t.Errorf("%d strays", n)
	}
}

// TestAnswerWhenItIsOverOnUDP: there the BYE is repeated until it is heard.
func TestAnswerWhenItIsOverOnUDP(t *testing.T) {
	w := newWorld(t, elevator("udp"))
	a, g := w.phone("1001"), w.gateway("1002", true, false)
	o := a.call("1002")
	in := g.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	o.wait(180)
	o.tx.Cancel()
	g.cancelled().Reply(487, "Request Terminated")
	o.wait(487)
	w.ended()
	w.forgotten()
	res := stack.NewResponse(in.Request(), 200, "OK", "late")
	g.conn.Write(res) // without a Contact, as some have it
	ack := g.acked()
	for tag, _ := ack.To().Params.Get("tag"); tag != "late"; tag, _ = ack.To().Params.Get("tag") {
		ack = g.acked() // of the 487
	}
	bye := g.incoming(sip.BYE)
	if tag, _ := bye.Request().To().Params.Get("tag"); tag != "late" || bye.Request().Recipient.User != "1002" {
		t.Errorf("BYE to %v in %q", bye.Request().Recipient.String(), tag)
	}
	bye.Reply(200, "OK")
	w.until(func() bool { return w.agent.lateByes.Load() == 0 })

	// Where too many wait it is sent once, and counts nowhere.
	w.agent.lateByes.Store(mostLate)
	res.To().Params.Add("tag", "later")
	g.conn.Write(res)
	for tag := ""; tag != "later"; tag, _ = g.acked().To().Params.Get("tag") {
	}
	g.incoming(sip.BYE).Reply(200, "OK")
	if n := w.agent.lateByes.Load(); n != mostLate {
		t.Errorf("%d BYEs wait", n)
	}
}
