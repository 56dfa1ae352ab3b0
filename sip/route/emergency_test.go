package route

import "testing"

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

