package b2bua

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/site"
)

// drilling starts a drill of 1002 and returns its steps and its verdict.
func (w *world) drilling(ctx context.Context) (steps func() []DrillStep, end chan error) {
	var all []DrillStep
	end = make(chan error, 1)
	go func() {
		end <- w.agent.Drill(ctx, DrillOrder{User: "u1002", Number: "933", During: func(string) {}}, func(s DrillStep) {
			w.mu.Lock()
			defer w.mu.Unlock()
			all = append(all, s)
		})
	}()
	return func() []DrillStep {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.Clone(all)
	}, end
}

// TestDrill: the test call looks on the wire as an emergency call does, and each step is told.
func TestDrill(t *testing.T) {
	w := newWorld(t, located)
	phone, desk, x := w.phone("1002"), w.phone("1003"), w.sbc("sbc1")
	steps, end := w.drilling(t.Context())
	in := x.incoming(sip.INVITE)
	req := in.Request()
	if req.Recipient.User != "933" || req.From().Address.User != floorELIN || !strings.Contains(header(req, "p-asserted-identity"), floorELIN) || header(req, "geolocation") == "" {
		t.Errorf("INVITE\n%s", req)
	}
	if cb := w.agent.pinned(floorELIN); len(cb.Callers) != 1 || cb.Callers[0].User != "u1002" || !cb.Callers[0].Test {
		t.Errorf("pinned %+v", cb)
	}
	in.Reply(180, "Ringing")
	ok := in.Response(200, "OK")
	ok.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "test", Host: "127.0.0.1"}})
	setSDP(ok, answerTo(t, offerOf(req), pcmu))
	in.Respond(ok)
	x.acked()
	x.bye()
	if err := within(t, end, "the verdict"); err != nil {
		t.Error(err)
	}
	var names []string
	for _, s := range steps() {
		if names = append(names, s.Name); !s.OK || s.Detail == "" {
			t.Errorf("%+v", s)
		}
	}
	want := []string{"recognised", "trunk sbc1", "ELIN", "pin", "caller ID on the wire", "G.711 in the offer", "location", "answer", "audio", "end"}
	if !slices.Equal(names, want) {
		t.Errorf("steps %q", names)
	}
	if k := w.kinds(""); !slices.Equal(k, []EmergencyKind{Recognised, InviteLeaves, CallAnswered, CallEnded}) {
		t.Errorf("record %v", k)
	}

	// And somebody calls the number that was shown: the phone rings, the desk does not.
	w.taken(x.call(floorELIN, pcmu), phone)
	desk.quiet()
	if k := w.kinds(w.help[0].Call); !slices.Equal(k[4:], []EmergencyKind{CallbackBegan, CallbackAnswered, CallbackEnded}) {
		t.Errorf("record %v", k)
	}
	phone.conn.Close()
	w.mu.Lock()
	delete(w.bindings, "u1002")
	w.mu.Unlock()
	w.taken(x.call(floorELIN, pcmu), desk) // gone meanwhile
}

// TestDrillFails: what is wrong is said, with what to do about it, and nothing is left over.
func TestDrillFails(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*site.Document)
		do     func(*world, *ua, context.CancelFunc)
		step   string
	}{
		"the number is not known": {located, func(_ *world, x *ua, _ context.CancelFunc) { x.incoming(sip.INVITE).Reply(404, "Not Found") }, "answer"},
		"no ELIN":                 {func(d *site.Document) { helpful(d); d.Zones[0].ELINs, d.Emergency.ELINs = nil, nil }, answers, "ELIN"},
		"the trunk is away":       {func(d *site.Document) { helpful(d); d.Trunks[0].ID = "gone"; elsewhereELINs(d) }, nil, "trunk gone"},
		"the trunk is full":       {func(d *site.Document) { helpful(d); d.Trunks[0].MaxCalls = 1 }, nil, "trunk sbc1"},
		"who asked has gone": {located, func(_ *world, x *ua, stop context.CancelFunc) {
			x.incoming(sip.INVITE).Reply(180, "Ringing")
			stop()
			x.cancelled().Reply(487, "")
		}, "answer"},
		"no phone of the user here": {helpful, answers, "phone"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.change)
			if name != "no phone of the user here" {
				w.phone("1002")
			}
			var x *ua
			if name != "the trunk is away" {
				x = w.sbc("sbc1")
			}
			if name == "the trunk is full" {
				w.agent.forceTrunk(w.site.Trunks()[0])
				defer w.agent.leaveTrunk(w.site.Trunks()[0])
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			steps, end := w.drilling(ctx)
			if c.do != nil {
				c.do(w, x, stop)
			}
			if err := within(t, end, "the verdict"); err == nil {
				t.Error("it passed")
			}
			if all := steps(); !slices.ContainsFunc(all, func(s DrillStep) bool { return s.Name == c.step && !s.OK && s.Fix != "" && s.Detail != "" }) {
				t.Errorf("steps %+v", all)
			}
			if k := w.kinds(""); k[len(k)-1] != CallEnded {
				t.Errorf("record %v", k)
			}
		})
	}
}

func answers(_ *world, x *ua, _ context.CancelFunc) {
	x.answer(x.incoming(sip.INVITE), pcmu)
	x.acked()
	x.bye()
}

func elsewhereELINs(d *site.Document) {
	d.Emergency.ELINs[0].Trunk, d.Zones[0].ELINs[0].Trunk = "gone", "gone"
}

// TestDrillRefuses real emergency numbers and users that there are not.
func TestDrillRefuses(t *testing.T) {
	w := newWorld(t, helpful)
	for _, o := range []DrillOrder{{User: "u1001", Number: "911"}, {User: "u1001", Number: "1002"}, {User: "nobody", Number: "933"}, {User: "u1001", Number: "urn:service:sos"}} {
		if err := w.agent.Drill(t.Context(), o, func(DrillStep) { t.Error("a step") }); err == nil {
			t.Errorf("%+v", o)
		}
	}
}
