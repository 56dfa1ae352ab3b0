package b2bua

import (
	"slices"
	"testing"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// copied sends the INVITE of another call again, over u's connection: same Call-ID, From tag and CSeq, another branch.
func (u *ua) copied(of *outgoing) *outgoing {
	req := of.req.Clone()
	for req.RemoveHeader("Via") {
	}
	return u.send(req)
}

// one waits for the status on both ways, in one dialog.
func one(t *testing.T, status int, a, b *outgoing) {
	t.Helper()
	x, y := a.wait(status), b.wait(status)
	first, _ := x.To().Params.Get("tag")
	second, _ := y.To().Params.Get("tag")
	if first == "" || first != second {
		t.Errorf("%d in the dialogs %q and %q", status, first, second)
	}
	if len(x.Body()) != len(y.Body()) {
		t.Errorf("%d with %d and %d bytes of SDP", status, len(x.Body()), len(y.Body()))
	}
	a.res <- x // for who acknowledges it
}

// only checks that the ua has seen no other INVITE.
func (u *ua) only(t *testing.T) {
	t.Helper()
	select {
	case tx := <-u.requests:
		t.Errorf("%s got another %s", u.name, tx.Request().Method)
	default:
	}
}

// TestMerged: the same INVITE comes by two ways (RFC 3261 §8.2.2.2). It is one call, whichever way lives.
func TestMerged(t *testing.T) {
	for _, number := range []string{"911", "912175550142"} {
		for name, play := range map[string]func(w *world, a, b, x *ua, o *outgoing, in *stack.ServerTx){
			"both live": func(w *world, a, b, x *ua, o *outgoing, in *stack.ServerTx) {
				in.Reply(180, "Ringing")
				o.wait(180)
				again := b.copied(o)
				again.wait(180) // told at once
				x.answer(in)
				one(t, 200, o, again)
				o.up(nil)
				x.acked()
				o.within(sip.BYE, nil).wait(200)
				x.bye()
			},
			"the first one dies without a word": func(w *world, a, b, x *ua, o *outgoing, in *stack.ServerTx) {
				again := b.copied(o)
				again.wait(100)
				in.Reply(180, "Ringing")
				again.wait(180)
				a.conn.Close()
				x.answer(in)
				again.up(nil)
				x.acked()
				again.within(sip.BYE, nil).wait(200)
				x.bye()
			},
			"the answer did not arrive": func(w *world, a, b, x *ua, o *outgoing, in *stack.ServerTx) {
				x.answer(in)
				o.wait(200)
				x.acked()
				again := b.copied(o)
				again.up(nil)
				again.within(sip.BYE, nil).wait(200)
				x.bye()
			},
			"the second one hangs up": func(w *world, a, b, x *ua, o *outgoing, in *stack.ServerTx) {
				again := b.copied(o)
				again.wait(100)
				in.Reply(180, "Ringing")
				again.wait(180)
				again.tx.Cancel()
				x.cancelled().Reply(487, "Request Terminated")
				one(t, 487, o, again)
			},
			"the first one is given up for the second": func(w *world, a, b, x *ua, o *outgoing, in *stack.ServerTx) {
				in.Reply(180, "Ringing")
				o.wait(180)
				again := b.copied(o)
				again.wait(180)
				o.tx.Cancel()
				o.wait(487)
				x.answer(in)
				again.up(nil)
				x.acked()
				again.within(sip.BYE, nil).wait(200)
				x.bye()
			},
			"one after the other hangs up": func(w *world, a, b, x *ua, o *outgoing, in *stack.ServerTx) {
				in.Reply(180, "Ringing")
				o.wait(180)
				again := b.copied(o)
				again.wait(180)
				o.tx.Cancel()
				o.wait(487)
				again.tx.Cancel()
				x.cancelled().Reply(487, "Request Terminated")
				again.wait(487)
			},
			"the second one dies": func(w *world, a, b, x *ua, o *outgoing, in *stack.ServerTx) {
				again := b.copied(o)
				again.wait(100)
				in.Reply(180, "Ringing")
				again.wait(180)
				b.conn.Close()
				again.wait(-1)
				x.answer(in)
				o.up(nil)
				x.acked()
				o.within(sip.BYE, nil).wait(200)
				x.bye()
			},
			"too late": func(w *world, a, b, x *ua, o *outgoing, in *stack.ServerTx) {
				x.answer(in)
				o.up(nil)
				x.acked()
				o.within(sip.OPTIONS, nil).wait(200) // the ACK has been taken
				b.copied(o).wait(482)
				o.within(sip.BYE, nil).wait(200)
				x.bye()
			},
			"refused": func(w *world, a, b, x *ua, o *outgoing, in *stack.ServerTx) {
				again := b.copied(o)
				again.wait(100)
				in.Reply(180, "Ringing")
				again.wait(180)
				stopped := make(chan struct{})
				go func() { w.agent.Stop(); close(stopped) }()
				one(t, 503, o, again)
				x.cancelled().Reply(487, "Request Terminated")
				<-stopped
			},
		} {
			t.Run(number+" "+name, func(t *testing.T) {
				w := newWorld(t, helpful)
				a, b, x := w.phone("1001"), w.phone("1001"), w.sbc("sbc1")
				o := a.call(number)
				in := x.incoming(sip.INVITE)
				play(w, a, b, x, o, in)
				w.ended()
				x.only(t)
				w.mu.Lock()
				defer w.mu.Unlock()
				if len(w.records) != 1 {
					t.Errorf("%d calls", len(w.records))
				}
			})
		}
	}
}

// TestMergedAfterTheLoss: the box has seen the first connection fall when the phone is back with the same INVITE. The call to
// 911 has gone on, and is its call; an ordinary one has ended, and begins anew.
func TestMergedAfterTheLoss(t *testing.T) {
	t.Run("911", func(t *testing.T) {
		w := newWorld(t, helpful)
		a, b, x := w.phone("1001"), w.phone("1001"), w.sbc("sbc1")
		o := a.call("911")
		in := x.incoming(sip.INVITE)
		a.conn.Close()
		w.until(func() bool { return slices.Contains(w.kinds(""), AlarmRaised) })
		again := b.copied(o)
		again.wait(100)
		in.Reply(180, "Ringing")
		again.wait(180)
		x.answer(in)
		again.up(nil)
		x.acked()
		again.within(sip.BYE, nil).wait(200)
		x.bye()
		w.ended()
		x.only(t)
	})
	t.Run("ordinary", func(t *testing.T) {
		w := newWorld(t, nil)
		a, b, x := w.phone("1001"), w.phone("1001"), w.sbc("sbc1")
		o := a.call("912175550142")
		in := x.incoming(sip.INVITE)
		in.Reply(180, "Ringing")
		o.wait(180)
		a.conn.Close()
		x.cancelled().Reply(487, "Request Terminated")
		w.ended()
		again := b.copied(o)
		x.answer(x.incoming(sip.INVITE))
		again.up(nil)
		x.acked()
		x.acked()
		again.within(sip.BYE, nil).wait(200)
		x.bye()
		w.ended()
	})
}

// TestNotMerged: what looks the same and is another's, or goes elsewhere, is a call of its own; who copies an INVITE to 911
// cannot end that call.
func TestNotMerged(t *testing.T) {
	t.Run("another user", func(t *testing.T) {
		w := newWorld(t, helpful)
		a, b, x := w.phone("1001"), w.phone("1002"), w.sbc("sbc1")
		o := a.call("911")
		in := x.incoming(sip.INVITE)
		req := o.req.Clone()
		for req.RemoveHeader("Via") {
		}
		req.From().Address.User = "1002"
		forged := b.send(req)
		second := x.incoming(sip.INVITE)
		second.Reply(180, "Ringing")
		forged.wait(180)
		forged.tx.Cancel()
		x.cancelled().Reply(487, "Request Terminated")
		forged.wait(487)
		w.ended()
		x.acked()
		x.answer(in)
		o.up(nil)
		x.acked()
		o.within(sip.BYE, nil).wait(200)
		x.bye()
		w.ended()
	})
	t.Run("forked by the SBC to two users", func(t *testing.T) {
		w := newWorld(t, nil)
		x, b, c := w.sbc("sbc1"), w.phone("1002"), w.phone("1003")
		o := x.call("+12175551002")
		b.incoming(sip.INVITE).Reply(180, "Ringing")
		o.wait(180)
		req := o.req.Clone()
		for req.RemoveHeader("Via") {
		}
		req.Recipient.User = "+12175551003"
		other := x.send(req)
		c.incoming(sip.INVITE).Reply(486, "Busy Here")
		other.wait(486)
		w.ended()
		o.tx.Cancel()
		b.cancelled().Reply(487, "Request Terminated")
		o.wait(487)
		w.ended()
	})
}

// TestMergedFromTheTrunk: a proxy gives a branch of a call up for another one to the same phone.
func TestMergedFromTheTrunk(t *testing.T) {
	begin := func(t *testing.T) (w *world, x, b *ua, again *outgoing, in *stack.ServerTx) {
		w = newWorld(t, nil)
		x, b = w.sbc("sbc1"), w.phone("1002")
		o := x.call("+12175551002")
		in = b.incoming(sip.INVITE)
		in.Reply(180, "Ringing")
		o.wait(180)
		again = x.copied(o)
		again.wait(180)
		o.tx.Cancel()
		o.wait(487)
		return w, x, b, again, in
	}
	t.Run("answered", func(t *testing.T) {
		w, _, b, again, in := begin(t)
		b.answer(in)
		again.up(nil)
		b.acked()
		again.within(sip.BYE, nil).wait(200)
		b.bye()
		w.ended()
		b.only(t)
	})
	t.Run("given up", func(t *testing.T) {
		w, _, b, again, _ := begin(t)
		again.tx.Cancel()
		b.cancelled().Reply(487, "Request Terminated")
		again.wait(487)
		w.ended()
	})
	t.Run("lost", func(t *testing.T) {
		w, x, b, again, _ := begin(t)
		x.conn.Close()
		b.cancelled().Reply(487, "Request Terminated")
		again.wait(-1)
		w.ended()
	})
}

// TestMergedTooOften: of a phone that connects again and again the newest ways count.
func TestMergedTooOften(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911")
	in := x.incoming(sip.INVITE)
	var ways []*outgoing
	for range maxCopies + 1 {
		again := w.phone("1001").copied(o)
		again.wait(100)
		ways = append(ways, again)
		in.Reply(180, "Ringing")
		again.wait(180)
	}
	ways[0].wait(482)
	x.answer(in)
	o.wait(200)
	last := ways[len(ways)-1]
	last.up(nil)
	x.acked()
	last.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
	x.only(t)
}
