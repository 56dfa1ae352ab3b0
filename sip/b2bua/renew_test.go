package b2bua

import (
	"crypto/tls"
	"slices"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/route"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// spare opens a second connection of the SBC, which the box is given when it asks for another than the first.
func (w *world) spare(x *ua) *stack.Conn {
	w.t.Helper()
	x.conn.Set(x.name) // the SBC knows that both are the box's
	conn, err := x.stack.Dial(w.t.Context(), w.stack.Addr(stack.Trunk).String(), &tls.Config{InsecureSkipVerify: true}, x.name)
	if err != nil {
		w.t.Fatal(err)
	}
	w.until(func() bool {
		for _, c := range w.stack.Conns() {
			if c.Remote() == conn.Local() {
				c.Set(x.name)
				c.SetAuthenticated()
				w.trunks.mu.Lock()
				defer w.trunks.mu.Unlock()
				w.trunks.second = map[string]*stack.Conn{x.name: c}
				return true
			}
		}
		return false
	})
	return conn
}

// over waits for an INVITE to a number on a connection.
func (u *ua) over(conn *stack.Conn, to string) *stack.ServerTx {
	u.w.t.Helper()
	in := u.incoming(sip.INVITE)
	if in.Conn() != conn || in.Request().Recipient.User != to {
		u.w.t.Errorf("to %s, on the second connection: %v", in.Request().Recipient.User, in.Conn() != u.conn)
	}
	return in
}

// TestSilentTrunkOverANewConnection: the only trunk swallows the INVITE. It gets another over a new connection, and what it may have
// made of the first is cancelled there, or hung up, wherever it still answers.
func TestSilentTrunkOverANewConnection(t *testing.T) {
	late := map[string]func(x *ua, again *stack.Conn, first *stack.ServerTx) (on *stack.Conn){
		"never": nil,
		"late answer": func(x *ua, _ *stack.Conn, first *stack.ServerTx) *stack.Conn {
			x.answer(first)
			return x.conn
		},
		"late answer by the new connection": func(x *ua, again *stack.Conn, first *stack.ServerTx) *stack.Conn {
			res := first.Response(200, "OK")
			res.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: x.name, Host: "127.0.0.1", Port: int(again.Local().Port())}})
			setSDP(res, answerTo(x.w.t, first.Request().Body(), pcmu))
			again.Write(res)
			return again
		},
	}
	for name, answers := range late {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldAt(t, hasty(), helpful)
			a, x := w.phone("1001"), w.sbc("sbc1")
			again := w.spare(x)
			o := a.call("911", pcmu)
			first := x.over(x.conn, "911")
			if x.cancelled() != first { // although nothing was said to it: over the new connection
				t.Error("something else is cancelled")
			}
			in := x.over(again, "911")
			if in.Request().CallID().Value() == first.Request().CallID().Value() {
				t.Error("the same INVITE comes again")
			}
			x.answer(in, pcmu)
			o.up(nil)
			x.acked()
			if answers != nil {
				on := answers(x, again, first)
				ack, bye := x.acked(), x.incoming(sip.BYE)
				if id := first.Request().CallID().Value(); bye.Conn() != on || bye.Request().CallID().Value() != id || ack.CallID().Value() != id {
					t.Errorf("another call is hung up, or elsewhere:\n%s%s", ack, bye.Request())
				}
				bye.Reply(200, "OK")
			}
			o.within(sip.BYE, nil).wait(200)
			if bye := x.incoming(sip.BYE); bye.Request().CallID().Value() != in.Request().CallID().Value() {
				t.Errorf("another call ends:\n%s", bye.Request())
			} else {
				bye.Reply(200, "OK")
			}
			r := w.ended()
			if kinds := w.kinds(r.ID); slices.Contains(kinds, NoTrunk) || slices.Contains(kinds, DeskRings) {
				t.Errorf("%v", kinds)
			}
		})
	}
}

// TestSilentTrunkComesLast: the other trunks come first, and where one of them takes the call, what the silent one may have made of
// its INVITE is cancelled all the same.
func TestSilentTrunkComesLast(t *testing.T) {
	for name, refuses := range map[string]bool{"another takes it": false, "no other does": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldAt(t, hasty(), nil)
			a, x1, x2 := w.phone("1001"), w.sbc("sbc1"), w.sbc("sbc2")
			again := w.spare(x1)
			o := a.call("911", pcmu)
			first, x := x1.over(x1.conn, "911"), x2
			in := x2.over(x2.conn, "911")
			if x1.cancelled() != first {
				t.Error("something else is cancelled")
			}
			if refuses {
				in.Reply(404, "Not Found")
				x, in = x1, x1.over(again, "911")
			}
			x.answer(in, pcmu)
			o.up(nil)
			x.acked()
			x1.quiet()
			o.within(sip.BYE, nil).wait(200)
			x.bye()
			w.ended()
		})
	}
}

// TestHangsUpMeanwhile: who hangs up while the new connection is made is not called for any more; what the trunk may have made of the first
// INVITE is cancelled as soon as there is a way.
func TestHangsUpMeanwhile(t *testing.T) {
	w := newWorldAt(t, hasty(), helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	w.spare(x)
	w.trunks.slow, w.trunks.asked = make(chan struct{}), make(chan struct{}, 8)
	o := a.call("911", pcmu)
	first := x.over(x.conn, "911")
	within(t, w.trunks.asked, "a new connection is wanted")
	o.tx.Cancel()
	o.wait(487)
	close(w.trunks.slow)
	if x.cancelled() != first {
		t.Error("something else is cancelled")
	}
	if r := w.ended(); r.Cause != causeCancelled {
		t.Errorf("%+v", r)
	}
	w.until(func() bool { w.agent.mu.Lock(); defer w.agent.mu.Unlock(); return len(w.agent.calls) == 0 })
	x.quiet()
}

// TestNoNewConnection: where none can be made, or one that is as silent, or the trunk was not silent, the security desk rings.
func TestNoNewConnection(t *testing.T) {
	for name, c := range map[string]struct {
		second, hangs bool
		says          func(*stack.ServerTx)
		invites       int
	}{
		"refused":         {},
		"hangs":           {hangs: true},
		"as silent":       {second: true, invites: 1},
		"it said 100":     {second: true, says: func(in *stack.ServerTx) { in.Reply(100, "Trying") }},
		"it said 404":     {second: true, says: func(in *stack.ServerTx) { in.Reply(404, "Not Found") }},
		"it rang and 480": {second: true, says: func(in *stack.ServerTx) { in.Reply(180, "Ringing"); in.Reply(480, "Temporarily Unavailable") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldAt(t, hasty(), func(d *site.Document) { helpful(d); d.Emergency.Security = []string{"1003", deskOutside} })
			a, desk, x := w.phone("1001"), w.phone("1003"), w.sbc("sbc1")
			var again *stack.Conn
			if c.second {
				again = w.spare(x)
			}
			o := a.call("911", pcmu)
			in := x.over(x.conn, "911")
			if c.says != nil {
				c.says(in)
			}
			if c.hangs {
				w.hang("sbc1")
			}
			for range c.invites {
				x.over(again, "911")
			}
			desk.answer(desk.incoming(sip.INVITE), pcmu)
			o.up(nil)
			desk.acked()
			o.within(sip.BYE, nil).wait(200)
			desk.bye()
			w.ended()
			for len(x.requests) > 0 {
				if r := (<-x.requests).Request(); r.Method == sip.INVITE && r.Recipient.User == "911" {
					t.Error("one INVITE more")
				}
			}
		})
	}
}

// TestDeskOverTheOldConnection: an SBC that takes no second connection, and is silent about 911, may still reach the desk outside.
func TestDeskOverTheOldConnection(t *testing.T) {
	w := newWorldAt(t, hasty(), func(d *site.Document) { helpful(d); d.Emergency.Security = []string{deskOutside} })
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911", pcmu)
	x.over(x.conn, "911")
	x.answer(x.over(x.conn, deskOutside), pcmu)
	o.up(nil)
	x.acked()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestSilentTrunkIsNoBetter: a trunk that says that it tries to reach the desk outside is not left for one that has said nothing at all.
func TestSilentTrunkIsNoBetter(t *testing.T) {
	w := newWorld(t, twoTrunks)
	c := &Call{agent: w.agent, trunks: w.site.Trunks(), silent: map[string]*stack.ClientTx{"sbc1": {}}}
	if !c.untried() {
		t.Error("the other trunk is overlooked")
	}
	if c.trunks = c.trunks[:1]; c.untried() {
		t.Error("the silent one counts")
	}
	if c.trunks = nil; c.untried() {
		t.Error("there is none")
	}
}

// TestNewConnectionsPatience: a trunk that cannot be reached anew holds the security desk up for no longer than one that says nothing.
func TestNewConnectionsPatience(t *testing.T) {
	w := newWorld(t, nil)
	c := &Call{agent: w.agent, emergency: true, began: time.Now(), silent: map[string]*stack.ClientTx{"sbc1": {}}}
	c.decision.Kind = route.Emergency
	if got, want := c.connectPatience(&site.Trunk{ID: "sbc1"}), w.agent.o.EmergencyPatience; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if c.comeBackTo(&leg{trunk: &site.Trunk{ID: "sbc1"}}) {
		t.Error("it comes a third time")
	}
}

// TestNoticeOverANewConnection: what the security desk outside has to hear goes the same way.
func TestNoticeOverANewConnection(t *testing.T) {
	w := newWorldAt(t, hasty(), func(d *site.Document) { helpful(d); d.Emergency.Security = []string{deskOutside} })
	x := w.sbc("sbc1")
	again := w.spare(x)
	events, end := make(chan RingEvent, 4), make(chan error, 1)
	go func() {
		end <- w.agent.Ring(t.Context(), RingOrder{ID: "1", Outside: deskOutside, Prompt: EmergencyNotice, RingFor: deadline}, func(e RingEvent) { events <- e })
	}()
	first := x.over(x.conn, deskOutside)
	if x.cancelled() != first {
		t.Error("something else is cancelled")
	}
	x.answer(x.over(again, deskOutside), pcmu)
	x.acked()
	within(t, events, "taken")
	x.acknowledges(end)
}

// TestOrdinaryCallStaysSilent: an ordinary call is not sent twice to a trunk that may only be slow.
func TestOrdinaryCallStaysSilent(t *testing.T) {
	w := newWorldAt(t, hasty(), func(d *site.Document) { d.Trunks = d.Trunks[:1] })
	a, x := w.phone("1001"), w.sbc("sbc1")
	w.spare(x)
	o := a.call("912175550142")
	x.over(x.conn, "+12175550142")
	o.wait(480)
	x.quiet()
	w.ended()
}
