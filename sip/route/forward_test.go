package route

import (
	"slices"
	"testing"
)

func TestAfter(t *testing.T) {
	s := load(t)
	type step struct {
		outcome Outcome
		want    brief
	}
	fromAlice := Query{From: FromUser(user(t, s, "alice")), Scheme: "sip"}
	fromErin := Query{From: FromUser(user(t, s, "erin")), Scheme: "sip"}
	fromTrunk := Query{From: FromTrunk(s.Trunks()[0]), Scheme: "sip", Caller: CallerID{Number: "+12125550100"}}
	visited := func(q Query, v ...string) Query { q.Visited = v; return q }
	for _, tt := range []struct {
		name   string
		query  Query
		target string
		view   here
		first  brief
		steps  []step
	}{
		{"busy, then the other, then nobody", fromErin, "1001", everybody, rings("alice", "1005"),
			[]step{{Busy, rings("bob", "1005")}, {Busy, refused(486)}, {Busy, refused(486)}}},
		{"no answer, then busy", fromErin, "1001", everybody, rings("alice", "1005"),
			[]step{{NoAnswer, rings("bob", "1005")}, {Busy, refused(486)}}},
		{"declined goes where busy goes", fromErin, "1001", everybody, rings("alice", "1005"), []step{{Declined, rings("bob", "1005")}}},
		{"no targets: busy", fromAlice, "1006", everybody.and("frank"), rings("frank", "1001"), []step{{Busy, refused(486)}}},
		{"no targets: no answer", fromAlice, "1006", everybody.and("frank"), rings("frank", "1001"), []step{{NoAnswer, refused(480)}}},
		{"no targets: unreachable", fromAlice, "1006", everybody.and("frank"), rings("frank", "1001"), []step{{Unreachable, refused(480)}}},
		{"no targets: declined", fromAlice, "1006", everybody.and("frank"), rings("frank", "1001"), []step{{Declined, refused(603)}}},
		{"the phone is gone: the cloud number, then the target outside", fromErin, "1001", everybody, rings("alice", "1005"),
			[]step{{Unreachable, cloud("alice", "+13125551001", "+12175551005")}, {Unreachable, dials("+12175550111", "+12175551005")}, {Unreachable, refused(480)}}},
		{"the cloud number does not answer: the target for that", fromErin, "1001", here{"bob": true}, cloud("alice", "+13125551001", "+12175551005"),
			[]step{{NoAnswer, rings("bob", "1005")}}},
		{"the target is gone as well", fromErin, "1001", here{"alice": true}, rings("alice", "1005"),
			[]step{{NoAnswer, cloud("bob", "+13125551002", "+12175551005")}, {NoAnswer, refused(480)}}},
		{"outside is busy: that is all", fromAlice, "+12125550100", everybody, dials("+12125550100", aliceDID), []step{{Busy, refused(486)}}},
		{"from the trunk: no answer, to a colleague", fromTrunk, aliceDID, everybody, rings("alice", "+12125550100"),
			[]step{{NoAnswer, rings("bob", "+12125550100")}, {NoAnswer, refused(480)}}},
		{"from the trunk: the phone is gone, out as the user", fromTrunk, aliceDID, everybody, rings("alice", "+12125550100"),
			[]step{{Unreachable, dials("+12175550111", aliceDID)}, {Busy, refused(486)}}},
		{"from the trunk: the colleague is gone, no cloud", fromTrunk, aliceDID, here{"alice": true}, rings("alice", "+12125550100"),
			[]step{{NoAnswer, refused(480)}}},
		{"do not disturb forwards as busy; the other too has it", fromAlice, "1008", everybody, refused(486), nil},
		{"five hops are enough", fromAlice, "2001", everybody.and("hop-7"), refused(482), nil},
		{"four are not too many", fromAlice, "2003", everybody.and("hop-7"), rings("hop-7", "1001"), nil},
		{"been there", visited(fromErin, "bob"), "1001", everybody, rings("alice", "1005"), []step{{Busy, refused(486)}}},
		{"been at the cloud number", visited(fromErin, "+13125551001"), "1001", here{}, dials("+12175550111", "+12175551005"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := tt.query
			q.Target = tt.target
			d := Decide(s, serve, tt.view, q)
			check(t, s, d, tt.first)
			for _, step := range tt.steps {
				before := slices.Clone(d.Visited)
				next := After(d, step.outcome)
				check(t, s, next, step.want)
				if !slices.Equal(d.Visited, before) {
					t.Errorf("After changed Visited of its input: %v, was %v", d.Visited, before)
				}
				d = next
			}
		})
	}
}

// and adds a user to a view.
func (h here) and(id string) here {
	more := here{id: true}
	for id := range h {
		more[id] = true
	}
	return more
}

func TestForwardedBy(t *testing.T) {
	s := load(t)
	d := Decide(s, serve, everybody, Query{From: FromTrunk(s.Trunks()[0]), Scheme: "sip", Target: aliceDID})
	if d.By != nil || !slices.Equal(d.Visited, []string{"alice"}) {
		t.Errorf("by %v, visited %v", d.By, d.Visited)
	}
	d = After(d, NoAnswer)
	if d.By == nil || d.By.ID != "alice" || !slices.Equal(d.Visited, []string{"alice", "bob"}) {
		t.Errorf("by %v, visited %v", d.By, d.Visited)
	}
}

func TestAfterNothing(t *testing.T) {
	if d := After(Decision{}, Busy); d.Kind != Reject {
		t.Errorf("%+v", d)
	}
}
