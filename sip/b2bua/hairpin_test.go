package b2bua

import (
	"testing"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// TestHairpin: 1002 is forwarded to a number outside that the SBC routes back here.
func TestHairpin(t *testing.T) {
	w := newWorld(t, func(d *site.Document) { d.Users[1].Forward.Always = "912175550142" })
	x := w.sbc("sbc1")
	var calls []*outgoing
	var out []*stack.ServerTx
	for range maxHairpins {
		calls = append(calls, x.call("+12175551002"))
		in := x.incoming(sip.INVITE)
		in.Reply(180, "Ringing")
		out = append(out, in)
	}
	x.call("+12175551002").wait(482)
	w.ended()

	other := x.request(sip.INVITE, "+13125550178", "+12175551002", offer(pcmu)) // another caller is no loop
	o := x.send(other)
	x.incoming(sip.INVITE).Reply(486, "Busy Here")
	o.wait(486)
	w.ended()

	x.answer(out[0], pcmu) // an answered call goes round no more
	calls[0].up(nil)
	x.acked()
	more := x.call("+12175551002")
	x.incoming(sip.INVITE).Reply(486, "Busy Here")
	more.wait(486)
	w.ended()
	calls[0].within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
	for i, in := range out[1:] {
		in.Reply(486, "Busy Here")
		calls[i+1].wait(486)
		w.ended()
	}
}
