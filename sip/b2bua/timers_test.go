package b2bua

import (
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
)

// timedInvite is an INVITE with session timer headers.
func (u *ua) timedInvite(to, every string, extra ...sip.Header) *outgoing {
	req := u.request(sip.INVITE, u.name, to, offer(pcmu))
	req.AppendHeader(sip.NewHeader("Supported", "timer"))
	if every != "" {
		req.AppendHeader(sip.NewHeader("Session-Expires", every))
	}
	for _, h := range extra {
		req.AppendHeader(h)
	}
	return u.send(req)
}

func TestSessionTimerAgreed(t *testing.T) {
	for _, c := range []struct{ asks, minSE, want string }{
		{"1800", "", "4;refresher=uac"}, // no longer than the box wants
		{"3;refresher=uas", "", "3;refresher=uas"},
		{"3;refresher=uac", "", "3;refresher=uac"},
		{"2", "3", "3;refresher=uac"},
		{"1800", "1000", "1000;refresher=uac"},
		{"", "", "4;refresher=uac"},
	} {
		t.Run(c.asks, func(t *testing.T) {
			w := newWorldAt(t, hasty(), nil)
			a, b := w.phone("1001"), w.phone("1002")
			var extra []sip.Header
			if c.minSE != "" {
				extra = append(extra, sip.NewHeader("Min-SE", c.minSE))
			}
			o := a.timedInvite("1002", c.asks, extra...)
			in := b.incoming(sip.INVITE)
			if header(in.Request(), "session-expires") != "4" || header(in.Request(), "min-se") != "2" {
				t.Errorf("the callee is asked for %q, %q", header(in.Request(), "session-expires"), header(in.Request(), "min-se"))
			}
			b.answer(in, pcmu)
			b.acked()
			if res := o.up(nil); header(res, "session-expires") != c.want {
				t.Errorf("%q, want %q", header(res, "session-expires"), c.want)
			}
			o.within(sip.BYE, nil).wait(200)
			b.bye()
			w.ended()
		})
	}
}

func TestSessionIntervalTooSmall(t *testing.T) {
	w := newWorldAt(t, hasty(), nil)
	a, b := w.phone("1001"), w.phone("1002")
	if res := a.timedInvite("1002", "1").wait(422); header(res, "min-se") != "2" {
		t.Errorf("Min-SE %q", header(res, "min-se"))
	}
	// The other way round: the phone wants more.
	o := a.call("1002", pcmu)
	first := b.incoming(sip.INVITE)
	first.Reply(422, "Session Interval Too Small", sip.NewHeader("Min-SE", "60"))
	b.acked()
	in := b.incoming(sip.INVITE)
	if header(in.Request(), "session-expires") != "60" || in.Request().CSeq().SeqNo <= first.Request().CSeq().SeqNo ||
		in.Request().CallID().Value() != first.Request().CallID().Value() {
		t.Errorf("second INVITE:\n%s", in.Request())
	}
	b.answer(in, pcmu)
	b.acked()
	o.up(nil)
	o.within(sip.UPDATE, nil).wait(200)
	o.within(sip.BYE, nil).wait(200)
	b.bye()
	w.ended()
	again := a.call("1002", pcmu)
	b.incoming(sip.INVITE).Reply(422, "Session Interval Too Small", sip.NewHeader("Min-SE", "60"))
	b.incoming(sip.INVITE).Reply(422, "Session Interval Too Small", sip.NewHeader("Min-SE", "120"))
	again.wait(500) // once is enough; what the two could not agree on is not the caller's matter
	w.ended()
}

// answerTimed accepts with a session timer.
func (u *ua) answerTimed(every string, allows string) *outgoing {
	in := u.incoming(sip.INVITE)
	res := in.Response(200, "OK")
	res.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: u.name, Host: "127.0.0.1", Port: int(u.conn.Local().Port())}})
	res.AppendHeader(sip.NewHeader("Session-Expires", every))
	res.AppendHeader(sip.NewHeader("Allow", allows))
	setSDP(res, answerTo(u.w.t, in.Request().Body(), pcmu))
	d := dialogFrom(in)
	in.Respond(res)
	u.acked()
	return &outgoing{u: u, dlg: d}
}

// TestSessionRefresh: the box refreshes by UPDATE, or by a re-INVITE that changes nothing.
func TestSessionRefresh(t *testing.T) {
	t.Parallel()
	for _, method := range []sip.RequestMethod{sip.UPDATE, sip.INVITE} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			a, b := w.phone("1001"), w.phone("1002")
			o := a.call("1002", pcmu)
			callee := b.answerTimed("6;refresher=uac", "INVITE, ACK, BYE, "+string(method))
			o.up(nil)
			for range 2 {
				in := b.incoming(method)
				if header(in.Request(), "session-expires") != "6;refresher=uac" {
					t.Errorf("Session-Expires %q", header(in.Request(), "session-expires"))
				}
				res := in.Response(200, "OK")
				res.AppendHeader(sip.NewHeader("Session-Expires", "6;refresher=uac"))
				if method == sip.INVITE {
					d, err := sdp.Parse(in.Request().Body())
					if err != nil || !d.Codecs[0].Same(pcmu) || d.Direction != sdp.SendRecv {
						t.Errorf("offer %v, %v", d, err)
					}
					setSDP(res, answerTo(t, in.Request().Body(), pcmu))
				}
				in.Respond(res)
				if method == sip.INVITE {
					b.acked()
				}
			}
			callee.within(sip.BYE, nil).wait(200)
			a.bye()
			w.ended()
		})
	}
}

// TestSessionEnds: a refresh that nobody answers for, and one that does not come.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	t.Run("dead peer", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, nil)
		a, b := w.phone("1001"), w.phone("1002")
		o := a.call("1002", pcmu)
		b.answerTimed("2;refresher=uac", "INVITE, UPDATE")
		o.up(nil)
		b.incoming(sip.UPDATE).Reply(481, "Call/Transaction Does Not Exist")
		a.bye()
		b.bye()
		if r := w.ended(); r.Cause != causeDead {
			t.Errorf("record %+v", r)
		}
	})
	t.Run("no refresh", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, nil)
		a, b := w.phone("1001"), w.phone("1002")
		began := time.Now()
		o := a.timedInvite("1002", "2")
		b.answer(b.incoming(sip.INVITE), pcmu)
		b.acked()
		o.up(nil)
		a.bye()
		b.bye()
		if r := w.ended(); r.Cause != causeExpired || time.Since(began) < time.Second {
			t.Errorf("after %v: %+v", time.Since(began), r)
		}
	})
}
