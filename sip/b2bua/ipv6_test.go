package b2bua

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
)

// dual sends an INVITE that names the phone by an IPv6 address in Via, Contact and SDP, over its IPv4 connection.
func (u *ua) dual(to string, body []byte) *outgoing {
	req := u.request(sip.INVITE, u.name, to, body)
	via := u.conn.NewVia()
	via.Host, via.Port = "2001:db8::9", 5061
	req.PrependHeader(via)
	req.Contact().Address.Host = "[2001:db8::9]"
	return u.send(req)
}

// TestDualStackPhone: what a phone with both kinds of address calls itself does not matter over its connection.
func TestDualStackPhone(t *testing.T) {
	six := []byte(strings.Replace(string(offer(pcmu)), "c=IN IP4 127.0.0.1", "c=IN IP6 2001:db8::9", 1))
	t.Run("ordinary", func(t *testing.T) {
		w := newWorld(t, nil)
		a, b := w.phone("1001"), w.phone("1002")
		o := a.dual("1002", offer(pcmu))
		b.answer(b.incoming(sip.INVITE))
		o.up(nil)
		b.acked()
		req := o.dlg.request(sip.BYE, a.conn)
		req.Via().Host, req.Via().Port = "2001:db8::9", 5061
		a.send(req).wait(200)
		b.bye()
		w.ended()
		if res := a.dual("1002", six).wait(488); res.Reason != "IPv6 Not Supported" {
			t.Errorf("%d %s", res.StatusCode, res.Reason)
		}
		w.ended()
	})
	t.Run("what the box asks of it", func(t *testing.T) {
		w := newWorld(t, nil)
		a := w.phone("1001")
		var d dialog
		d.retarget(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "1001", Host: "[2001:db8::9]", Port: 5070}})
		if got := d.request(sip.BYE, a.conn).StartLine(); got != "BYE sip:1001@[2001:db8::9]:5070 SIP/2.0" {
			t.Error(got)
		}
	})
	t.Run("911", func(t *testing.T) {
		w := newWorld(t, helpful)
		a, x := w.phone("1001"), w.sbc("sbc1")
		o := a.dual("911", six)
		x.answer(x.incoming(sip.INVITE))
		o.up(nil)
		x.acked()
		if _, legs := w.media.last(); legs[0].stream.Remote.String() != "127.0.0.1:4000" || !legs[0].stream.ToPeer {
			t.Errorf("the caller's audio goes to %+v", legs[0].stream)
		}
		o.within(sip.BYE, nil).wait(200)
		x.bye()
		w.ended()
	})
	t.Run("911 at an IPv6 address", func(t *testing.T) {
		w := newWorld(t, helpful)
		a, x := w.phone("1001"), w.sbc("sbc1")
		req := a.request(sip.INVITE, "1001", "911", six)
		req.Recipient.Host = "[2001:db8::1]"
		o := a.send(req)
		in := x.incoming(sip.INVITE)
		in.Reply(180, "Ringing")
		o.wait(180)
		o.tx.Cancel()
		x.cancelled().Reply(487, "Request Terminated")
		o.wait(487)
		w.ended()
	})
}
