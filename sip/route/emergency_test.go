package route

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"holdfast/sip/site"
)

// loadChanged loads the branch after a change.
func loadChanged(t *testing.T, change func(m map[string]any)) *site.Site {
	t.Helper()
	data, err := os.ReadFile("testdata/branch.json")
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	if data, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	s, err := site.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEmergencyInEveryForm(t *testing.T) {
	s := load(t)
	for target, want := range map[string]string{
		"911": "911", "9911": "911", "9-1-1": "911", "9 911": "911", "%39%31%31": "911", "911;phone-context=+1": "911",
		"112": "112", "9112": "112", "urn:service:sos": "urn:service:sos", "service:sos": "urn:service:sos",
		"URN:Service:SOS.Fire": "urn:service:sos.fire", "service:sos.animal-control": "urn:service:sos.animal-control",
		"service:sos.\r\nRoute: x": "urn:service:sos", "service:sos.": "urn:service:sos", "service:sos..": "urn:service:sos",
	} {
		for _, scheme := range []string{"sip", "sips", "tel", "urn", ""} {
			d := Decide(s, Policy{}, here{}, Query{From: FromUser(user(t, s, "alice")), Scheme: scheme, Target: target, Host: "example.org", Privacy: true})
			check(t, s, d, sosTo(want, aliceDID))
			if d.CallerID.Private || d.Test {
				t.Errorf("%s:%s: %+v", scheme, target, d)
			}
		}
	}
	d := Decide(s, Policy{}, here{}, Query{From: FromUser(user(t, s, "alice")), Scheme: "sip", Target: "9933"})
	if check(t, s, d, sosTo("933", aliceDID)); !d.Test {
		t.Error("933 is no test")
	}
	if next := After(d, Unreachable); next.Kind != Reject {
		t.Errorf("a test that fails rings %+v", short(next))
	}
	for _, target := range []string{"service:sosx", "service:counseling", "urn:service", "91", "99911"} {
		if d := Decide(s, serve, here{}, Query{From: FromUser(user(t, s, "alice")), Scheme: "urn", Target: target}); d.Kind == Emergency {
			t.Errorf("%s is an emergency", target)
		}
	}
}

func TestTestsStayTests(t *testing.T) {
	s := load(t)
	for target, want := range map[string]string{
		"933": "933", "9-933": "933", "urn:service:test.sos": "urn:service:test.sos", "Service:Test.SOS.police": "urn:service:test.sos.police",
		"service:test.sos.\r\nx": "urn:service:test.sos",
	} {
		d := Decide(s, Policy{}, here{}, Query{From: FromUser(user(t, s, "alice")), Scheme: "urn", Target: target})
		check(t, s, d, sosTo(want, aliceDID))
		if !d.Test {
			t.Errorf("%s is no test", target)
		}
		end := After(d, Unreachable)
		if end.Kind != Reject || end.Alarm != "" || end.Announce || end.Callback {
			t.Errorf("%s, no trunk: %+v", target, end)
		}
	}
	for _, target := range []string{"service:test.sosx", "service:test", "urn:service:tests.sos"} {
		if _, _, ok := Recognise(s, target); ok {
			t.Errorf("%s is an emergency", target)
		}
	}
}

// What is dialled, and what each trunk is to be called with. A test must not become a real emergency call on any.
func TestNumberFor(t *testing.T) {
	s := load(t)
	for _, tt := range []struct{ dialled, form, want string }{
		{"911", "as-dialled", "911"}, {"9911", "", "911"}, {"112", "as-dialled", "112"}, {"911", "urn", "urn:service:sos"},
		{"911", "112", "112"}, {"112", "+12175550911", "+12175550911"},
		{"urn:service:sos", "urn", "urn:service:sos"}, {"urn:service:sos.fire", "urn", "urn:service:sos.fire"},
		{"urn:service:sos.fire", "as-dialled", "911"}, {"urn:service:sos", "+12175550911", "+12175550911"},
		{"933", "as-dialled", "933"}, {"9933", "", "933"}, {"933", "urn", "urn:service:test.sos"}, {"933", "911", "933"}, {"933", "+12175550911", "933"},
		{"urn:service:test.sos", "urn", "urn:service:test.sos"}, {"urn:service:test.sos", "as-dialled", "933"}, {"urn:service:test.sos.fire", "911", "933"},
	} {
		d := Decide(s, Policy{}, here{}, Query{From: FromUser(user(t, s, "alice")), Scheme: "sip", Target: tt.dialled})
		if got := d.NumberFor(&site.Trunk{EmergencyForm: tt.form}); d.Kind != Emergency || got != tt.want {
			t.Errorf("%s on a trunk that takes %q: %q; want %q", tt.dialled, tt.form, got, tt.want)
		}
		if got := d.NumberFor(&site.Trunk{EmergencyForm: tt.form}); d.Test && (got == "911" || got == "112" || got == "urn:service:sos") {
			t.Errorf("a test calls %s", got)
		}
	}
	// A country without a test number: the urn of tests goes out as it is, since no digits mean it.
	de := loadChanged(t, func(m map[string]any) {
		m["dial_plan"] = map[string]any{"country": "DE"}
		m["users"] = m["users"].([]any)[:7]
	})
	d := Decide(de, Policy{}, here{}, Query{Scheme: "urn", Target: "service:test.sos"})
	if got := d.NumberFor(&site.Trunk{EmergencyForm: "112"}); got != "urn:service:test.sos" {
		t.Errorf("test in Germany: %q", got)
	}
	if got := (Decision{Kind: ToTrunk, Number: "+1"}).NumberFor(&site.Trunk{EmergencyForm: "urn"}); got != "+1" {
		t.Errorf("an ordinary call: %q", got)
	}
}

func TestSiteNumbers(t *testing.T) {
	s := loadChanged(t, func(m map[string]any) {
		e := m["emergency"].(map[string]any)
		e["numbers"], e["test_numbers"] = []any{"112", "5555"}, []any{"5556"}
	})
	for _, policy := range []Policy{{}, serve, {EmergencyOnly: true}, {Serve: true, DrillUsers: map[string]bool{"bob": true}}} {
		for dialled, test := range map[string]bool{"5555": false, "95555": false, "5556": true, "95556": true, "911": false, "933": true} {
			d := Decide(s, policy, here{}, Query{Scheme: "tel", Target: dialled})
			if d.Kind != Emergency || d.Test != test {
				t.Errorf("%s: %+v, test %v", dialled, short(d), d.Test)
			}
		}
	}
}

func TestStrangers(t *testing.T) {
	q := Query{Scheme: "sip", Target: "911"}
	s := load(t)
	check(t, s, Decide(s, Policy{}, here{}, q), sosTo("911", main))
	s = loadChanged(t, func(m map[string]any) { m["emergency"].(map[string]any)["refuse_unknown_devices"] = true })
	check(t, s, Decide(s, Policy{}, here{}, q), refused(403))
	q.From = FromDevice(&s.Doc().Devices[0], nil)
	check(t, s, Decide(s, Policy{}, here{}, q), sosTo("911", main))
	q.From = FromUser(user(t, s, "bob"))
	check(t, s, Decide(s, Policy{}, here{}, q), sosTo("911", "+12175551002"))
}

// An emergency call that no trunk takes rings the security desk, with who calls, and everybody learns why.
func TestEmergencyWithoutTrunks(t *testing.T) {
	s := load(t)
	d := Decide(s, Policy{}, everybody, Query{From: FromUser(user(t, s, "alice")), Scheme: "sip", Target: "911"})
	check(t, s, d, sosTo("911", aliceDID))
	if d.Alarm != "" || d.Announce {
		t.Errorf("alarm before anything failed: %+v", d)
	}
	before := slices.Clone(d.Visited)
	d = After(d, Unreachable)
	if check(t, s, d, rings("reception", "1001")); !d.Callback || d.Alarm != AlarmNoTrunk || !d.Announce {
		t.Errorf("callback %v, alarm %q, announced %v", d.Callback, d.Alarm, d.Announce)
	}
	d = After(d, NoAnswer)
	if check(t, s, d, dials("+12175550199", aliceDID)); !d.Callback || d.Alarm != "" {
		t.Errorf("callback %v, alarm %q", d.Callback, d.Alarm)
	}
	d = After(d, Unreachable)
	if check(t, s, d, refused(480)); !d.Callback || d.Alarm != AlarmNobody || !d.Announce {
		t.Errorf("callback %v, alarm %q, announced %v", d.Callback, d.Alarm, d.Announce)
	}
	if len(before) != 1 {
		t.Errorf("visited: %v", before)
	}
}
