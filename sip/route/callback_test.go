package route

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/sip/elin"
	"holdfast/sip/site"
)

var noon = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

// branch is a View with a real pin table behind it.
type branch struct {
	here
	pins *elin.Table
	now  time.Time
}

func (b branch) Pinned(number string) elin.Callback { return b.pins.Callback(b.now, number) }

// pinnedTo is a branch in which callers are pinned to numbers: "number user[/phone]", the last one called last.
func pinnedTo(s *site.Site, view here, pins ...string) branch {
	b := branch{view, elin.New(elin.Options{}), noon}
	for i, p := range pins {
		number, caller, _ := strings.Cut(p, " ")
		at := elin.Place{Trunk: "a", ELINs: []string{number}}
		if number == main {
			at = elin.Place{Trunk: "a", Main: main}
		}
		c := elin.Caller{CallID: fmt.Sprint(i)}
		c.User, c.Instance, _ = strings.Cut(caller, "/")
		if c.User == "" {
			c.Device, c.Instance = c.Instance, ""
		}
		b.pins.Pin(noon.Add(time.Duration(i)*time.Second-time.Minute), at, c)
	}
	return b
}

// together writes what rings at once: "alice=phone" only that one, "alice-phone" all but it, "=door" nobody's, "+1…".
func together(d Decision) string {
	if d.Kind == Reject {
		return fmt.Sprint(d.Status)
	}
	targets := d.Targets
	if targets == nil {
		targets = []Target{{User: d.User, Number: d.Number, CallerID: d.CallerID}}
	}
	var out []string
	for _, t := range targets {
		name := t.Number
		if t.User != nil {
			name = t.User.ID
		}
		if t.Only != nil {
			name += "=" + t.Only.Instance + t.Only.Device
		}
		if t.But != nil {
			name += "-" + t.But.Instance
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

func TestCallback(t *testing.T) {
	s := load(t)
	const (
		roomELIN = "+12175559204"
		siteELIN = "+12175559000"
		lostELIN = "+12175559555" // the document knows it no more
		outside  = "+12175550199"
		psap     = "+12175550911"
	)
	frank := everybody.and("frank")
	for _, tt := range []struct {
		name   string
		view   here
		pins   []string
		target string
		marked bool
		want   []string // first, and then after each one fails
	}{
		{"the caller's phone, the others, the desk, outside", frank, []string{siteELIN + " alice/desk"}, siteELIN, false,
			[]string{"alice=desk", "alice-desk", "reception", "frank", outside, "480"}},
		{"a phone that cannot be told from the user's others", everybody, []string{siteELIN + " alice"}, siteELIN, false,
			[]string{"alice", "reception", outside, "480"}},
		{"do not disturb", everybody, []string{siteELIN + " dave/x"}, siteELIN, false, []string{"dave=x", "dave-x", "reception"}},
		{"forwarded always", everybody, []string{siteELIN + " carol/x"}, siteELIN, false, []string{"carol=x", "carol-x", "reception"}},
		{"nobody's phone", everybody, []string{siteELIN + " /door"}, siteELIN, false, []string{"=door", "reception", outside, "480"}},
		{"a user who is gone from the document", everybody, []string{siteELIN + " zoe/x"}, siteELIN, false, []string{"=x", "reception"}},
		{"a user who is gone, no phone known", everybody, []string{siteELIN + " zoe"}, siteELIN, false, []string{"reception"}},
		{"the caller's phones are gone", here{"reception": true}, []string{siteELIN + " alice/x"}, siteELIN, false, []string{"reception", outside, "480"}},
		{"everything is gone", here{}, []string{siteELIN + " alice/x"}, siteELIN, false, []string{outside, "480"}},
		{"somebody else's own ELIN", everybody, []string{roomELIN + " alice/x"}, roomELIN, false, []string{"alice=x", "alice-x", "reception"}},
		{"the caller is the desk", frank, []string{siteELIN + " reception/x"}, siteELIN, false, []string{"reception=x", "reception-x", "frank", outside, "480"}},
		{"as carriers write it", everybody, []string{siteELIN + " alice/x"}, "12175559000", false, []string{"alice=x"}},
		{"in ten digits", everybody, []string{siteELIN + " alice/x"}, "2175559000", false, []string{"alice=x"}},
		{"escaped, with parameters", everybody, []string{siteELIN + " alice/x"}, "%2B12175559000;npdi", false, []string{"alice=x"}},
		{"as people write it", everybody, []string{siteELIN + " alice/x"}, "+1-217-555-9000", false, []string{"alice=x"}},
		{"a number that the document has lost, in ten digits", everybody, []string{lostELIN + " alice/x"}, lostELIN[2:], false, []string{"alice=x"}},
		{"shared: all callers and the desk at once", frank, []string{siteELIN + " alice/x", siteELIN + " bob/y"}, siteELIN, false,
			[]string{"bob=y alice=x reception", "bob-y alice-x", "frank", outside, "480"}},
		{"shared: of the desk only outside is left", here{"alice": true, "bob": true}, []string{siteELIN + " alice/x", siteELIN + " bob/y"}, siteELIN, false,
			[]string{"bob=y alice=x bob-y alice-x " + outside, "480"}},
		{"shared: the desk is one of them", frank, []string{siteELIN + " alice/x", siteELIN + " reception/y"}, siteELIN, false,
			[]string{"reception=y alice=x frank", "reception-y alice-x", outside, "480"}},
		{"shared: both are gone", here{}, []string{siteELIN + " alice/x", siteELIN + " bob/y"}, siteELIN, false, []string{outside, "480"}},
		{"no pin: the desk", everybody, nil, siteELIN, false, []string{"reception", outside, "480"}},
		{"no pin, a user's ELIN: the desk and the user at once", everybody, nil, roomELIN, false, []string{"room-204 reception", outside, "480"}},
		{"no pin, a user's ELIN, whose phone is gone", here{"reception": true}, nil, roomELIN, false, []string{"reception", outside, "480"}},
		{"no pin, no phone", here{}, nil, roomELIN, false, []string{outside, "480"}},
		{"the document has lost the ELIN", everybody, []string{lostELIN + " alice/x"}, lostELIN, false, []string{"alice=x", "alice-x", "reception"}},
		{"no ELIN: marked calls to the main number", everybody, []string{main + " alice/x"}, main, true, []string{"alice=x", "alice-x", "reception"}},
		{"marked, no pin", everybody, nil, main, true, []string{"reception", outside, "480"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := Query{From: FromTrunk(s.Trunks()[1]), Scheme: "sip", Target: tt.target, Host: "example.org",
				Caller: CallerID{Number: psap}, PSAPCallback: tt.marked, Visited: []string{"alice", "bob"}[:len(tt.pins)%2]}
			for _, policy := range []Policy{{}, serve, {Serve: true, EmergencyOnly: true}, {Serve: true, DrillUsers: map[string]bool{}}} {
				d := Decide(s, policy, pinnedTo(s, tt.view, tt.pins...), q)
				for i, want := range tt.want {
					if got := together(d); got != want {
						t.Fatalf("step %d: %q; want %q", i, got, want)
					}
					checkCallback(t, s, d, psap)
					d = After(d, Outcome(i%4))
				}
			}
		})
	}
}

// checkCallback checks what holds for every step.
func checkCallback(t *testing.T, s *site.Site, d Decision, psap string) {
	t.Helper()
	if !d.Callback || d.Status == 404 {
		t.Errorf("no callback: %+v", short(d))
	}
	if end := d.Kind == Reject; end != (d.Alarm == AlarmNobody) || end != d.Announce {
		t.Errorf("%v with alarm %q, announced %v", d.Kind, d.Alarm, d.Announce)
	}
	outside := d.Kind == ToTrunk
	for _, x := range d.Targets {
		want := psap
		if x.Number != "" {
			outside, want = true, main
		}
		if x.CallerID.Number != want {
			t.Errorf("%+v sees %q", x, x.CallerID.Number)
		}
	}
	if outside != slices.Equal(d.Trunks, s.Trunks()) {
		t.Errorf("trunks: %v", d.Trunks)
	}
	switch last := len(d.desk) == 0 && d.step == deskNext; {
	case (d.Kind == Reject) != (d.RingFor == 0),
		outside && last != (d.RingFor == 3*time.Minute),
		outside && !last != (d.RingFor == time.Minute),
		!outside && d.RingFor > time.Minute:
		t.Errorf("%+v rings for %v", short(d), d.RingFor)
	}
	if len(d.Targets) > 0 && (d.User != d.Targets[0].User || d.Number != d.Targets[0].Number) {
		t.Errorf("the first target is not the decision's: %+v", short(d))
	}
}

func TestWhatIsNoCallback(t *testing.T) {
	s := load(t)
	view := pinnedTo(s, everybody, "+12175559204 alice/x", main+" alice/x")
	trunk := FromTrunk(s.Trunks()[0])
	for _, tt := range []struct {
		name string
		q    Query
		want int
	}{
		{"a phone that calls an ELIN", Query{From: FromUser(user(t, s, "alice")), Target: "+12175559204"}, 503},
		{"a phone that says it is the PSAP", Query{From: FromUser(user(t, s, "alice")), Target: "1002", PSAPCallback: true}, 503},
		{"a stranger that says it is the PSAP", Query{Target: "1002", PSAPCallback: true}, 403},
		{"an unmarked call to the main number, though somebody called for help under it", Query{From: trunk, Target: main}, 480},
		{"marked, a user's number", Query{From: trunk, Target: "+12175551004", PSAPCallback: true}, 480},
		{"marked, nobody's number", Query{From: trunk, Target: "+12175551999", PSAPCallback: true}, 480},
		{"marked, nonsense", Query{From: trunk, Target: "anonymous", PSAPCallback: true}, 480},
		{"a number of nobody", Query{From: trunk, Target: "+12175551999"}, 480},
	} {
		tt.q.Scheme = "sip"
		d := Decide(s, Policy{}, view, tt.q)
		if d.Callback || d.Status != tt.want || d.Alarm != "" || d.Announce {
			t.Errorf("%s: %+v, callback %v", tt.name, short(d), d.Callback)
		}
	}
}

// Two hours after the end of the call the pin is gone, and the security desk is there.
func TestCallbackAndTheWindow(t *testing.T) {
	s := load(t)
	view := pinnedTo(s, everybody, "+12175559000 alice/x")
	view.pins.Ended(noon, "0")
	q := Query{From: FromTrunk(s.Trunks()[0]), Scheme: "sip", Target: "+12175559000"}
	for after, want := range map[time.Duration]string{
		119 * time.Minute: "alice=x", 121 * time.Minute: "reception",
	} {
		view.now = noon.Add(after)
		if got := together(Decide(s, Policy{}, view, q)); got != want {
			t.Errorf("after %v: %q; want %q", after, got, want)
		}
	}
}

// A full table cannot say who called: callbacks ring whom it knows and the desk.
func TestCallbackWithAFullTable(t *testing.T) {
	s := load(t)
	view := branch{everybody, elin.New(elin.Options{Max: 1}), noon}
	for i, u := range []string{"alice", "bob"} {
		view.pins.Pin(noon, elin.Place{ELINs: []string{"+12175559000"}}, elin.Caller{User: u, CallID: fmt.Sprint(i)})
	}
	d := Decide(s, Policy{}, view, Query{From: FromTrunk(s.Trunks()[0]), Scheme: "sip", Target: "+12175559000"})
	if got := together(d); got != "alice reception" {
		t.Errorf("%q", got)
	}
}

func TestDeskOfASiteWithoutOne(t *testing.T) {
	s := loadChanged(t, func(m map[string]any) {
		m["emergency"].(map[string]any)["security_desk"] = nil
		delete(m["emergency"].(map[string]any), "security_desk")
		m["users"].([]any)[0].(map[string]any)["byoc_numbers"] = []any{"+12175551100", main}
	})
	d := Decide(s, Policy{}, everybody, Query{From: FromTrunk(s.Trunks()[0]), Scheme: "sip", Target: "+12175559000"})
	if got := together(d); got != "reception" {
		t.Errorf("%q", got)
	}
}

// However many share an ELIN: the most recent of them ring, and the desk.
func TestCallbackToVeryMany(t *testing.T) {
	s := load(t)
	var pins []string
	for i := range 500 {
		pins = append(pins, fmt.Sprintf("+12175559000 /%d", i))
	}
	d := Decide(s, Policy{}, pinnedTo(s, everybody, pins...), Query{From: FromTrunk(s.Trunks()[0]), Scheme: "sip", Target: "+12175559000"})
	if n := len(d.Targets); n != maxTogether+1 || d.Targets[0].Only.Device != "499" || d.Targets[n-1].User.ID != "reception" {
		t.Errorf("%d targets: %s", n, together(d))
	}
}

// TestAtDesk: who is on the security desk list, in whatever form the list has it.
func TestAtDesk(t *testing.T) {
	s := load(t)
	for _, tt := range []struct {
		user, number string
		want         bool
	}{
		{"reception", "", true}, {"frank", "", true}, {"alice", "", false}, {"", "+12175550199", true}, {"", "+12175550000", false}, {"", "", false},
	} {
		var u *site.User
		if tt.user != "" {
			u = user(t, s, tt.user)
		}
		if got := AtDesk(s, u, tt.number); got != tt.want {
			t.Errorf("%s%s: %v", tt.user, tt.number, got)
		}
	}
	none := loadChanged(t, func(m map[string]any) {
		delete(m["emergency"].(map[string]any), "security_desk")
		m["site"].(map[string]any)["main_number"] = "+12175551100"
	})
	if u, ok := none.Lookup(none.Doc().Site.MainNumber); !ok || AtDesk(none, u, "") {
		t.Errorf("who answers the main number of a site without a desk: %v, %v", u, ok)
	}
}
