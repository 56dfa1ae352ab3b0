package stack

import (
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
