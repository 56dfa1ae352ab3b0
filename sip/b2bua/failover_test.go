package b2bua

import (
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/route"
	"holdfast/sip/site"
)

// TestTrunkThatHangsWhileConnecting: the first INVITE is on the other trunk in time, and the slow one is not forgotten.
func TestTrunkThatHangsWhileConnecting(t *testing.T) {
	w := newWorldAt(t, hasty(), nil)
	a, x1, x2 := w.phone("1001"), w.sbc("sbc1"), w.sbc("sbc2")
	w.trunks.hangs["sbc1"] = true
	o := a.call("911")
	in := x2.incoming(sip.INVITE)
	w.trunks.mu.Lock()
	w.trunks.hangs["sbc1"] = false
	w.trunks.mu.Unlock()
	in.Reply(404, "Not Found")
	x1.answer(x1.incoming(sip.INVITE))
	o.up(nil)
	x1.acked()
	o.within(sip.BYE, nil).wait(200)
	x1.bye()
	w.ended()
}

// TestConnectPatience: whatever the number of trunks that hang, the last one's turn comes before the time is over.
func TestConnectPatience(t *testing.T) {
	w := newWorldAt(t, hasty(), nil)
	all := w.agent.o.EmergencyPatience
	for n := 1; n <= 8; n++ {
		c := &Call{agent: w.agent, emergency: true, began: time.Now()}
		c.decision.Kind = route.Emergency
		var spent time.Duration
		for left := n - 1; left > 0; left-- {
			c.trunks = make([]*site.Trunk, left)
			wait := c.connectPatience(&site.Trunk{ID: "x"})
			spent += wait
			c.began = c.began.Add(-wait)
		}
		if n <= 4 && spent >= all {
			t.Errorf("%d trunks: the last one's turn comes after %v of %v", n, spent, all)
		}
		if n > 1 && spent == 0 {
			t.Errorf("%d trunks: no time to connect", n)
		}
	}
}

// TestFull tells a trunk without channels from one that refuses.
func TestFull(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		reason string
		want   bool
	}{
		"503":           {503, "", true},
		"486":           {486, "", true},
		"500":           {500, "", false},
		"cause 34":      {500, "Q.850;cause=34;text=\"no circuit\"", true},
		"behind a SIP":  {480, "SIP;cause=480, Q.850 ; cause=34", true},
		"cause 17":      {480, "Q.850;cause=17", false},
		"SIP 34":        {480, "SIP;cause=34", false},
		"no number":     {480, "Q.850;cause=thirty-four", false},
		"a name inside": {480, "Q.850;xcause=34", false},
	} {
		res := sip.NewResponse(c.status, "x")
		if c.reason != "" {
			res.AppendHeader(sip.NewHeader("Reason", c.reason))
		}
		if full(c.status, res) != c.want || full(c.status, nil) != (c.status == 503 || c.status == 486) {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}

// TestNoCircuit: a trunk that is full by Q.850 gets the call again once an ordinary call has made room.
func TestNoCircuit(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { d.Trunks = d.Trunks[:1] })
	a, b, x := w.phone("1001"), w.phone("1002"), w.sbc("sbc1")
	o := b.call("912175550142")
	x.answer(x.incoming(sip.INVITE))
	o.up(nil)
	x.acked()
	emergency := a.call("911")
	x.incoming(sip.INVITE).Reply(500, "No Circuit", sip.NewHeader("Reason", "Q.850;cause=34"))
	x.bye() // the ordinary call's comes first, whatever the scheduler does
	b.bye()
	x.answer(x.incoming(sip.INVITE))
	emergency.up(nil)
	x.acked()
	w.ended()
	emergency.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestByeBeforeInvite: the place on a full trunk is free, on the wire, before it is taken.
func TestByeBeforeInvite(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { d.Trunks = d.Trunks[:1]; d.Trunks[0].MaxCalls = 1 })
	a, b, x := w.phone("1001"), w.phone("1002"), w.sbc("sbc1")
	o := b.call("912175550142")
	x.answer(x.incoming(sip.INVITE))
	o.up(nil)
	x.acked()
	emergency := a.call("911")
	x.bye()
	x.answer(x.incoming(sip.INVITE))
	b.bye()
	emergency.up(nil)
	x.acked()
	w.ended()
	emergency.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestPortsUsedUp: when media ports or descriptors are used up an ordinary call ends for the emergency call's; a test call
// takes nobody's.
func TestPortsUsedUp(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { d.Trunks = d.Trunks[:1] })
	a, b, x := w.phone("1001"), w.phone("1002"), w.sbc("sbc1")
	o := b.call("912175550142")
	x.answer(x.incoming(sip.INVITE))
	o.up(nil)
	x.acked()
	w.media.mu.Lock()
	w.media.noPorts = true
	w.media.mu.Unlock()
	a.call("933").wait(503)
	w.ended()
	w.media.mu.Lock()
	w.media.onClose = func() { w.media.noPorts = false }
	w.media.mu.Unlock()
	emergency := a.call("911")
	x.bye()
	b.bye()
	x.answer(x.incoming(sip.INVITE))
	emergency.up(nil)
	x.acked()
	if r := w.ended(); r.Cause != causePreempted {
		t.Errorf("%+v", r)
	}
	emergency.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestOverIsNoVictim: a call that has ended, and only waits for what its trunk owes it, makes no room there; the one that
// runs does.
func TestOverIsNoVictim(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { d.Trunks = d.Trunks[:1] })
	a, b, c, x := w.phone("1001"), w.phone("1002"), w.phone("1003"), w.sbc("sbc1")
	o := b.call("912175550142")
	x.answer(x.incoming(sip.INVITE))
	o.up(nil)
	x.acked()
	over := c.call("912175550143")
	owing := x.incoming(sip.INVITE)
	owing.Reply(180, "Ringing")
	over.wait(180)
	over.tx.Cancel()
	over.wait(487)
	x.cancelled() // the INVITE gets no answer
	w.ended()
	emergency := a.call("911")
	x.incoming(sip.INVITE).Reply(503, "Service Unavailable")
	x.bye()
	b.bye()
	x.answer(x.incoming(sip.INVITE))
	emergency.up(nil)
	x.acked()
	if r := w.ended(); r.Cause != causePreempted || r.From != "u1002" {
		t.Errorf("%+v", r)
	}
	owing.Reply(487, "Request Terminated")
	emergency.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestGoneElsewhereIsNoVictim: a call that a trunk has refused, and that goes on inside, has no place there to give up.
func TestGoneElsewhereIsNoVictim(t *testing.T) {
	w := newWorld(t, func(d *site.Document) {
		d.Trunks = d.Trunks[:1]
		d.Users[1].CloudNumbers, d.Users[1].Forward.Unreachable = []string{"+13125551002"}, "1003"
	})
	a, c, x := w.phone("1001"), w.phone("1003"), w.sbc("sbc1")
	victim := func() *Call {
		w.agent.mu.Lock()
		defer w.agent.mu.Unlock()
		return w.agent.youngest(w.site.Trunks()[0], false)
	}
	o := a.call("1002")
	in := x.incoming(sip.INVITE)
	if victim() == nil {
		t.Error("it has a place while the trunk is asked")
	}
	in.Reply(404, "Not Found")
	c.answer(c.incoming(sip.INVITE))
	o.up(nil)
	c.acked()
	if victim() != nil {
		t.Error("it would be ended for a place that it does not have")
	}
	o.within(sip.BYE, nil).wait(200)
	c.bye()
	w.ended()
}

// TestHelpOn says for which trunks no new document counts yet.
func TestHelpOn(t *testing.T) {
	w := newWorld(t, nil)
	a, b, x1 := w.phone("1001"), w.phone("1002"), w.sbc("sbc1")
	on := func(when string, first, second bool) {
		t.Helper()
		if got := [2]bool{w.agent.HelpOn("sbc1"), w.agent.HelpOn("sbc2")}; got != [2]bool{first, second} {
			t.Errorf("%s: %v", when, got)
		}
	}
	o := b.call("912175550142")
	x1.answer(x1.incoming(sip.INVITE))
	o.up(nil)
	x1.acked()
	on("an ordinary call", false, false)
	o.within(sip.BYE, nil).wait(200)
	x1.bye()
	w.ended()
	o = a.call("911")
	x1.answer(x1.incoming(sip.INVITE))
	o.up(nil)
	x1.acked()
	on("a call for help", true, false)
	o.within(sip.BYE, nil).wait(200)
	x1.bye()
	w.ended()
	on("afterwards", false, false)
	c, id := &Call{emergency: true, gone: make(chan struct{})}, "sbc2"
	c.onTrunk.Store(&id)
	w.agent.mu.Lock()
	w.agent.calls["connects"] = c // it has no dialog yet
	w.agent.mu.Unlock()
	on("one that connects", false, true)
	w.agent.remove(&Call{id: "connects"})
}
