package route

import "testing"

func TestFeatureCodes(t *testing.T) {
	s := load(t)
	alice := Query{From: FromUser(user(t, s, "alice")), Scheme: "sip"}
	for _, tt := range []struct {
		target string
		kind   Kind
		number string
		status int
	}{
		{"*81002", Pickup, "", 0}, {"*8+12175551002", Reject, "", 404}, {"*89999", Reject, "", 404}, {"*57", Park, "7", 0}, {"*5", Park, "1001", 0},
		{"%2A57", Park, "7", 0}, {"911", Emergency, "911", 0}, {"*8911", Reject, "", 404},
	} {
		q := alice
		q.Target = tt.target
		d := Decide(s, Policy{Serve: true}, everybody, q)
		if d.Kind != tt.kind || d.Kind == Park && d.Number != tt.number || d.Status != tt.status {
			t.Errorf("%s: %v %q %d", tt.target, d.Kind, d.Number, d.Status)
		}
		if d.Kind == Pickup && d.User.ID != "bob" {
			t.Errorf("%s: picks up %v", tt.target, d.User)
		}
		if d.Kind == Pickup || d.Kind == Park {
			if next := After(d, NoAnswer); next.Kind != Reject {
				t.Errorf("%s: then %v", tt.target, next.Kind)
			}
		}
	}
	for name, q := range map[string]Query{"trunk": {From: FromTrunk(s.Trunks()[0]), Scheme: "sip", Target: "*57"}, "nobody": {Scheme: "sip", Target: "*81002"}} {
		if d := Decide(s, Policy{Serve: true}, everybody, q); d.Kind != Reject {
			t.Errorf("%s may use a feature code: %v", name, d.Kind)
		}
	}
	alice.Target = "*81002"
	if d := Decide(s, Policy{}, everybody, alice); d.Kind != Reject || d.Status != 503 {
		t.Errorf("while the box does not serve: %v %d", d.Kind, d.Status)
	}
}

func TestRedirect(t *testing.T) {
	s := load(t)
	q := Query{From: FromUser(user(t, s, "erin")), Scheme: "sip", Target: "1001"}
	first := Decide(s, Policy{Serve: true}, everybody, q)
	alice := user(t, s, "alice")
	for target, want := range map[string]Kind{"1002": ToUser, "912125550100": ToTrunk, "1001": Reject, "911": Reject, "9911": Reject, "urn:service:sos": Reject, "x": Reject, "": Reject, "*81002": Reject} {
		if d := Redirect(first, alice, target); d.Kind != want {
			t.Errorf("to %q: %v", target, d.Kind)
		}
	}
	// Phones that send a call round and round end it.
	d, hops := first, 0
	for i := 0; d.Kind == ToUser && i < 20; i++ {
		d = Redirect(d, d.User, []string{"1002", "1003", "1004", "1005", "1006", "1001"}[i%6])
		hops++
	}
	if hops > maxHops+1 {
		t.Errorf("%d hops", hops)
	}
	emergency := Decide(s, Policy{Serve: true}, everybody, Query{From: q.From, Scheme: "sip", Target: "911"})
	if d := Redirect(emergency, alice, "1002"); d.Kind == ToUser && d.User.ID == "bob" && !d.Callback {
		t.Errorf("an emergency call is redirected: %+v", d)
	}
}
