package b2bua

import (
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

// FuzzReferTo: whatever a phone writes, what is taken out of it is bounded, and has a user and, if it names a dialog, all
// three parts of it.
func FuzzReferTo(f *testing.F) {
	for _, s := range []string{
		"<sip:1003@lsp.test>", "sip:1003@lsp.test", `"Bob" <sip:1003@lsp.test;transport=tls>;x=y`, "<tel:+12175550142>", "<urn:service:sos>",
		"<sip:1003@lsp.test?Replaces=a%40b%3Bto-tag%3Dc%3Bfrom-tag%3Dd>", "<sip:1003@lsp.test;method=INVITE?Replaces=a%3Bfrom-tag%3Dd%3Bto-tag%3Dc%3Bearly-only&Require=replaces>",
		"<sip:1003@lsp.test?Replaces=%zz>", "<>", "<sip:@>", "<sip:a@b;method=BYE>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		to, err := parseReferTo(s)
		if err != nil {
			return
		}
		if to.user == "" || strings.ContainsAny(to.scheme, " <>\r\n") {
			t.Errorf("%q gives %+v", s, to)
		}
		if r := to.replaces; r != nil && (r.callID == "" || r.toTag == "" || r.fromTag == "") {
			t.Errorf("%q gives %+v", s, r)
		}
	})
}

func TestParseReferTo(t *testing.T) {
	to, err := parseReferTo(`"Bob" <sip:1003@lsp.test;transport=tls?Replaces=a%40b%3Bto-tag%3Dc%3Bfrom-tag%3Dd%3Bearly-only&X=y>;z=1`)
	if err != nil || to.scheme != "sip" || to.user != "1003" || to.host != "lsp.test" || *to.replaces != (replaced{"a@b", "c", "d", true}) {
		t.Errorf("%+v %+v, %v", to, to.replaces, err)
	}
	if to, err = parseReferTo("<tel:+12175550142;ext=1>"); err != nil || to.user != "+12175550142;ext=1" {
		t.Errorf("%+v, %v", to, err)
	}
}

// TestGlareIsWaitedOut: who stays changes something itself in the moment of the transfer: the box tries again.
func TestGlareIsWaitedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	caller, callee := established(w)
	x := w.phone("1003")
	caller.within(sip.UPDATE, nil).wait(200)
	callee.refer("sip:1003@lsp.test", sip.NewHeader("Refer-Sub", "false")).wait(202)
	x.answer(x.incoming(sip.INVITE), pcmu)
	x.acked()
	caller.u.incoming(sip.INVITE).Reply(491, "Request Pending")
	began := time.Now()
	caller.u.acked()
	caller.rejoined(pcmu)
	if waited := time.Since(began); waited > 3*time.Second { // the caller began the dialog: 0 to 2 s (RFC 3261 §14.1)
		t.Errorf("waited %v", waited)
	}
	callee.u.bye()
	caller.within(sip.UPDATE, nil).wait(200)
	caller.within(sip.BYE, nil).wait(200)
	x.bye()
	w.ended()
}

// TestTransferEndsWhenTheOtherIsGone: who stays no longer knows the dialog.
func TestTransferEndsWhenTheOtherIsGone(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	x := w.phone("1003")
	caller.within(sip.UPDATE, nil).wait(200)
	caller.refer("sip:1003@lsp.test", sip.NewHeader("Refer-Sub", "false")).wait(202)
	x.answer(x.incoming(sip.INVITE), pcmu)
	x.acked()
	callee.u.incoming(sip.INVITE).Reply(481, "Call/Transaction Does Not Exist")
	caller.u.bye()
	callee.u.acked()
	callee.u.bye()
	x.bye()
	if r := w.ended(); r.Cause != causeDead {
		t.Errorf("record %+v", r)
	}
}

// TestMaxForwards is counted down, and ends at 0.
func TestMaxForwards(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.phone("1001"), w.phone("1002")
	for hops, want := range map[string]uint32{"70": 69, "2": 1, "200": 69} {
		req := a.request(sip.INVITE, "1001", "1002", offer(pcmu))
		req.RemoveHeader("Max-Forwards")
		req.AppendHeader(sip.NewHeader("Max-Forwards", hops))
		o := a.send(req)
		in := b.incoming(sip.INVITE)
		if got := in.Request().MaxForwards(); got == nil || got.Val() != want {
			t.Errorf("%s goes on as %v", hops, got)
		}
		in.Reply(486, "Busy Here")
		o.wait(486)
		w.ended()
	}
	req := a.request(sip.INVITE, "1001", "1002", offer(pcmu))
	req.RemoveHeader("Max-Forwards")
	req.AppendHeader(sip.NewHeader("Max-Forwards", "0"))
	a.send(req).wait(483)
}
