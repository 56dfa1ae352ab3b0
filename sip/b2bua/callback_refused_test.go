package b2bua

import (
	"testing"

	"github.com/emiago/sipgo/sip"
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
