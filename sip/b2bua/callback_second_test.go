package b2bua

import (
	"testing"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// TestOneForwardsACallback: a phone that is set to forward its calls does not take a callback away from the others that ring.
func TestOneForwardsACallback(t *testing.T) {
	w := newWorld(t, helpful)
	x, a, b, c := w.sbc("sbc1"), w.phone("1001"), w.phone("1002"), w.phone("1003")
	w.pinBoth("u1002", "u1001")
	cb := x.call(siteELIN, pcmu)
	forwards, other, desk := a.incoming(sip.INVITE), b.incoming(sip.INVITE), c.incoming(sip.INVITE)
	other.Reply(180, "Ringing")
	desk.Reply(180, "Ringing")
	cb.wait(180)
	forwards.Reply(302, "Moved Temporarily", &sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "1003", Host: "lsp.test"}})
	a.acked()
	b.answer(other, pcmu)
	cb.up(nil)
	b.acked()
	c.cancelled().Reply(487, "Request Terminated")
	cb.within(sip.BYE, nil).wait(200)
	b.bye()
	w.ended()
}

// TestCallbackDuringHelp: a PSAP that calls back while the call for help is still up, since it cannot hear it, say, reaches the
// phone as a second call, twice over; what the phone refuses goes down the chain, and the first call stands.
func TestCallbackDuringHelp(t *testing.T) {
	w := newWorld(t, helpful)
	x, a, desk := w.sbc("sbc1"), w.phone("1001"), w.phone("1003")
	o, shown := w.callHelp(a, x)
	one, two := x.call(shown, pcmu), x.call(shown, pcmu)
	first, second := a.incoming(sip.INVITE), a.incoming(sip.INVITE)
	first.Reply(486, "Busy Here")
	second.Reply(486, "Busy Here")
	rings := []*stack.ServerTx{desk.incoming(sip.INVITE), desk.incoming(sip.INVITE)}
	for _, in := range rings {
		in.Reply(180, "Ringing")
	}
	for _, cb := range []*outgoing{one, two} {
		cb.wait(180)
		cb.tx.Cancel()
		desk.cancelled().Reply(487, "Request Terminated")
		cb.wait(487)
		w.ended()
	}
	o.within(sip.OPTIONS, nil).wait(200)
	o.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}
