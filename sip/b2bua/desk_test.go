package b2bua

import (
	"fmt"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/site"
)

const deskOutside = "+13125550199"

// twoTrunks is a site with two trunks whose desk is outside.
func twoTrunks(d *site.Document) {
	trunks := d.Trunks
	helpful(d)
	d.Trunks = trunks
	d.Emergency.Security = []string{deskOutside}
}

// badTrunks are the ways of a trunk that must not keep a call for help, nor one to the security desk.
var badTrunks = map[string]func(*ua){
	"404":          func(x *ua) { x.incoming(sip.INVITE).Reply(404, "Not Found") },
	"busy":         func(x *ua) { x.incoming(sip.INVITE).Reply(486, "Busy Here") },
	"declined":     func(x *ua) { x.incoming(sip.INVITE).Reply(603, "Decline") },
	"silence":      func(x *ua) { x.incoming(sip.INVITE) },
	"only 100":     func(x *ua) { x.incoming(sip.INVITE).Reply(100, "Trying") },
	"no SDP":       func(x *ua) { x.incoming(sip.INVITE).Reply(200, "OK") },
	"hangs":        func(x *ua) {},
	"falls, twice": func(x *ua) { x.incoming(sip.INVITE); x.conn.Close() },
}

// hang lets connections to the trunk neither come about nor fail.
func (w *world) hang(id string) {
	w.trunks.mu.Lock()
	w.trunks.hangs[id] = true
	w.trunks.mu.Unlock()
}

// TestDeskOutsideFailsOver: a callback that ends at the desk outside leaves a trunk that does not do for the next one,
// while the others that it rings go on ringing.
func TestDeskOutsideFailsOver(t *testing.T) {
	for _, shared := range []bool{false, true} {
		for name, bad := range badTrunks {
			t.Run(fmt.Sprintf("%s, shared %v", name, shared), func(t *testing.T) {
				t.Parallel()
				w := newWorldAt(t, hastyIf(name == "hangs" || name == "silence" || name == "only 100"), twoTrunks)
				x1, x2, a := w.sbc("sbc1"), w.sbc("sbc2"), w.phone("1001")
				if shared {
					w.pinBoth("u1001", "u1002")
				}
				if name == "hangs" {
					w.hang("sbc1")
				}
				cb := x2.call(siteELIN, pcmu)
				if shared {
					a.incoming(sip.INVITE).Reply(180, "Ringing")
				}
				bad(x1)
				in := x2.incoming(sip.INVITE)
				if in.Request().Recipient.User != deskOutside {
					t.Errorf("to %v", in.Request().Recipient)
				}
				select {
				case <-a.cancels:
					t.Error("the phone is not rung any more")
				default:
				}
				x2.answer(in, pcmu)
				cb.up(nil)
				x2.acked()
				cb.within(sip.BYE, nil).wait(200)
				x2.bye()
				w.ended()
			})
		}
	}
}

// TestDeskTalks: 486 from the desk ends nobody's call, as it would towards a PSAP.
func TestDeskTalks(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { twoTrunks(d); d.Trunks = d.Trunks[:1] })
	x, b := w.sbc("sbc1"), w.phone("1002")
	o := b.call("912175550142")
	x.answer(x.incoming(sip.INVITE))
	o.up(nil)
	x.acked()
	cb := x.call(siteELIN, pcmu)
	x.incoming(sip.INVITE).Reply(486, "Busy Here")
	cb.wait(183) // that nobody can be reached
	b.quiet()
	cb.tx.Cancel()
	cb.wait(487)
	w.ended()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestRingingHasAnEnd: where the desk's trunks are dead the phones that ring with it ring no longer than they should.
func TestRingingHasAnEnd(t *testing.T) {
	w := newWorld(t, twoTrunks)
	x1, x2, a := w.sbc("sbc1"), w.sbc("sbc2"), w.phone("1001")
	w.pinBoth("u1001", "u1002")
	cb := x2.call(siteELIN, pcmu)
	in := a.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	cb.wait(180)
	x1.incoming(sip.INVITE).Reply(404, "Not Found")
	x2.incoming(sip.INVITE).Reply(404, "Not Found")
	c := w.onlyCall()
	rings := make(chan bool)
	w.until(func() bool {
		c.post(gotTimer{&timer{do: func() { rings <- len(c.trying()) == 1 }}})
		return <-rings
	})
	c.post(gotTimer{&timer{do: func() { c.ringing.t.Reset(time.Millisecond); rings <- true }}})
	<-rings
	a.cancelled().Reply(487, "Request Terminated")
	cb.wait(183)
	cb.tx.Cancel()
	cb.wait(487)
	w.ended()
	if w.heardAlarm("nobody took") != 2 { // of each caller's record
		t.Errorf("%v", w.help)
	}
}

// TestRingOutsideFailsOver: so does the call to the desk that the box makes by itself.
func TestRingOutsideFailsOver(t *testing.T) {
	for name, bad := range badTrunks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldAt(t, hastyIf(name == "hangs" || name == "silence" || name == "only 100"), twoTrunks)
			x1, x2 := w.sbc("sbc1"), w.sbc("sbc2")
			if name == "hangs" {
				w.hang("sbc1")
			}
			events, end := make(chan RingEvent, 4), make(chan error, 1)
			go func() {
				end <- w.agent.Ring(t.Context(), RingOrder{ID: "1", Outside: deskOutside, Prompt: EmergencyNotice, RingFor: deadline}, func(e RingEvent) { events <- e })
			}()
			bad(x1)
			x2.answer(x2.incoming(sip.INVITE), pcmu)
			x2.acked()
			if e := within(t, events, "taken"); e != RingTaken {
				t.Errorf("event %d", e)
			}
			x2.acknowledges(end)
		})
	}
}

// acknowledges presses a key in the call that the ua has taken, which ends it.
func (u *ua) acknowledges(end chan error) {
	u.w.t.Helper()
	s, _ := u.w.media.last()
	s.events <- MediaEvent{Leg: s.legs[len(s.legs)-1], Digit: '1'}
	u.bye()
	if err := within(u.w.t, end, "the end"); err != nil {
		u.w.t.Error(err)
	}
}

// TestRingOutsideTakesAPlace: it counts as an emergency call, also where the trunk says itself that it is full.
func TestRingOutsideTakesAPlace(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { twoTrunks(d); d.Trunks = d.Trunks[:1] })
	x, b := w.sbc("sbc1"), w.phone("1002")
	o := b.call("912175550142")
	x.answer(x.incoming(sip.INVITE))
	o.up(nil)
	x.acked()
	events, end := make(chan RingEvent, 4), make(chan error, 1)
	go func() {
		end <- w.agent.Ring(t.Context(), RingOrder{ID: "1", Outside: deskOutside, Prompt: EmergencyNotice, RingFor: deadline}, func(e RingEvent) { events <- e })
	}()
	x.incoming(sip.INVITE).Reply(503, "Service Unavailable")
	x.bye()
	b.bye()
	x.answer(x.incoming(sip.INVITE), pcmu)
	x.acked()
	within(t, events, "taken")
	x.acknowledges(end)
	if r := w.ended(); r.Cause != causePreempted {
		t.Errorf("ended %+v", r)
	}
}

// TestCallsToTheDeskAreSpared: no emergency call takes the place of a call to the security desk, whoever is there; of
// one user's at most a few.
func TestCallsToTheDeskAreSpared(t *testing.T) {
	w := newWorld(t, func(d *site.Document) {
		helpful(d)
		d.Trunks[0].MaxCalls = 2 + claims
	})
	a, b, desk, x := w.phone("1001"), w.phone("1002"), w.phone("1003"), w.sbc("sbc1")
	up := func(u, callee *ua, to string) *outgoing {
		o := u.call(to)
		callee.answer(callee.incoming(sip.INVITE))
		o.up(nil)
		callee.acked()
		return o
	}
	inside := up(b, desk, "1003")
	for range claims {
		up(a, x, "913125550199")
	}
	up(b, x, "913125550199") // another user
	if v := w.agent.preempt(nil, false); v != nil {
		t.Errorf("%s was ended", v.id)
	}
	up(a, x, "913125550199") // one too many; the trunk is full now
	help := b.call("911")
	for range 2 {
		if tx := within(t, x.requests, "BYE and INVITE"); tx.Request().Method == sip.INVITE {
			x.answer(tx)
		} else {
			tx.Reply(200, "OK")
		}
	}
	a.bye()
	help.up(nil)
	x.acked()
	if r := w.ended(); r.Cause != causePreempted {
		t.Errorf("ended %+v", r)
	}
	if v := w.agent.preempt(nil, false); v != nil {
		t.Errorf("%s was ended", v.id)
	}
	inside.within(sip.BYE, nil).wait(200)
	desk.bye()
	w.ended()
	help.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
	up(a, b, "1002")
	if v := w.agent.preempt(nil, false); v == nil {
		t.Error("an ordinary call is spared")
	}
	a.bye()
	b.bye()
	w.ended()
}

// TestMissedCallback: a PSAP that gives up before anybody answers is an alarm; one that was told that nobody can be reached
// has had one.
func TestMissedCallback(t *testing.T) {
	w := newWorld(t, twoTrunks)
	x1, x2, a := w.sbc("sbc1"), w.sbc("sbc2"), w.phone("1001")
	number := w.asks(a, x1, "")
	cb := x2.call(number, pcmu)
	a.incoming(sip.INVITE).Reply(180, "Ringing")
	cb.wait(180)
	cb.tx.Cancel()
	cb.wait(487)
	a.cancelled().Reply(487, "Request Terminated")
	w.ended()
	if n := w.heardAlarm("given up"); n != 1 {
		t.Errorf("%d alarms", n)
	}
	cb = x2.call(number, pcmu)
	a.incoming(sip.INVITE).Reply(486, "Busy Here")
	x1.incoming(sip.INVITE).Reply(486, "Busy Here")
	x2.incoming(sip.INVITE).Reply(486, "Busy Here")
	cb.wait(183)
	cb.tx.Cancel()
	cb.wait(487)
	w.ended()
	if n := w.heardAlarm("given up"); n != 1 {
		t.Errorf("%d alarms", n)
	}
}

// outsideTo calls the desk inside from the PSTN, by the user's number.
func (w *world) outsideTo(x, desk *ua) {
	w.t.Helper()
	o := x.call("+12175551003", pcmu)
	desk.answer(desk.incoming(sip.INVITE), pcmu)
	o.up(nil)
	desk.acked()
}

// TestDeskHoldsNoTrunk: however many calls to the desk come from outside, and also where all on the trunk are spared, a call for
// help gets a place there, once no other trunk has one.
func TestDeskHoldsNoTrunk(t *testing.T) {
	for _, tt := range []struct {
		name   string
		calls  int
		trunks int
		desk   bool // the document has one
		ends   bool // a call to it
	}{
		{"one too many", claims + 1, 1, true, true},
		{"all are spared", 2, 1, true, true},
		{"all are spared, another trunk has room", 2, 2, true, false},
		{"one too many, and another trunk", claims + 1, 2, true, true},
		{"no desk but who answers the main number", 1, 2, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(d *site.Document) {
				trunks := d.Trunks[:tt.trunks]
				helpful(d)
				d.Trunks = trunks
				d.Site.MainNumber = "+12175551003"
				if !tt.desk {
					d.Emergency.Security = nil
				}
			})
			a, desk, x := w.phone("1001"), w.phone("1003"), w.sbc("sbc1")
			var other *ua
			if tt.trunks > 1 {
				other = w.sbc("sbc2")
			}
			for range tt.calls {
				w.outsideTo(x, desk)
			}
			help := a.call("911")
			x.incoming(sip.INVITE).Reply(503, "Service Unavailable")
			psap := x
			if tt.trunks > 1 {
				psap = other
			}
			if tt.ends {
				x.bye()
				desk.bye()
				if r := w.ended(); r.Cause != causePreempted {
					t.Errorf("ended %+v", r)
				}
			}
			psap.answer(psap.incoming(sip.INVITE))
			help.up(nil)
			psap.acked()
			x.quiet()
			desk.quiet()
			help.within(sip.BYE, nil).wait(200)
			psap.bye()
			w.ended()
		})
	}
}

// TestLastTrunkMayTakeItsTime: the last trunk that says that it tries keeps a call to the desk outside: a mobile may need long to
// ring.
func TestLastTrunkMayTakeItsTime(t *testing.T) {
	for _, notice := range []bool{false, true} {
		w := newWorld(t, twoTrunks)
		w.agent.o.EmergencyProgress = time.Millisecond
		x1, x2 := w.sbc("sbc1"), w.sbc("sbc2")
		var cb *outgoing
		events, end := make(chan RingEvent, 4), make(chan error, 1)
		if notice {
			go func() {
				end <- w.agent.Ring(t.Context(), RingOrder{ID: "1", Outside: deskOutside, Prompt: EmergencyNotice, RingFor: deadline}, func(e RingEvent) { events <- e })
			}()
		} else {
			cb = x2.call(siteELIN, pcmu)
		}
		x1.incoming(sip.INVITE).Reply(100, "Trying")
		x1.cancelled().Reply(487, "Request Terminated")
		in := x2.incoming(sip.INVITE)
		in.Reply(100, "Trying")
		select {
		case <-x2.cancels:
			t.Fatal("the last trunk was given up")
		case <-time.After(100 * time.Millisecond):
		}
		x2.answer(in, pcmu)
		if notice {
			x2.acked()
			within(t, events, "taken")
			x2.acknowledges(end)
			continue
		}
		cb.up(nil)
		x2.acked()
		cb.within(sip.BYE, nil).wait(200)
		x2.bye()
		w.ended()
	}
}

// TestUselessAnswerSilencesNobody: of the phones that a callback rings together one answers without media; the others ring on, and the
// first of them that can be heard gets the call alone.
func TestUselessAnswerSilencesNobody(t *testing.T) {
	w := newWorld(t, twoTrunks)
	x1, x2, a, b := w.sbc("sbc1"), w.sbc("sbc2"), w.phone("1001"), w.phone("1002")
	w.pinBoth("u1001", "u1002")
	cb := x2.call(siteELIN, pcmu)
	first, second, desk := a.incoming(sip.INVITE), b.incoming(sip.INVITE), x1.incoming(sip.INVITE)
	second.Reply(180, "Ringing")
	desk.Reply(180, "Ringing")
	cb.wait(180)
	first.Reply(200, "OK")
	a.acked()
	a.bye()
	b.answer(second, pcmu)
	cb.up(nil)
	b.acked()
	x1.cancelled()
	x1.answer(desk, pcmu) // it crosses the CANCEL
	x1.acked()
	x1.bye()
	cb.within(sip.BYE, nil).wait(200)
	b.bye()
	w.ended()
}
