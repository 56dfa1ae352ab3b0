package b2bua

import (
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
)

// TestSilenceOnHold: of a call that is held nobody is expected to send, and silence that the relay reports late ends nothing: the party is
// asked, and answers.
func TestSilenceOnHold(t *testing.T) {
	w := newWorld(t, nil)
	caller, callee := established(w)
	expected := func(want bool) {
		t.Helper()
		_, legs := w.media.last()
		if legs[0].stream.FromPeer != want || legs[1].stream.FromPeer != want {
			t.Errorf("expected to send: caller %v, callee %v, want %v", legs[0].stream.FromPeer, legs[1].stream.FromPeer, want)
		}
	}
	expected(true)
	for _, step := range []struct {
		by, other *outgoing
		offer     sdp.Direction
	}{{caller, callee, sdp.SendOnly}, {caller, callee, sdp.SendRecv}, {callee, caller, sdp.Inactive}, {callee, caller, sdp.SendRecv}} {
		change := step.by.within(sip.INVITE, directed(step.offer, pcmu, ev8))
		step.other.rejoined(pcmu, ev8)
		change.wait(200)
		step.by.ackChange()
		step.by.within(sip.UPDATE, nil).wait(200) // the ACK has been taken
		expected(step.offer == sdp.SendRecv)
		s, _ := w.media.last()
		s.events <- MediaEvent{Leg: s.legs[1], Silent: true, For: 30 * time.Second}
		callee.u.incoming(sip.OPTIONS).Reply(200, "OK")
		s.events <- MediaEvent{Leg: s.legs[1]}
	}
	caller.within(sip.BYE, nil).wait(200)
	callee.u.bye()
	w.ended()
}
