package route

import (
	"testing"

	"holdfast/sip/site"
)

// TestCallbackByTheCloud: a caller whose phone has gone back to the cloud is rung there, after all phones that are here and before
// the security desk alone.
func TestCallbackByTheCloud(t *testing.T) {
	const (
		elin    = "+12175559000"
		alices  = "+13125551001"
		bobs    = "+13125551002"
		outside = "+12175550199"
	)
	desk := here{"reception": true}
	cloud := Policy{Cloud: true}
	for _, tt := range []struct {
		name   string
		view   here
		pins   []string
		change func(map[string]any)
		policy Policy
		want   []string
	}{
		{"the phone has gone", desk, []string{"alice/x"}, nil, cloud, []string{alices, "reception", outside, "480"}},
		{"in a drill, in recovering", desk, []string{"alice/x"}, nil, Policy{Serve: true, Cloud: true}, []string{alices, "reception"}},
		{"no cloud", desk, []string{"alice/x"}, nil, Policy{Serve: true}, []string{"reception"}},
		{"the site does not want it", desk, []string{"alice/x"}, func(m map[string]any) {
			m["emergency"].(map[string]any)["no_callback_by_cloud"] = true
		}, cloud, []string{"reception"}},
		{"the phone is here", desk.and("alice"), []string{"alice/x"}, nil, cloud, []string{"alice=x", "alice-x", "reception"}},
		{"it has gone, another is here", desk.and("alice"), []string{"alice/away"}, nil, cloud, []string{"alice=away", "alice-away", alices, "reception"}},
		{"over UDP, without a binding", desk.and("alice"), []string{"alice/udp"}, nil, cloud, []string{"alice=udp", "alice-udp", alices, "reception"}},
		{"no cloud number", desk, []string{"erin/x"}, nil, cloud, []string{"reception"}},
		{"a phone of nobody", desk, []string{"/door"}, nil, cloud, []string{"=door", "reception"}},
		{"no pin", desk, nil, nil, cloud, []string{"reception"}},
		{"it is the main number", desk, []string{"alice/x"}, func(m map[string]any) {
			m["users"].([]any)[1].(map[string]any)["cloud_numbers"] = []any{main}
		}, cloud, []string{"reception"}},
		{"shared: each, and the desk with the first", desk, []string{"alice/x", "bob/y", "grace/z"}, nil, cloud,
			[]string{"reception +13125551007", "reception " + bobs, "reception", outside, "480"}},
		{"shared: the desk is outside", here{}, []string{"alice/x", "bob/y"}, nil, cloud, []string{bobs, alices, outside, "480"}},
		{"shared: one is here", desk.and("alice"), []string{"alice/x", "bob/y"}, nil, cloud,
			[]string{"alice=x reception", "alice-x", bobs, outside, "480"}},
		{"one caller from two phones, both gone", desk, []string{"alice/x", "alice/y"}, nil, cloud, []string{"reception " + alices, "reception", outside, "480"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := load(t)
			if tt.change != nil {
				s = loadChanged(t, tt.change)
			}
			for i := range tt.pins {
				tt.pins[i] = elin + " " + tt.pins[i]
			}
			d := Decide(s, tt.policy, pinnedTo(s, tt.view, tt.pins...), Query{From: FromTrunk(s.Trunks()[1]), Scheme: "sip", Target: elin, Caller: CallerID{Number: "+12175550911"}})
			for i, want := range tt.want {
				if got := together(d); got != want {
					t.Fatalf("step %d: %q; want %q", i, got, want)
				}
				checkAway(t, s, d)
				d = After(d, Outcome(i%4))
			}
		})
	}
}

// checkAway checks that a number at the cloud is rung for a short time, as the site, and nothing else is.
func checkAway(t *testing.T, s *site.Site, d Decision) {
	t.Helper()
	number, id := d.Number, d.CallerID
	for _, x := range d.Targets {
		if x.Number != "" {
			number, id = x.Number, x.CallerID
		}
	}
	u, atCloud := s.Lookup(number)
	if away := number != "" && atCloud; d.Away != away {
		t.Errorf("%q: away %v", number, d.Away)
	} else if away && (d.RingFor != awayFor || id != (CallerID{Number: main, Name: awayName}) || !d.Callback || len(d.Trunks) == 0) {
		t.Errorf("%s of %s: %+v for %v as %+v", number, u.ID, short(d), d.RingFor, id)
	}
}
