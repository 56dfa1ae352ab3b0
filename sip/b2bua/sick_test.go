package b2bua

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/registrar"
	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// sick are the ways of a phone, or of the SBC towards the desk outside, that is rung by a callback: most do not do what
// they should. Each gets an INVITE, and a channel that is closed when it was cancelled.
var sick = []struct {
	name string
	do   func(u *ua, in *stack.ServerTx, cancelled <-chan struct{})
}{
	{"dead", func(*ua, *stack.ServerTx, <-chan struct{}) {}},
	{"says 100", func(_ *ua, in *stack.ServerTx, _ <-chan struct{}) { in.Reply(100, "Trying") }},
	{"rings and answers no CANCEL", func(_ *ua, in *stack.ServerTx, _ <-chan struct{}) { in.Reply(180, "Ringing") }},
	{"rings", func(_ *ua, in *stack.ServerTx, cancelled <-chan struct{}) {
		in.Reply(180, "Ringing")
		<-cancelled
		in.Reply(487, "Request Terminated")
	}},
	{"answers when it is cancelled", func(u *ua, in *stack.ServerTx, cancelled <-chan struct{}) {
		in.Reply(180, "Ringing")
		<-cancelled
		u.answer(in, pcmu)
	}},
	{"rings twice after its CANCEL", func(_ *ua, in *stack.ServerTx, cancelled <-chan struct{}) {
		<-cancelled
		in.Reply(180, "Ringing")
		in.Reply(180, "Ringing")
	}},
	{"declines", func(_ *ua, in *stack.ServerTx, _ <-chan struct{}) { in.Reply(603, "Decline") }},
	{"redirects", func(_ *ua, in *stack.ServerTx, _ <-chan struct{}) { in.Reply(302, "Moved") }},
	{"answers with nonsense", func(_ *ua, in *stack.ServerTx, _ <-chan struct{}) { in.Reply(200, "OK") }},
	{"falls", func(u *ua, in *stack.ServerTx, _ <-chan struct{}) { in.Reply(180, "Ringing"); u.conn.Close() }},
	{"falls at once", func(u *ua, _ *stack.ServerTx, _ <-chan struct{}) { u.conn.Close() }},
}

// ails makes a ua behave so until the test ends.
func (u *ua) ails(do func(*ua, *stack.ServerTx, <-chan struct{}), over <-chan struct{}) {
	go func() {
		cancelled := make(chan struct{})
		shut := false
		for {
			select {
			case tx := <-u.requests:
				if tx.Request().Method == sip.INVITE {
					go do(u, tx, cancelled)
				} else {
					tx.Reply(200, "OK")
				}
			case <-u.cancels:
				if !shut {
					shut = true
					close(cancelled)
				}
			case <-u.acks:
			case <-over:
				if !shut {
					close(cancelled)
				}
				return
			}
		}
	}()
}

// TestCallbackToTheSick: whatever the phones of a shared ELIN's callers and the desk do or leave undone, once the PSAP has
// hung up or was refused the call is shown no more, and soon nothing of it is left: no call, leg, transaction or channel.
func TestCallbackToTheSick(t *testing.T) {
	for round := range 4 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(uint64(round), 1))
			w := newWorldAt(t, hasty(), func(d *site.Document) {
				twoTrunks(d)
				d.Emergency.Security = []string{"1003", deskOutside}
			})
			over := make(chan struct{})
			defer close(over)
			x1, x2 := w.sbc("sbc1"), w.sbc("sbc2")
			pick := func(who string, u *ua) {
				how := sick[r.IntN(len(sick))]
				t.Logf("%s %s", who, how.name)
				u.ails(how.do, over)
			}
			pick("sbc1", x1)
			for _, ext := range []string{"1001", "1001", "1002", "1003"} {
				pick(ext, w.phone(ext))
			}
			w.mu.Lock() // and one whose connection nobody has seen fall
			w.bindings["u1002"] = append(w.bindings["u1002"], registrar.Binding{AOR: "u1002", Contact: registrar.Contact{URI: "sip:1002@127.0.0.9:5061", Q: 1}, Flow: 99999})
			w.mu.Unlock()
			w.pinBoth("u1001", "u1002")
			for range 3 {
				o := x2.call(siteELIN, pcmu)
				select {
				case <-time.After(time.Duration(r.IntN(900)) * time.Millisecond):
				case tx := <-x2.requests: // the desk outside is tried there as well
					if tx.Request().Method == sip.INVITE {
						tx.Reply(180, "Ringing")
					}
				}
				o.tx.Cancel()
				for status := 0; status < 200; {
					select {
					case res := <-o.res:
						if status = res.StatusCode; status < 300 && status >= 200 { // somebody took it before the CANCEL came
							o.dlg = dialogOf(o, res)
							o.within(sip.BYE, nil).wait(200)
						}
					case <-time.After(deadline):
						t.Fatal("the PSAP is not answered")
					}
				}
				w.ended()
				if calls := w.agent.Calls(); len(calls) > 0 {
					t.Errorf("it has ended and is shown: %+v", calls)
				}
			}
			x2.ails(sick[0].do, over)
			w.until(func() bool {
				return w.agent.Count() == 0 && w.stack.Usage().ClientTxs == 0 && w.stack.Usage().ServerTxs == 0
			})
			w.clean()
		})
	}
}

// dialogOf acknowledges a 2xx that was not waited for.
func dialogOf(o *outgoing, res *sip.Response) dialog {
	o.res <- res
	o.up(nil)
	return o.dlg
}
