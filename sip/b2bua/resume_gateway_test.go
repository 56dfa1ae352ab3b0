package b2bua

import (
	"slices"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// forgetsGateways takes away what the program's next life does not have: the flows of devices on UDP, and the user's bindings,
// which the cloud has taken over.
func (w *world) forgetsGateways(user string) {
	for _, c := range w.stack.Conns() {
		if c.Over() == stack.UDP {
			c.Close()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.bindings, user)
}

// accepts200 answers an INVITE of the box as a gateway does.
func (u *ua) accepts200(tx *stack.ServerTx) {
	u.w.t.Helper()
	res := tx.Response(200, "OK")
	res.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: u.name, Host: gatewayAt.String(), Port: 5060}})
	setSDP(res, plain(4200))
	tx.Respond(res)
	u.acked()
}

// helps is an emergency call of the gateway's that is up.
func (u *ua) helps(sbc *ua, registered bool) (o, psap *outgoing) {
	u.w.t.Helper()
	from := u.name
	if !registered {
		from = "anonymous"
	}
	o = u.send(u.request(sip.INVITE, from, "911", plain(4200)))
	psap = sbc.answer(sbc.incoming(sip.INVITE), pcmu)
	if here := u.w.agent.HelpSources(); !slices.Contains(here, gatewayAt) {
		u.w.t.Errorf("in a call for help: %v", here)
	}
	o.up(nil)
	sbc.acked()
	return o, psap
}

// TestGatewayResumes: after a crash the line of a gateway is re-invited at its address, though it does not register, or the box has
// no registration of it any more: nothing of it is there that could come back by itself.
func TestGatewayResumes(t *testing.T) {
	for _, registered := range []bool{false, true} {
		w := newWorld(t, elevator("udp"))
		gw, sbc := w.gateway("1002", registered, false), w.sbc("sbc1")
		o, psap := gw.helps(sbc, registered)
		id := w.onlyCall().id
		saved := w.crash()
		w.forgetsGateways("u1002")
		if got := w.agent.Restore(saved); !slices.Equal(got, []string{id}) {
			t.Fatalf("taken up: %v", got)
		}
		sbc.accepts(sbc.incoming(sip.INVITE), psap)
		again := gw.incoming(sip.INVITE)
		if again.Request().CallID().Value() != o.dlg.callID {
			t.Error("the gateway gets another call")
		}
		gw.accepts200(again)
		w.until(func() bool { return slices.Contains(w.kinds(id), CallRestored) })
		_, legs := w.media.last()
		w.plainLeg(legs[0], 4200)
		if !slices.Contains(w.agent.HelpSources(), gatewayAt) {
			t.Error("not in a call for help any more")
		}
		o.within(sip.BYE, nil).wait(200)
		sbc.bye()
		if r := w.ended(); r.ID != id || r.Cause != causeBye || len(w.cut) > 0 || len(w.agent.HelpSources()) > 0 {
			t.Errorf("%+v, cut %v", r, w.cut)
		}
	}
}

// TestGatewayIsHungUp: what cannot be taken up again ends on the gateway's side as well.
func TestGatewayIsHungUp(t *testing.T) {
	w := newWorld(t, elevator("udp"))
	gw, sbc := w.gateway("1002", false, false), w.sbc("sbc1")
	gw.helps(sbc, false)
	saved := w.crash()
	w.forgetsGateways("")
	w.agent.Restore(saved)
	sbc.incoming(sip.INVITE).Reply(481, "No Such Call")
	sbc.bye()
	gw.bye()
	if r := w.ended(); r.Cause != causeCut {
		t.Errorf("%+v", r)
	}
	w.until(func() bool { return len(w.dialogs()) == 0 })
}

// TestGatewayIsCalledBack after a restart of the program: it is where it was.
func TestGatewayIsCalledBack(t *testing.T) {
	for _, registered := range []bool{false, true} {
		w := newWorld(t, elevator("udp"))
		gw, sbc := w.gateway("1002", registered, false), w.sbc("sbc1")
		o, _ := gw.helps(sbc, registered)
		o.within(sip.BYE, nil).wait(200)
		sbc.bye()
		w.ended()
		pins := w.agent.o.ELINs.Export(time.Now())
		w.crash()
		w.forgetsGateways("u1002")
		if err := w.agent.o.ELINs.Restore(time.Now(), pins); err != nil {
			t.Fatal(err)
		}
		back := sbc.call(gatewayELIN, pcmu)
		ring := gw.incoming(sip.INVITE)
		if who := ring.Request().Recipient.User; who != "1002" {
			t.Errorf("rung is %s", who)
		}
		gw.accepts200(ring)
		back.up(nil)
		back.within(sip.BYE, nil).wait(200)
		gw.bye()
		w.ended()
	}
}
