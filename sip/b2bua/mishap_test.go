package b2bua

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/elin"
	"holdfast/sip/site"
)

// TestKnownDeviceWithoutPassword: a site that refuses strangers helps the devices of its document.
func TestKnownDeviceWithoutPassword(t *testing.T) {
	refuse := func(d *site.Document) { helpful(d); d.Emergency.RefuseUnknown = true }
	w := newWorld(t, refuse)
	a := w.phone("7777")
	a.send(a.request(sip.INVITE, "7777", "911", offer())).wait(403)
	w.ended()

	w = newWorld(t, func(d *site.Document) {
		refuse(d)
		d.Devices = []site.Device{{ID: "door", Transport: "tcp", Address: "127.0.0.1", Zone: "floor2"}}
	})
	a, x := w.phone("7777"), w.sbc("sbc1")
	o := a.send(a.request(sip.INVITE, "7777", "911", offer()))
	in := x.incoming(sip.INVITE)
	if f := in.Request().From().Address.User; f != floorELIN {
		t.Errorf("the PSAP sees %s", f)
	}
	x.answer(in)
	o.up(nil)
	x.acked()
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestTestEndsNoEmergencyCall: a test by the same phone is no second call for help.
func TestTestEndsNoEmergencyCall(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911")
	in := x.incoming(sip.INVITE)
	in.Reply(180, "Ringing")
	o.wait(180)
	c := w.onlyCall()
	a.conn.Close()
	w.until(func() bool { return slices.Contains(w.kinds(""), AlarmRaised) })
	me := *c.caredFor.Load()
	me.Test = true
	(&Call{agent: w.agent}).supersede(me)
	select {
	case <-x.cancels:
		t.Error("a test has ended the call for help")
	case <-time.After(50 * time.Millisecond):
	}
	me.Test = false
	(&Call{agent: w.agent}).supersede(me)
	x.cancelled().Reply(487, "Request Terminated")
	w.ended()
}

// TestOneDeclinesACallback: of those whom a callback rings together one may decline; the others ring on.
func TestOneDeclinesACallback(t *testing.T) {
	w := newWorld(t, helpful)
	x, a, c := w.sbc("sbc1"), w.phone("1001"), w.phone("1003")
	w.pinBoth("u1001", "u1002")
	w.phone("1002")
	cb := x.call(siteELIN, pcmu)
	first, desk := a.incoming(sip.INVITE), c.incoming(sip.INVITE)
	first.Reply(603, "Decline")
	desk.Reply(180, "Ringing")
	cb.wait(180)
	select {
	case <-c.cancels:
		t.Fatal("the desk is not rung any more")
	case <-time.After(50 * time.Millisecond):
	}
	c.answer(desk, pcmu)
	cb.up(nil)
	c.acked()
	cb.within(sip.BYE, nil).wait(200)
	c.bye()
	w.ended()
}

// pinBoth makes users share the site's ELIN.
func (w *world) pinBoth(users ...string) {
	for _, u := range users {
		w.agent.o.ELINs.Pin(time.Now(), elin.Place{Trunk: "sbc1", ELINs: []string{siteELIN}}, elin.Caller{User: u, CallID: u})
	}
}

// TestNoticeDisturbsNoCaller: the notice of another's emergency call rings no phone that is in one.
func TestNoticeDisturbsNoCaller(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o, _ := w.callHelp(a, x)
	order := RingOrder{ID: "x", User: "u1001", Name: "911", Number: "911", Prompt: EmergencyNotice, RingFor: 100 * time.Millisecond}
	ring := func() error { return w.agent.Ring(t.Context(), order, func(RingEvent) {}) }
	if err := ring(); !errors.Is(err, ErrNobodyThere) {
		t.Errorf("%v", err)
	}
	other := w.phone("1001")
	if err := ring(); !errors.Is(err, ErrNotTaken) {
		t.Errorf("the user's other phone: %v", err)
	}
	other.incoming(sip.INVITE).Reply(487, "Request Terminated")
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestNoticeSparesTheCallersPhone: of a desk that called for help itself only the phone that called is not rung, also after the
// call, and gets no text.
func TestNoticeSparesTheCallersPhone(t *testing.T) {
	w := newWorld(t, helpful)
	a, other, x := w.phone("1001"), w.phone("1001"), w.sbc("sbc1")
	w.mu.Lock()
	w.bindings["u1001"][0].Instance, w.bindings["u1001"][1].Instance = "<urn:uuid:1>", "<urn:uuid:2>"
	w.mu.Unlock()
	w.asks(a, x, "")
	w.mu.Lock()
	f := w.help[0].Facts
	w.mu.Unlock()
	order := RingOrder{ID: "x", User: "u1001", But: &elin.Caller{Instance: f.Instance, Binding: f.Binding}, Name: "911", Number: "911", Prompt: EmergencyNotice, RingFor: 100 * time.Millisecond}
	began := false
	if err := w.agent.Ring(t.Context(), order, func(e RingEvent) { began = began || e == RingBegan }); !errors.Is(err, ErrNotTaken) || !began {
		t.Errorf("%v, rang: %v", err, began)
	}
	other.incoming(sip.INVITE).Reply(487, "Request Terminated")
	text := make(chan error, 1)
	go func() {
		_, err := w.agent.Message(t.Context(), "u1001", order.But, "911")
		text <- err
	}()
	other.incoming(sip.MESSAGE).Reply(200, "OK")
	if err := within(t, text, "the text"); err != nil {
		t.Error(err)
	}
	a.quiet()
	order.But = &elin.Caller{} // nobody knows which phone it was
	if err := w.agent.Ring(t.Context(), order, func(RingEvent) {}); !errors.Is(err, ErrNobodyThere) {
		t.Errorf("%v", err)
	}
}

// TestAlarmOfAnUnknownCallback: nobody is pinned and nobody is there; somebody has to hear of it.
func TestAlarmOfAnUnknownCallback(t *testing.T) {
	w := newWorld(t, helpful)
	x := w.sbc("sbc1")
	cb := x.call(floorELIN, pcmu)
	x.incoming(sip.INVITE).Reply(486, "Busy Here") // the desk outside
	w.until(func() bool { return slices.Contains(w.kinds(""), AlarmRaised) })
	w.mu.Lock()
	if e := w.help[len(w.help)-1]; e.Call != "" || e.ELIN != floorELIN {
		t.Errorf("%+v", e)
	}
	w.mu.Unlock()
	cb.tx.Cancel()
	cb.wait(487)
	w.ended()
}
