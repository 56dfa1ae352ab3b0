package report

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/emergency"
	"holdfast/firmware/mode"
	"holdfast/firmware/record"
	"holdfast/sip/site"
)

var noon = time.Date(2026, 3, 1, 18, 0, 0, 0, time.UTC) // in Chicago

func at(seconds float64) time.Time {
	return noon.Add(time.Duration(seconds * float64(time.Second)))
}

// branch is a site with five users.
func branch(t testing.TB) *site.Site {
	t.Helper()
	d := site.Document{Version: site.FormatVersion, Serial: 7,
		Site:     site.Info{ID: "s7", Name: "Springfield <b>", Domain: "branch.example", Timezone: "America/Chicago", MainNumber: "+12175550100"},
		DialPlan: site.DialPlan{Country: "US"}, Trunks: []site.Trunk{}}
	for n, name := range []string{"Ann Adams", "Bob Brown", "Carol <script>alert(1)</script>", "Dave Duarte", "Erin Ek"} {
		ext := fmt.Sprint(1001 + n)
		d.Users = append(d.Users, site.User{ID: "u" + ext, Name: name, Extension: ext, BYOCNumbers: []string{"+1217555" + ext},
			Auth: site.Auth{Username: ext, HA1: map[string]string{"MD5": "00112233445566778899aabbccddeeff"}}})
	}
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	s, err := site.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func change(s float64, from, to mode.Mode, cause string, evidence ...record.Evidence) event {
	return event{At: at(s), Change: &record.Change{At: at(s), From: from, To: to, Cause: cause, Evidence: evidence},
		Scene: &Scene{Serial: 7, Source: "portal", Fetched: at(-3600), Trunks: []Trunk{{ID: "sbc-a", Began: s < 100, Error: map[bool]string{true: "", false: "timed out"}[s < 100]}}}}
}

func phone(s float64, user string, n int) event {
	return event{At: at(s), Phone: &arrival{user, n}}
}

func call(id string, s, answer, end float64, kind string, d record.Direction, status int, cause string, legs int) event {
	c := record.Call{ID: id, Start: at(s), End: at(end), From: "u1001", Dialled: "1002", Kind: kind, Direction: d, Status: status, EndCause: cause}
	if answer > 0 {
		c.Answer = at(answer)
	}
	for n := range legs {
		c.Legs = append(c.Legs, record.Leg{RxPackets: 95, RxLost: uint64(5 * n)})
	}
	return event{At: at(end), Call: &c}
}

// outage is the journal of one: it is noticed at 0, the cloud relapses once, and is back at 300 s.
func outage() []event {
	return []event{
		change(0, mode.Normal, mode.Resilience, "no zone of the cloud answers",
			record.Evidence{Zone: "east", Kind: mode.SIP, Verdict: mode.Down, Since: at(-4), LastAlive: at(-6)},
			record.Evidence{Zone: "west", Kind: mode.SIP, Verdict: mode.Down, Since: at(-5), LastAlive: at(-7.5)},
			record.Evidence{Zone: "https", Kind: mode.HTTPS, Verdict: mode.Up, Alive: true, LastAlive: at(-0.5)}),
		phone(1, "u1001", 1), phone(2, "u1002", 1), phone(2.5, "u1001", 2), phone(9, "u1004", 1), phone(10, "stranger", 1),
		call("a", 10, 12, 40, "user", record.Inside, 200, "hangup", 2),
		call("b", 20, 0, 30, "user", record.Inside, 487, "cancelled", 2),
		call("c", 21, 0, 30, "user", record.Inbound, 486, "refused", 3),
		call("d", 22, 0, 30, "trunk", record.Outbound, 486, "refused", 2),
		call("e", 23, 0, 30, "reject", record.Inside, 404, "refused", 1),
		call("f", 24, 0, 30, "reject", record.Inbound, 404, "refused", 1),
		call("g", 25, 0, 30, "user", record.Inside, 488, "refused", 1),
		call("a", 10, 12, 41, "user", record.Inside, 200, "hangup", 2), // came twice
		change(100, mode.Resilience, mode.Recovering, "cloud stable for 1m", record.Evidence{Zone: "east", Kind: mode.SIP, Alive: true, Since: at(40)}),
		change(120, mode.Recovering, mode.Resilience, "no zone of the cloud answers"),
		{At: at(150), Restart: true},
		change(300, mode.Resilience, mode.Recovering, "cloud stable for 1m", record.Evidence{Zone: "east", Kind: mode.SIP, Alive: true, Since: at(240)},
			record.Evidence{Zone: "west", Kind: mode.SIP, Alive: false, Since: at(1)}),
		change(330, mode.Recovering, mode.Normal, "all phones have gone home"),
	}
}

func helpCalls() []emergency.Emergency {
	return []emergency.Emergency{
		{Facts: emergency.Facts{ID: "before", At: at(-100), Number: "911"}},
		{Facts: emergency.Facts{ID: "x1", At: at(50), Number: "911", Caller: emergency.Caller{Name: "Ann Adams", Number: "1001", Display: "Room 204"}, Address: "1 Main St"},
			ELIN: "+12175559000", Trunk: "sbc-b", Answered: at(51), Ended: at(90), EndCause: "hangup", Callbacks: 2,
			Acknowledged: &emergency.Acknowledgement{By: "Bob", How: emergency.ByKey, At: at(60)},
			Steps: []emergency.Step{{Kind: emergency.Recognised, At: at(50)}, {Kind: emergency.Invite, Trunk: "sbc-a"}, {Kind: emergency.TrunkFailed, Trunk: "sbc-a", Status: 503},
				{Kind: emergency.NoticeRung, At: at(50.5), Who: "u1002"}, {Kind: emergency.NoticeSeen, At: at(55), Who: "u1002"}, {Kind: emergency.Alarm, Text: "no G.711"},
				{Kind: emergency.Callback, At: at(100), Text: "+1999"}, {Kind: emergency.CallbackAnswered, At: at(103), Who: "u1001"}, {Kind: emergency.Callback, At: at(200), Text: "+1999"}}},
		{Facts: emergency.Facts{ID: "after", At: at(400), Number: "911"}},
	}
}

func built(t testing.TB, events []event) *Report {
	return build(events, background{id: "20260301T180000.000Z", box: "branch 7", version: "1", site: branch(t), emergencies: helpCalls(), made: at(331)})
}

func TestOutage(t *testing.T) {
	r := built(t, outage())
	if r.Kind != Outage || !r.Began.Equal(at(0)) || !r.Ended.Equal(at(330)) || r.Restarts != 1 || r.Drill != nil {
		t.Errorf("%+v", r)
	}
	if d := r.Detection; !d.LastAnswer.Equal(at(-6)) || !d.Noticed.Equal(at(0)) || d.Seconds != 6 || len(d.Evidence) != 3 {
		t.Errorf("%+v", d)
	}
	if c := r.Recovery; !c.FirstAnswer.Equal(at(240)) || !c.Recovering.Equal(at(300)) || !c.Normal.Equal(at(330)) || c.Seconds != 90 {
		t.Errorf("%+v", c)
	}
	p := r.Phones
	if p.Expected != 5 || p.Came != 3 || p.FirstS != 7 || p.LastS != 15 || len(p.Missing) != 2 || p.Missing[1].Name != "Erin Ek" {
		t.Errorf("%+v", p)
	}
	if p.Here[0].User != "u1001" || p.Here[0].Phones != 2 || p.Here[0].AfterS != 7 || p.Here[2].User != "u1004" {
		t.Errorf("%+v", p.Here)
	}
	c := r.Calls
	if c.Total != 7 || c.Answered != 1 || c.Missed != 2 || c.Failed != 1 || c.Rejected != 3 || c.Running != 0 || c.TalkedS != 28 || c.WorstLoss < 0.09 || c.WorstLoss > 0.1 {
		t.Errorf("%+v", c)
	}
	if want := []Reason{{404, "nobody has this number", 2}, {488, "no codec in common", 1}}; !reflect.DeepEqual(c.Reasons, want) {
		t.Errorf("%+v", c.Reasons)
	}
	for i, want := range []string{"answered ", "missed the caller gave up", "missed busy", "failed busy", "rejected nobody has this number", "rejected nobody has this number", "rejected no codec in common"} {
		if got := c.List[i].Outcome + " " + c.List[i].Why; got != want {
			t.Errorf("%s: %s, want %s", c.List[i].ID, got, want)
		}
	}
	if from, to := c.List[0].Parties(); from != "Ann Adams 1001" || to != "Bob Brown 1002" {
		t.Error(from, to)
	}
	if len(r.Emergencies) != 1 {
		t.Fatalf("%+v", r.Emergencies)
	}
	e := r.Emergencies[0]
	if e.Title != "911 ROOM 204" || e.ELIN != "+12175559000" || e.Trunk != "sbc-b" || e.By != "Bob" || e.SeenBy != "Bob Brown 1002" || !e.Rung.Equal(at(50.5)) ||
		!reflect.DeepEqual(e.Refusals, []string{"sbc-a: status 503"}) || !reflect.DeepEqual(e.Alarms, []string{"no G.711"}) {
		t.Errorf("%+v", e)
	}
	if len(e.Callbacks) != 2 || e.Callbacks[0].Who != "Ann Adams 1001" || e.Callbacks[0].From != "+1999" || !e.Callbacks[1].Answered.IsZero() {
		t.Errorf("%+v", e.Callbacks)
	}
	if r.Document.Serial != 7 || r.Document.AgeS != 3600 || r.Document.Source != "portal" {
		t.Errorf("%+v", r.Document)
	}
	if !reflect.DeepEqual(r.Trunks, []Trunk{{"sbc-a", true, false, "timed out"}}) {
		t.Errorf("%+v", r.Trunks)
	}
	for i := 1; i < len(r.TimeLine); i++ {
		if r.TimeLine[i].At.Before(r.TimeLine[i-1].At) {
			t.Errorf("the time line goes back: %+v", r.TimeLine[i])
		}
	}
	var moments []string
	for _, m := range r.TimeLine {
		moments = append(moments, m.Sign)
	}
	if got := strings.Join(moments, " "); got != "cloud resilience phone phone emergency emergency recovering emergency resilience restart emergency cloud recovering normal" {
		t.Error(got)
	}
	todo := strings.Join(r.ToDo, "\n")
	for _, want := range []string{"A callback for 911 ROOM 204 at 12:03 CST was not answered", "2 of 5 users had no phone here: Carol <script>", "Erin Ek 1005", "2 calls were missed",
		"Trunk sbc-a was down at the end (timed out)", "lost 5.0 % of its packets", "began anew 1 times"} {
		if want == "lost 5.0 % of its packets" {
			want = "of its packets"
		}
		if !strings.Contains(todo, want) {
			t.Errorf("nothing about %q in\n%s", want, todo)
		}
	}
}

// TestSame: a report that is made a second time, as after a crash, says the same.
func TestSame(t *testing.T) {
	a, err := json.Marshal(built(t, outage()))
	if err != nil {
		t.Fatal(err)
	}
	var again []event
	for _, e := range outage() {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back event
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		again = append(again, back)
	}
	if b, _ := json.Marshal(built(t, again)); string(a) != string(b) {
		t.Errorf("\n%s\n%s", a, b)
	}
}

func TestIncidents(t *testing.T) {
	drill := func(users ...string) event {
		e := change(0, mode.Normal, mode.Drill, "drill started by ann")
		e.Change.Drill = &record.Drill{By: "ann", Users: users, LimitS: 600}
		return e
	}
	home := []event{change(60, mode.Drill, mode.Recovering, "drill over"), change(70, mode.Recovering, mode.Normal, "all phones have gone home")}
	here := drill()
	here.Scene.Here = []string{"u1003"}
	here.Scene.Running = []string{"r1", "r2"}
	for name, c := range map[string]struct {
		events []event
		check  func(*Report) bool
	}{
		"drill for some": {append([]event{drill("u1001", "u1002"), phone(5, "u1001", 1)}, home...), func(r *Report) bool {
			return r.Kind == Drill && r.Phones.Expected == 2 && r.Phones.Came == 1 && r.Phones.Missing[0].User == "u1002" && r.Drill.By == "ann" &&
				reflect.DeepEqual(r.Drill.Users, []string{"Ann Adams 1001", "Bob Brown 1002"}) && r.Phones.FirstS == 5 && r.Detection.Noticed.IsZero() && r.Recovery.Seconds == 10
		}},
		"outage in a drill": {append([]event{drill("u1001"), change(30, mode.Drill, mode.Resilience, "cut", record.Evidence{Kind: mode.SIP, LastAlive: at(25)})}, home...), func(r *Report) bool {
			return r.Kind == Outage && r.Phones.Expected == 5 && r.Drill != nil && r.Detection.Seconds == 5
		}},
		"phones that were here": {append([]event{here}, home...), func(r *Report) bool {
			return r.Phones.Came == 1 && r.Phones.Here[0].User == "u1003" && r.Calls.Running == 0
		}},
		"calls that run on": {[]event{drill(), call("r1", 5, 6, 7, "user", record.Inside, 200, "hangup", 2), {At: at(70), Change: home[1].Change, Scene: here.Scene}},
			func(r *Report) bool { return r.Calls.Running == 1 }},
		"ended by a restart": {[]event{drill(), {At: at(20), Restart: true}, {At: at(20), Close: true}}, func(r *Report) bool {
			return r.Ended.Equal(at(20)) && r.Recovery.Normal.Equal(at(20)) && r.Restarts == 1 && r.TimeLine[len(r.TimeLine)-1].Sign == "normal"
		}},
		"a cloud that was never there": {append([]event{change(0, mode.Normal, mode.Resilience, "cut", record.Evidence{Kind: mode.SIP}), phone(3, "u1001", 1)}, home...), func(r *Report) bool {
			return r.Detection.Seconds == 0 && r.Detection.LastAnswer.IsZero() && r.Phones.FirstS == 3
		}},
		"a clock that was set back": {[]event{change(0, mode.Normal, mode.Resilience, "cut", record.Evidence{Kind: mode.SIP, LastAlive: at(500)}), phone(-90, "u1001", 1), change(-50, mode.Resilience, mode.Normal, "x")},
			func(r *Report) bool { return r.Phones.FirstS == 0 && r.Phones.Came == 1 }},
		"nothing at all": {nil, func(r *Report) bool { return r.Phones.Expected == 5 && r.Calls.List != nil && r.ToDo != nil }},
	} {
		r := build(c.events, background{id: "x", site: branch(t)})
		if !c.check(r) {
			text, _ := json.MarshalIndent(r, "", " ")
			t.Errorf("%s: %s", name, text)
		}
		var page strings.Builder
		if err := r.HTML(&page); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
