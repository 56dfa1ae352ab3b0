package stack

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
)

// A fault in what is done about one message costs that message: it is answered if it can be, and the connection and all others go on.
func TestAFaultCostsOneMessage(t *testing.T) {
	faulty := func(m *sip.Request) {
		if m.GetHeader("x-fault") != nil {
			panic("injected")
		}
	}
	b, p, c := callee(t, Options{
		OnRequest: func(tx *ServerTx) {
			faulty(tx.Request())
			tx.Reply(200, "OK")
		},
		OnAck: func(_ *Conn, r *sip.Request) { faulty(r) },
	})
	other := b.dial()
	const fault = "X-Fault: yes"
	for what, send := range map[string]func(){
		"a request": func() {
			p.send(request("REGISTER", fault))
			p.response(500)
		},
		"a request in a dialog": func() {
			p.send(strings.Replace(request("BYE", fault), "\r\nCall-ID", ";tag=there\r\nCall-ID", 1))
			p.response(500)
		},
		"an ACK": func() { p.send(request("ACK", fault)) },
		"a response": func() {
			if _, err := c.Send(outgoing(sip.OPTIONS), func(res *sip.Response, err error) {
				if err == nil {
					panic("injected")
				}
			}); err != nil {
				t.Fatal(err)
			}
			p.answer(p.request(sip.OPTIONS), 200, "x")
		},
	} {
		before := b.Counters().Faults.Load()
		send()
		p.works()
		other.works()
		if n := b.Counters().Faults.Load() - before; n != 1 {
			t.Errorf("%s: %d faults", what, n)
		}
	}
	if u := b.Usage(); u.ServerTxs != 0 || u.ClientTxs != 0 {
		t.Errorf("left: %+v", u)
	}
}

// The same of a datagram, and of one that is looked at because a limit is reached.
func TestAFaultCostsOneDatagram(t *testing.T) {
	faulty := func(r *sip.Request) {
		if r.GetHeader("x-fault") != nil {
			panic("injected")
		}
	}
	ethered(t, Options{
		OnAck:  func(_ *Conn, r *sip.Request) { faulty(r) },
		Urgent: func(_ *Conn, r *sip.Request) bool { faulty(r); return false },
	}, func(t *testing.T, s *Stack, e *ether) {
		e.put(gatewayAt, asked("ACK", "X-Fault: yes"))
		for port := range 2 * flowsPerDevice { // more than there is room for
			e.put(netip.AddrPortFrom(netip.MustParseAddr("10.0.0.71"), uint16(2000+port)).String(), asked("INVITE", "X-Fault: yes"))
		}
		e.take()
		if n := s.Counters().Faults.Load(); n < 2 {
			t.Errorf("%d faults", n)
		}
		e.put(gatewayAt, asked("OPTIONS"))
		if len(e.take()) != 1 {
			t.Error("it is not served any more")
		}
	})
}
