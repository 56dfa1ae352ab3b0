package b2bua

import (
	"slices"
	"testing"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// leavers are the ways in which a phone gives up what it has asked for.
var leavers = map[string]func(*outgoing){
	"CANCEL": func(o *outgoing) { o.tx.Cancel(); o.wait(487) },
	"gone":   func(o *outgoing) { o.u.conn.Close(); o.wait(-1) },
}

// leftBehind waits until the call has so many legs.
func (w *world) leftBehind(t *testing.T, legs int) {
	t.Helper()
	w.until(func() bool { return w.agent.Legs() == legs })
}

// TestFetchGivenUp: who is parked stays parked when the phone that fetches gives up while the parked party is asked.
func TestFetchGivenUp(t *testing.T) {
	for name, leave := range leavers {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			caller, callee := established(w)
			caller.within(sip.UPDATE, nil).wait(200)
			caller.refer("sip:*57@lsp.test").wait(202)
			caller.u.story(true)
			w.leftBehind(t, 1)
			fetch := w.phone("1003").call("*57", pcma)
			in := callee.u.incoming(sip.INVITE)
			leave(fetch)
			w.leftBehind(t, 1)
			callee.agree(in)
			callee.within(sip.UPDATE, nil).wait(200)
			if s := w.agent.Calls(); len(s) != 1 || s[0].State != "waiting" {
				t.Fatalf("the parked call is %+v", s)
			}
			_, legs := w.media.last()
			if p := legs[1].plays; !slices.Equal(p, []Prompt{HoldMusic, HoldMusic}) || legs[1].stream.Codec != "PCMA" || !legs[1].stream.ToPeer {
				t.Errorf("the parked party hears %v in %s", p, legs[1].stream.Codec)
			}
			again := w.phone("1003").call("*57", pcma)
			callee.rejoined(pcma)
			again.up(nil)
			again.within(sip.BYE, nil).wait(200)
			callee.u.bye()
			w.ended()
		})
	}
}

// links are those of the newest session.
func (w *world) links() [][2]*fakeLeg {
	w.media.mu.Lock()
	defer w.media.mu.Unlock()
	return slices.Clone(w.media.sessions[len(w.media.sessions)-1].links)
}

// agree answers a re-INVITE with the codec that it offers first.
func (o *outgoing) agree(in *stack.ServerTx) {
	res := in.Response(200, "OK")
	setSDP(res, answerTo(o.u.w.t, in.Request().Body(), pcma))
	in.Respond(res)
	o.u.acked()
}

// TestTakeOverGivenUp: the user's other phone wants the call, and then does not: the two talk on, in the codec that they had.
func TestTakeOverGivenUp(t *testing.T) {
	for name, leave := range leavers {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			caller, callee := established(w)
			caller.within(sip.UPDATE, nil).wait(200)
			links := len(w.links())
			other := w.phone("1001")
			req := other.request(sip.INVITE, "1001", "1002", offer(pcma))
			req.AppendHeader(sip.NewHeader("Replaces", replacesOf(caller, false)))
			take := other.send(req)
			in := callee.u.incoming(sip.INVITE)
			leave(take)
			w.leftBehind(t, 2)
			callee.agree(in)
			callee.rejoined(pcmu, ev8) // back
			w.until(func() bool { return len(w.links()) == links+1 })
			caller.within(sip.UPDATE, nil).wait(200)
			_, legs := w.media.last()
			if legs[0].stream.Codec != "PCMU" || legs[1].stream.Codec != "PCMU" || !legs[0].stream.ToPeer || !legs[1].stream.ToPeer {
				t.Errorf("%+v and %+v", legs[0].stream, legs[1].stream)
			}
			if l := w.links()[links]; l[0].port != legs[1].port || l[1].port != legs[0].port {
				t.Error("others are connected")
			}
			caller.within(sip.BYE, nil).wait(200)
			callee.u.bye()
			w.ended()
		})
	}
}
