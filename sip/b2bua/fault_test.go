package b2bua

import (
	"errors"
	"slices"
	"testing"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/registrar"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

func crash() { panic("injected") }

// TestFaultBeforeTheInvite: what an emergency call can do without may fail: it goes out, and it is recorded.
func TestFaultBeforeTheInvite(t *testing.T) {
	for name, c := range map[string]struct {
		inject   func(*world)
		stranger bool // the caller is not known then
	}{
		"bindings": {func(w *world) {
			w.agent.o.Bindings = func(string) []registrar.Binding { crash(); return nil }
		}, false},
		"codecs":      {func(w *world) { w.agent.o.OnCodecs = func(*site.User, string, bool) { crash() } }, false},
		"saving pins": {func(w *world) { w.agent.o.SavePins = crash }, false},
		"who it is": {func(w *world) {
			w.agent.o.Known = func(*stack.ServerTx) (*site.User, bool) { crash(); return nil, false }
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, helpful)
			a, x := w.phone("1001"), w.sbc("sbc1")
			c.inject(w)
			o, shown := w.callHelp(a, x)
			if shown != siteELIN {
				t.Errorf("the PSAP sees %s", shown)
			}
			w.until(func() bool {
				k := w.kinds("")
				return slices.Contains(k, Recognised) && slices.Contains(k, CallAnswered)
			})
			w.mu.Lock()
			if u := w.help[0].Facts.User; (u == nil) != c.stranger {
				t.Errorf("facts %+v", w.help[0].Facts)
			}
			w.mu.Unlock()
			if w.agent.totals.Faults.Load() == 0 {
				t.Error("no fault was counted")
			}
			o.within(sip.BYE, nil).wait(200)
			x.bye()
			w.ended()
		})
	}
}

// TestFaultBeforeTheRecord: where the call cannot go on the caller is told so at once, and people are told of the caller.
func TestFaultBeforeTheRecord(t *testing.T) {
	w := newWorld(t, helpful)
	a := w.phone("1001")
	w.sbc("sbc1")
	w.media.onAdd = crash
	a.call("911").wait(500)
	r := w.ended()
	if r.Cause != causeFault || !r.Emergency {
		t.Errorf("record %+v", r)
	}
	w.until(func() bool { w.mu.Lock(); defer w.mu.Unlock(); return slices.Equal(w.cut, []string{r.ID}) })
	k := w.kinds(r.ID)
	if len(k) == 0 || k[0] != Recognised || !slices.Contains(k, CallEnded) || !slices.Contains(k, AlarmRaised) {
		t.Errorf("steps %v", k)
	}
	w.media.onAdd = nil
	a.call("1002").wait(480) // the program serves on
	w.ended()
}

// TestFaultInAnOrdinaryCall: nothing is glossed over there.
func TestFaultInAnOrdinaryCall(t *testing.T) {
	w := newWorld(t, helpful)
	a := w.phone("1001")
	w.phone("1002")
	w.agent.o.OnCodecs = func(*site.User, string, bool) { crash() }
	a.call("1002").wait(500)
	if r := w.ended(); r.Cause != causeFault {
		t.Errorf("record %+v", r)
	}
	w.agent.o.Authenticate = func(*stack.ServerTx) (*site.User, bool) { crash(); return nil, false }
	a.call("1002").wait(500)
	w.until(func() bool { return w.agent.Count() == 0 })
}

// TestFaultInAnEmergencyCall: people who talk go on talking. A second fault ends the call, and not in silence.
func TestFaultInAnEmergencyCall(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o, _ := w.callHelp(a, x)
	c := w.onlyCall()
	w.until(func() bool { return c.info.Load().State == Up.String() })
	c.post(gotTimer{&timer{do: crash}})
	w.until(func() bool { return w.heardAlarm("it goes on") == 1 })
	o.within(sip.OPTIONS, nil).wait(200)
	o.within(sip.UPDATE, offer(pcmu)).wait(200)
	a.quiet()
	x.quiet()
	c.post(gotTimer{&timer{do: crash}})
	a.bye()
	x.bye()
	r := w.ended()
	w.until(func() bool { w.mu.Lock(); defer w.mu.Unlock(); return slices.Equal(w.cut, []string{r.ID}) })
	if w.heardAlarm("cut off by a fault") != 1 {
		t.Errorf("steps %v", w.kinds(r.ID))
	}
}

// TestFaultInANotice: a call of the box's own that fails leaves nothing behind, and the next is made.
func TestFaultInANotice(t *testing.T) {
	w := newWorld(t, helpful)
	a := w.phone("1001")
	w.media.onAdd = crash
	_, end := w.ringing(t.Context(), deadline)
	if err := within(t, end, "the end"); !errors.Is(err, errFault) {
		t.Error(err)
	}
	w.media.onAdd = nil
	events, end := w.ringing(t.Context(), deadline)
	a.answer(a.incoming(sip.INVITE), pcmu)
	a.acked()
	within(t, events, "taken")
	a.acknowledges(end)
}

// TestFaultInTheOtherCall: a call that has asked another for its party ends though it never hears of it again.
func TestFaultInTheOtherCall(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	c := w.onlyCall()
	c.post(gotTimer{&timer{do: func() { c.asking++ }}})
	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
	c.post(gotTimer{&timer{do: func() { c.awaits.do() }}}) // the time that it waits at the most is over
	w.until(func() bool { return w.agent.Count() == 0 })
}
