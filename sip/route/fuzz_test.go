package route

import (
	"strings"
	"testing"

	"holdfast/sip/number"
)

func FuzzDecide(f *testing.F) {
	s := load(f)
	for _, target := range []string{"911", "9911", "1001", "+12175551001", "%39", "%zz", "", ";", "urn:service:sos", "alice", "２", "9-1-1", "\x00"} {
		for i := range byte(8) {
			f.Add("sip", target, "branch.example.com", i, i)
		}
	}
	f.Fuzz(func(t *testing.T, scheme, target, host string, origin, bits byte) {
		q := Query{Scheme: scheme, Target: target, Host: host, Privacy: bits&1 != 0}
		switch origin % 4 {
		case 0:
			q.From = FromUser(&s.Doc().Users[int(origin/4)%len(s.Doc().Users)])
		case 1:
			q.From = FromTrunk(s.Trunks()[0])
		case 2:
			q.From = FromDevice(&s.Doc().Devices[0], nil)
		}
		p := Policy{Serve: bits&2 != 0, EmergencyOnly: bits&4 != 0}
		var view View = here{}
		if bits&8 != 0 {
			p.DrillUsers = map[string]bool{"alice": true}
		}
		if bits&16 != 0 {
			view = everybody
		}
		if origin&64 != 0 {
			view = pinnedTo(s, everybody, "+12175559000 alice/x", "+12175559000 bob/y", "+12175559204 /door", main+" carol")
		}
		q.PSAPCallback = origin&128 != 0
		d := Decide(s, p, view, q)
		if q.PSAPCallback && q.From.Trunk != nil && d.Status == 404 {
			t.Fatalf("a callback ends with %d", d.Status)
		}
		for i := 0; d.Kind != Reject; i++ {
			if i > 10 {
				t.Fatalf("goes on for ever: %v", d.Visited)
			}
			if d.Kind == ToTrunk && !number.IsE164(d.Number) {
				t.Fatalf("%q goes to the trunk as %q", target, d.Number)
			}
			if d.Kind != Emergency && !d.Callback && !p.Serve {
				t.Fatalf("served though nobody is: %+v", short(d))
			}
			d = After(d, Outcome(int(bits>>5)%4))
		}
		if d.Status < 400 || d.Status > 699 || d.Reason == "" {
			t.Fatalf("ends with %d %q", d.Status, d.Reason)
		}

		// Whatever else the fuzzer chose: an emergency number with anything visual round it is an emergency.
		if q.From.Trunk != nil {
			return
		}
		q.Target = "9" + separators(target) + "9" + separators(host) + "11"
		if d := Decide(s, p, view, q); d.Kind != Emergency || d.Number != "911" || d.CallerID.Private {
			t.Fatalf("%q is %+v", q.Target, short(d))
		}
	})
}

// separators keeps what of s is a visual separator, at most 20.
func separators(s string) string {
	keep := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -.()", r) {
			return r
		}
		return -1
	}, s)
	return keep[:min(len(keep), 20)]
}
