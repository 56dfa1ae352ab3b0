package route

import (
	"os"
	"slices"
	"testing"
	"time"

	"holdfast/sip/elin"
	"holdfast/sip/site"
)

// here is a View: the users with a phone.
type here map[string]bool

func (h here) Registered(id string) bool          { return h[id] }
func (h here) Here(who elin.Caller) bool          { return h[who.User] && who.Instance != "away" }
func (h here) Stays(who elin.Caller) bool         { return h.Here(who) && who.Instance != "udp" }
func (h here) Pinned(number string) elin.Callback { return elin.Callback{} }

var everybody = here{"reception": true, "alice": true, "bob": true, "carol": true, "dave": true, "erin": true, "room-204": true}

// load reads the branch of testdata: alice 1001, bob 1002 …, each with what the tests need.
func load(t testing.TB) *site.Site {
	t.Helper()
	data, err := os.ReadFile("testdata/branch.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := site.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func user(t testing.TB, s *site.Site, id string) *site.User {
	t.Helper()
	u, ok := s.UserByID(id)
	if !ok {
		t.Fatalf("no user %q", id)
	}
	return u
}

// brief is a Decision as the tables write it.
type brief struct {
	kind   Kind
	user   string
	number string
	caller string
	status int
}

func short(d Decision) brief {
	b := brief{kind: d.Kind, number: d.Number, caller: d.CallerID.Number, status: d.Status}
	if d.User != nil {
		b.user = d.User.ID
	}
	return b
}

var serve = Policy{Serve: true}

func rings(user, caller string) brief   { return brief{kind: ToUser, user: user, caller: caller} }
func dials(number, caller string) brief { return brief{kind: ToTrunk, number: number, caller: caller} }
func cloud(user, number, caller string) brief {
	return brief{kind: ToTrunk, user: user, number: number, caller: caller}
}
func refused(status int) brief { return brief{status: status} }
func sosTo(number, caller string) brief {
	return brief{kind: Emergency, number: number, caller: caller}
}

const (
	aliceDID = "+12175551001"
	main     = "+12175551000"
)

func TestFromPhones(t *testing.T) {
	s := load(t)
	for _, tt := range []struct {
		name   string
		from   string
		view   here
		scheme string
		target string
		host   string
		want   brief
	}{
		{"short extension", "alice", everybody, "sip", "1002", "", rings("bob", "1001")},
		{"long extension", "alice", everybody, "sip", "8011002", "", rings("bob", "1001")},
		{"cloud number", "alice", everybody, "sip", "+13125551002", "", rings("bob", "1001")},
		{"BYOC number", "alice", everybody, "sip", "+12175551002", "", rings("bob", "1001")},
		{"second BYOC number", "bob", everybody, "sip", "+12175551091", "", rings("alice", "1002")},
		{"BYOC number as dialled", "alice", everybody, "sip", "9-217-555-1002", "", rings("bob", "1001")},
		{"BYOC number as a local number", "alice", everybody, "sip", "5551002", "", rings("bob", "1001")},
		{"cloud number, national", "alice", everybody, "sip", "13125551002", "", rings("bob", "1001")},
		{"escaped", "alice", everybody, "sip", "%31002", "", rings("bob", "1001")},
		{"tel with parameters", "alice", everybody, "tel", "1002;phone-context=branch.example.com", "", rings("bob", "1001")},
		{"tel, global", "alice", everybody, "tel", "+1-217-555-1002", "", rings("bob", "1001")},
		{"sips, upper case", "alice", everybody, "SIPS", "1002", "", rings("bob", "1001")},
		{"address of record", "alice", everybody, "sip", "bob.brown", "", rings("bob", "1001")},
		{"own domain", "alice", everybody, "sip", "1002", "Branch.Example.COM", rings("bob", "1001")},
		{"old cloud domain", "alice", everybody, "sip", "1002", "old.cloud.example.com", rings("bob", "1001")},
		{"foreign domain", "alice", everybody, "sip", "1002", "example.org", refused(404)},
		{"foreign domain does not matter for tel", "alice", everybody, "tel", "+12175551002", "example.org", rings("bob", "1001")},

		{"outside, local", "alice", everybody, "sip", "5550123", "", dials("+12175550123", aliceDID)},
		{"outside, national", "alice", everybody, "sip", "3125550123", "", dials("+13125550123", aliceDID)},
		{"outside, prefix", "alice", everybody, "sip", "913125550123", "", dials("+13125550123", aliceDID)},
		{"outside, international", "alice", everybody, "sip", "9011442079460000", "", dials("+442079460000", aliceDID)},
		{"outside, E.164", "alice", everybody, "sip", "+442079460000", "", dials("+442079460000", aliceDID)},
		{"outside, no BYOC number", "carol", everybody, "sip", "+442079460000", "", dials("+442079460000", main)},
		{"an ELIN is a number like others", "alice", everybody, "sip", "+12175559000", "", dials("+12175559000", aliceDID)},

		{"not registered: the cloud number", "alice", here{}, "sip", "1002", "", cloud("bob", "+13125551002", aliceDID)},
		{"not registered, long extension", "alice", here{}, "sip", "8011002", "", cloud("bob", "+13125551002", aliceDID)},
		{"not registered, BYOC number: still the cloud", "alice", here{}, "sip", "+12175551002", "", cloud("bob", "+13125551002", aliceDID)},
		{"not registered, no cloud number: unreachable target", "alice", here{"reception": true}, "sip", "1204", "", rings("reception", "1001")},
		{"not registered, nor the target: its cloud number", "alice", here{}, "sip", "1204", "", cloud("reception", "+13125551100", aliceDID)},
		{"not registered, no cloud number: no answer target", "alice", here{"bob": true}, "sip", "1005", "", rings("bob", "1001")},
		{"not registered, nothing else", "alice", here{}, "sip", "1006", "", refused(480)},

		{"do not disturb", "alice", everybody, "sip", "1004", "", refused(486)},
		{"forward always, outside", "alice", everybody, "sip", "1003", "", dials("+12175550133", aliceDID)},

		{"too short", "alice", everybody, "sip", "217555", "", refused(484)},
		{"empty", "alice", everybody, "sip", "", "", refused(484)},
		{"external prefix only", "alice", everybody, "sip", "9", "", refused(484)},
		{"no extension", "alice", everybody, "sip", "1999", "", refused(484)},
		{"too long", "alice", everybody, "sip", "121755510011", "", refused(404)},
		{"a name", "alice", everybody, "sip", "mallory", "", refused(404)},
		{"a star code", "alice", everybody, "sip", "*97", "", refused(404)},
		{"half an escape", "alice", everybody, "sip", "10%0", "", refused(404)},
		{"http", "alice", everybody, "http", "1002", "", refused(416)},
		{"no scheme", "alice", everybody, "", "1002", "", refused(416)},
		{"another service", "alice", everybody, "urn", "service:counseling", "", refused(404)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := Decide(s, serve, tt.view, Query{From: FromUser(user(t, s, tt.from)), Scheme: tt.scheme, Target: tt.target, Host: tt.host})
			check(t, s, d, tt.want)
		})
	}
}

// check compares a decision and what holds for every decision.
func check(t *testing.T, s *site.Site, d Decision, want brief) {
	t.Helper()
	if got := short(d); got != want {
		t.Errorf("got  %v %+v\nwant %v %+v", got.kind, got, want.kind, want)
	}
	if (d.Kind == Reject) != (d.Status >= 400 && d.Reason != "") {
		t.Errorf("%v with status %d %q", d.Kind, d.Status, d.Reason)
	}
	if onTrunk := d.Kind == ToTrunk || d.Kind == Emergency; onTrunk != (len(d.Trunks) > 0) || onTrunk && !slices.Equal(d.Trunks, s.Trunks()) {
		t.Errorf("%v with trunks %v", d.Kind, d.Trunks)
	}
	if (d.Kind == ToUser || d.Kind == ToTrunk && d.Callback) != (d.RingFor > 0) {
		t.Errorf("%v rings for %v", d.Kind, d.RingFor)
	}
}

func TestFromTrunk(t *testing.T) {
	s := load(t)
	const pstn = "+12125550100"
	for _, tt := range []struct {
		name   string
		view   here
		target string
		want   brief
	}{
		{"BYOC number", everybody, "+12175551002", rings("bob", pstn)},
		{"BYOC number without plus", everybody, "12175551002", rings("bob", pstn)},
		{"BYOC number, national", everybody, "2175551002", rings("bob", pstn)},
		{"cloud number", everybody, "+13125551002", rings("bob", pstn)},
		{"extension", everybody, "1002", refused(404)},
		{"long extension", everybody, "8011002", refused(404)},
		{"user name", everybody, "bob.brown", refused(404)},
		{"nobody's number", everybody, "+12175551999", refused(404)},
		{"the world", everybody, "+442079460000", refused(404)},
		{"an emergency number", everybody, "911", refused(404)},
		{"an emergency number with prefix", everybody, "9911", refused(404)},
		{"empty", everybody, "", refused(404)},
		{"not registered: never back to the cloud", here{}, "+12175551100", refused(480)},
		{"not registered: along two forwards", here{}, "+12175551002", dials("+12175550111", aliceDID)},
		{"not registered: by the user's forward", here{}, "+12175551007", dials("+12175550177", "+12175551007")},
		{"forward always outside: as the user", everybody, "+13125551003", dials("+12175550133", main)},
		{"do not disturb", everybody, "+12175551004", refused(486)},
		{"no answer is not looked at yet", everybody, "+12175551001", rings("alice", pstn)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := Query{From: FromTrunk(s.Trunks()[0]), Scheme: "sip", Target: tt.target, Caller: CallerID{Number: pstn, Name: "Pat"}}
			check(t, s, Decide(s, serve, tt.view, q), tt.want)
		})
	}
}

func TestPolicy(t *testing.T) {
	s := load(t)
	drill := Policy{Serve: true, DrillUsers: map[string]bool{"alice": true}}
	for _, tt := range []struct {
		name   string
		policy Policy
		from   string // user ID, "trunk", "device" or "unknown"
		target string
		want   brief
	}{
		{"normal, phone", Policy{}, "alice", "1002", refused(503)},
		{"normal, phone, unknown number", Policy{}, "alice", "*97", refused(503)},
		{"normal, device", Policy{}, "device", "1002", refused(503)},
		{"normal, trunk", Policy{}, "trunk", "+12175551002", refused(480)},
		{"normal, trunk, unknown number", Policy{}, "trunk", "+12175551999", refused(480)},
		{"emergency only, phone", Policy{Serve: true, EmergencyOnly: true}, "alice", "1002", refused(503)},
		{"emergency only, trunk", Policy{Serve: true, EmergencyOnly: true}, "trunk", "+12175551002", refused(480)},
		{"drill, in it", drill, "alice", "1002", rings("bob", "1001")},
		{"drill, not in it", drill, "bob", "1001", refused(503)},
		{"drill, device", drill, "device", "1001", refused(503)},
		{"drill, trunk, in it", drill, "trunk", "+12175551001", rings("alice", "")},
		{"drill, trunk, not in it", drill, "trunk", "+12175551002", refused(480)},
		{"drill, trunk, unknown number", drill, "trunk", "+12175551999", refused(404)},
		{"drill without a list is for nobody", Policy{Serve: true, DrillUsers: map[string]bool{}}, "alice", "1002", refused(503)},
		{"unknown device", serve, "unknown", "1002", refused(403)},
		{"device, inside", serve, "device", "1002", rings("bob", main)},
		{"device, outside", serve, "device", "+442079460000", dials("+442079460000", main)},

		{"normal, emergency", Policy{}, "alice", "911", sosTo("911", aliceDID)},
		{"emergency only, emergency", Policy{EmergencyOnly: true}, "alice", "9911", sosTo("911", aliceDID)},
		{"drill, emergency", drill, "bob", "9-911", sosTo("911", "+12175551002")},
		{"unknown device, emergency", Policy{}, "unknown", "911", sosTo("911", main)},
		{"device, emergency", Policy{}, "device", "911", sosTo("911", main)},
		{"forwarded phone, emergency", Policy{}, "carol", "911", sosTo("911", main)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var from Origin
			switch tt.from {
			case "unknown":
			case "trunk":
				from = FromTrunk(s.Trunks()[0])
			case "device":
				from = FromDevice(&s.Doc().Devices[0], nil)
			default:
				from = FromUser(user(t, s, tt.from))
			}
			check(t, s, Decide(s, tt.policy, everybody, Query{From: from, Scheme: "sip", Target: tt.target}), tt.want)
		})
	}
}

func TestPrivacyAndNames(t *testing.T) {
	s := load(t)
	alice := FromUser(user(t, s, "alice"))
	for _, tt := range []struct {
		name string
		q    Query
		want CallerID
	}{
		{"inside", Query{From: alice, Scheme: "sip", Target: "1002"}, CallerID{"1001", "Alice Abbott", false}},
		{"inside, private", Query{From: alice, Scheme: "sip", Target: "1002", Privacy: true}, CallerID{"1001", "Alice Abbott", true}},
		{"outside", Query{From: alice, Scheme: "sip", Target: "+442079460000"}, CallerID{aliceDID, "Alice Abbott", false}},
		{"outside, private", Query{From: alice, Scheme: "sip", Target: "+442079460000", Privacy: true}, CallerID{aliceDID, "Alice Abbott", true}},
		{"a caller that is only claimed does not count", Query{From: alice, Scheme: "sip", Target: "+442079460000", Caller: CallerID{Number: "+1"}},
			CallerID{aliceDID, "Alice Abbott", false}},
		{"from the trunk, private", Query{From: FromTrunk(s.Trunks()[0]), Scheme: "sip", Target: aliceDID, Caller: CallerID{"+12125550100", "Pat", true}},
			CallerID{"+12125550100", "Pat", true}},
	} {
		if got := Decide(s, serve, everybody, tt.q).CallerID; got != tt.want {
			t.Errorf("%s: %+v; want %+v", tt.name, got, tt.want)
		}
	}
}

func TestRingFor(t *testing.T) {
	s := load(t)
	for id, want := range map[string]time.Duration{"alice": 20 * time.Second, "bob": 30 * time.Second} {
		d := Decide(s, serve, everybody, Query{From: FromUser(user(t, s, "erin")), Scheme: "sip", Target: user(t, s, id).Extension})
		if d.RingFor != want {
			t.Errorf("%s rings for %v", id, d.RingFor)
		}
	}
}

func TestNoTrunk(t *testing.T) {
	data, err := os.ReadFile("testdata/island.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := site.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	a := FromUser(user(t, s, "a"))
	for target, want := range map[string]brief{
		"2": refused(480), "+442079460000": refused(480), "911": {kind: Emergency, number: "911", caller: main},
	} {
		if got := short(Decide(s, serve, here{}, Query{From: a, Scheme: "sip", Target: target})); got != want {
			t.Errorf("%s: %+v; want %+v", target, got, want)
		}
	}
}
