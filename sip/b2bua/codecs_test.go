package b2bua

import (
	"slices"
	"testing"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/registrar"
)

// TestHasG711: a phone says in its answer to OPTIONS what it has, or nothing.
func TestHasG711(t *testing.T) {
	w := newWorld(t, nil)
	a := w.phone("1001")
	b := w.list("u1001")[0]
	for name, c := range map[string]struct {
		body       []byte
		status     int
		has, known bool
	}{
		"both":      {offer(opus, pcmu), 200, true, true},
		"A-law":     {offer(pcma), 200, true, true},
		"Opus only": {offer(opus), 200, false, true},
		"nothing":   {nil, 200, false, false},
		"a refusal": {offer(opus), 405, false, false},
		"rubbish":   {[]byte("what?"), 200, false, false},
	} {
		type answer struct{ has, known bool }
		got := make(chan answer, 1)
		go func() {
			has, known := w.agent.HasG711(t.Context(), "u1001", b)
			got <- answer{has, known}
		}()
		in := a.incoming(sip.OPTIONS)
		res := in.Response(c.status, "x")
		setSDP(res, c.body)
		in.Respond(res)
		if g := within(t, got, "what the phone has"); g != (answer{c.has, c.known}) {
			t.Errorf("%s: %+v", name, g)
		}
	}
	if _, known := w.agent.HasG711(t.Context(), "u1001", registrar.Binding{}); known {
		t.Error("a phone that is not here")
	}
}

// TestOffersTellCodecs: a phone without G.711 is known by its first call, and an emergency call from it raises an alarm.
func TestOffersTellCodecs(t *testing.T) {
	w := newWorld(t, helpful)
	a, x := w.phone("1001"), w.sbc("sbc1")
	o := a.call("911", opus)
	in := x.incoming(sip.INVITE)
	if !slices.Contains(w.kinds(""), AlarmRaised) || !slices.Equal(w.g711, []bool{false}) {
		t.Errorf("%v, told %v", w.kinds(""), w.g711)
	}
	in.Reply(488, "Not Acceptable Here")
	o.wait(183) // the desk is rung: it is not refused for it
	o.tx.Cancel()
	w.ended()
}
