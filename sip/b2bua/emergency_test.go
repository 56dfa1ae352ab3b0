package b2bua

import (
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// TestEmergencyFailover: whatever a trunk answers but a 2xx, and every kind of silence, leads to the next one.
func TestEmergencyFailover(t *testing.T) {
	for name, first := range map[string]func(*ua){
		"404": func(x *ua) { x.incoming(sip.INVITE).Reply(404, "Not Found") },
		"403": func(x *ua) { x.incoming(sip.INVITE).Reply(403, "Forbidden") },
		"603": func(x *ua) { x.incoming(sip.INVITE).Reply(603, "Decline") },
		"302": func(x *ua) {
			x.incoming(sip.INVITE).Reply(302, "Moved Temporarily", sip.NewHeader("Contact", "<sip:911@127.0.0.1>"))
		},
		"407": func(x *ua) { x.incoming(sip.INVITE).Reply(407, "Proxy Authentication Required") },
		"early": func(x *ua) {
			p := progress183(x.w.t, x, pcmu)
			p.respond(p.res)
			p.refuse(480, "Temporarily Unavailable")
		},
		"silence":    func(x *ua) { x.incoming(sip.INVITE) },
		"only 100":   func(x *ua) { x.incoming(sip.INVITE).Reply(100, "Trying") },
		"connection": func(x *ua) { x.incoming(sip.INVITE); x.conn.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldAt(t, hastyIf(name == "silence" || name == "only 100"), nil)
			a, x1, x2 := w.phone("1001"), w.sbc("sbc1"), w.sbc("sbc2")
			o := a.call("911")
			first(x1)
			in := x2.incoming(sip.INVITE)
			if in.Request().Recipient.User != "911" {
				t.Errorf("to %v", in.Request().Recipient)
			}
			x2.answer(in)
			o.up(nil)
			x2.acked()
			o.within(sip.BYE, nil).wait(200)
			x2.bye()
			if r := w.ended(); !r.Emergency || r.To != "trunk sbc2" {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// TestEmergencyRings: a trunk that rings is left to ring.
func TestEmergencyRings(t *testing.T) {
	p := patient()
	p.emergency, p.progress = time.Second, time.Second
	w := newWorldAt(t, p, nil)
	a, x1, x2 := w.phone("1001"), w.sbc("sbc1"), w.sbc("sbc2")
	o := a.call("9911")
	in := x1.incoming(sip.INVITE)
	in.Reply(100, "Trying")
	in.Reply(180, "Ringing")
	o.wait(180)
	select {
	case tx := <-x2.requests:
		t.Fatalf("the other trunk got %s", tx.Request().Method)
	case <-time.After(p.emergency + p.progress): // past every clock of failover
	}
	x1.answer(in)
	o.up(nil)
	x1.acked()
	o.within(sip.BYE, nil).wait(200)
	x1.bye()
	w.ended()
}

// TestLateAnswerOfGivenUpTrunk: never two live legs at the PSAP.
func TestLateAnswerOfGivenUpTrunk(t *testing.T) {
	w := newWorldAt(t, hasty(), nil)
	a, x1, x2 := w.phone("1001"), w.sbc("sbc1"), w.sbc("sbc2")
	o := a.call("911")
	slow := x1.incoming(sip.INVITE)
	x2.answer(x2.incoming(sip.INVITE))
	o.up(nil)
	x2.acked()
	x1.answer(slow) // it picks up after all
	x1.acked()
	x1.bye()
	o.within(sip.BYE, nil).wait(200)
	x2.bye()
	w.ended()
}

// TestPreemption: a full trunk makes room by ending the youngest ordinary call, never an emergency call.
func TestPreemption(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { d.Trunks = d.Trunks[:1]; d.Trunks[0].MaxCalls = 2 })
	a, b, x := w.phone("1001"), w.phone("1002"), w.sbc("sbc1")
	up := func(u *ua, to string) *outgoing {
		o := u.call(to)
		x.answer(x.incoming(sip.INVITE))
		o.up(nil)
		x.acked()
		return o
	}
	up(a, "912175550142") // the older
	up(b, "912175550143") // the younger, from b
	emergency := a.call("911")
	// Both happen at once: the BYE of the younger call and the INVITE.
	var invite, bye bool
	for range 2 {
		select {
		case tx := <-x.requests:
			switch tx.Request().Method {
			case sip.INVITE:
				invite = true
				x.answer(tx)
			case sip.BYE:
				bye = true
				tx.Reply(200, "OK")
			}
		case <-time.After(deadline):
			t.Fatalf("INVITE %v, BYE %v", invite, bye)
		}
	}
	b.bye()
	emergency.up(nil)
	x.acked()
	if r := w.ended(); r.Cause != causePreempted || r.From != "u1002" {
		t.Errorf("ended %+v", r)
	}
	second := b.call("911") // takes the older one's place; the first emergency call stays
	for range 2 {
		tx := <-x.requests
		if tx.Request().Method == sip.INVITE {
			x.answer(tx)
		} else {
			tx.Reply(200, "OK")
		}
	}
	a.bye()
	second.up(nil)
	x.acked()
	w.ended()
	emergency.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
	second.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestClaimsOfOneCaller: one phone's further calls for help are served, but end nobody's call and use no reserve.
func TestClaimsOfOneCaller(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { d.Trunks = d.Trunks[:1]; d.Trunks[0].MaxCalls = 4 + claims })
	a, b, x := w.phone("1001"), w.phone("1002"), w.sbc("sbc1")
	reserve := func() bool {
		w.media.mu.Lock()
		defer w.media.mu.Unlock()
		return w.media.opened.Emergency
	}
	up := func(u *ua, to string, want bool) {
		o := u.call(to)
		x.answer(x.incoming(sip.INVITE))
		o.up(nil)
		x.acked()
		if reserve() != want {
			t.Errorf("%s: may use the reserve: %v", to, !want)
		}
	}
	up(b, "912175550142", false)
	up(b, "912175550143", false)
	up(a, "933", false)
	for range claims {
		up(a, "911", true)
	}
	up(a, "911", false) // there is room
	w.agent.mu.Lock()
	var last *Call
	for _, c := range w.agent.calls {
		if c.modest && !c.decision.Test {
			last = c
		}
	}
	w.agent.mu.Unlock()
	if victim, ok := last.takeTrunk(last.site.Trunks()[0]); ok || victim != nil {
		t.Errorf("a place on a full trunk: %v, %v", victim, ok)
	}
	// Somebody else in need still finds what is kept for them.
	second := b.call("911")
	for range 2 {
		tx := <-x.requests
		if tx.Request().Method == sip.INVITE {
			x.answer(tx)
		} else {
			tx.Reply(200, "OK")
		}
	}
	b.bye()
	second.up(nil)
	x.acked()
	if r := w.ended(); r.Cause != causePreempted || !reserve() {
		t.Errorf("ended %+v, reserve %v", r, reserve())
	}
}

// TestTestCallNeverPreempts: 933 waits its turn.
func TestTestCallNeverPreempts(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { d.Trunks = d.Trunks[:1]; d.Trunks[0].MaxCalls = 1 })
	a, b, x := w.phone("1001"), w.phone("1002"), w.sbc("sbc1")
	o := a.call("912175550142")
	x.answer(x.incoming(sip.INVITE))
	o.up(nil)
	x.acked()
	b.call("933").wait(480)
	w.ended()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestFullInItsOwnOpinion: a trunk that answers 503 gets the emergency call again once an ordinary call has made room.
func TestFullInItsOwnOpinion(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { d.Trunks = d.Trunks[:1] })
	a, b, x := w.phone("1001"), w.phone("1002"), w.sbc("sbc1")
	o := b.call("912175550142")
	x.answer(x.incoming(sip.INVITE))
	o.up(nil)
	x.acked()
	emergency := a.call("911")
	x.incoming(sip.INVITE).Reply(503, "Service Unavailable")
	for range 2 {
		tx := <-x.requests
		if tx.Request().Method == sip.INVITE {
			x.answer(tx)
		} else {
			tx.Reply(200, "OK")
		}
	}
	b.bye()
	emergency.up(nil)
	x.acked()
	w.ended()
	emergency.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestEmergencyLocks: the caller's phone cannot hold the call, and silence does not end it, but raises an alarm, once.
func TestEmergencyLocks(t *testing.T) {
	w := newWorld(t, nil)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911", pcmu)
	psap := x.answer(x.incoming(sip.INVITE), pcmu)
	o.up(nil)
	x.acked()
	o.within(sip.INVITE, directed(sdp.SendOnly, pcmu)).wait(403)
	a.resounds(sdp.SendRecv)
	s, _ := w.media.last()
	for range 2 {
		s.events <- MediaEvent{Leg: s.legs[0], Silent: true, For: time.Hour}
	}
	w.until(func() bool { return w.heardAlarm("no sound has come from u1001 for 1h0m0s") > 0 })
	s.events <- MediaEvent{Leg: s.legs[0], Silent: true, For: time.Hour}
	o.within(sip.UPDATE, nil).wait(200) // still up, and nobody was probed
	if n := w.heardAlarm("no sound"); n != 1 {
		t.Errorf("%d alarms", n)
	}
	select {
	case tx := <-a.requests:
		t.Errorf("the caller's phone got %s", tx.Request().Method)
	default:
	}
	psap.within(sip.BYE, nil).wait(200)
	a.bye()
	w.ended()
}

// TestEmergencyWhileNotServing: recognised in every mode.
func TestEmergencyWhileNotServing(t *testing.T) {
	w := newWorld(t, nil)
	w.serving = false
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911")
	x.answer(x.incoming(sip.INVITE))
	o.up(nil)
	x.acked()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestIntervalTooSmall: a trunk that wants another session interval gets the call again, on the same clocks: what it says of
// that, or does not, must not hold the call up.
func TestIntervalTooSmall(t *testing.T) {
	for name, after := range map[string]func(*stack.ServerTx){
		"silence":  func(*stack.ServerTx) {},
		"only 100": func(in *stack.ServerTx) { in.Reply(100, "Trying") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldAt(t, hasty(), nil)
			a, x1, x2 := w.phone("1001"), w.sbc("sbc1"), w.sbc("sbc2")
			o := a.call("911")
			x1.incoming(sip.INVITE).Reply(422, "Session Interval Too Small", sip.NewHeader("Min-SE", "3600"))
			after(x1.incoming(sip.INVITE))
			x2.answer(x2.incoming(sip.INVITE))
			o.up(nil)
			x2.acked()
			o.within(sip.BYE, nil).wait(200)
			x2.bye()
			w.ended()
		})
	}
}
