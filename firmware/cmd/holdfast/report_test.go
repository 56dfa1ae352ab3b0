package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/record"
	"holdfast/firmware/report"
)

func aReport() *report.Report {
	return &report.Report{ID: "20260301T120000.000Z", Kind: report.Outage, Site: report.Site{Name: "Springfield\x1b[31m", TimeZone: "America/Chicago"}, Began: ago(time.Hour), Ended: ago(time.Minute),
		Detection: report.Detection{Seconds: 7.5}, ToDo: []string{"1 of 5 users had no phone here: Erin Ek 1005. Check that the box is the last server in these phones' settings."},
		Phones: report.Phones{Expected: 5, Came: 4, FirstS: 8.1, LastS: 12},
		Calls: report.Calls{Total: 3, Answered: 1, Missed: 1, Rejected: 1, Reasons: []report.Reason{{Status: 404, Text: "nobody has this number", Calls: 1}},
			List: []report.Call{{Call: record.Call{Start: ago(30 * time.Minute), From: "+12175550142", Dialled: "1001"}, Outcome: report.Missed, ToName: "Ann Adams 1001", Why: "the caller gave up"}}},
		Emergencies: []report.Emergency{{Title: "911 ROOM 204", At: ago(20 * time.Minute), Caller: "Ann", ELIN: "+12175559000", Trunk: "sbc-a", Answered: ago(20*time.Minute - 1500*time.Millisecond),
			Acknowledged: ago(19 * time.Minute), By: "Bob", Callbacks: []report.Callback{{At: ago(10 * time.Minute)}}, Alarms: []string{"no G.711"}}},
		Document: report.Document{Serial: 42, Fetched: ago(3 * time.Hour)},
		TimeLine: []report.Moment{{At: ago(time.Hour), Sign: "resilience", Text: "mode: resilience", Detail: "no zone of the cloud answers"}},
	}
}

func (f *fake) Reports() ([]report.Summary, error) {
	_, err := f.note("reports")
	return []report.Summary{{ID: aReport().ID, Kind: report.Outage, Began: ago(time.Hour), Ended: ago(time.Minute), Expected: 5, Came: 4, Calls: 3, Missed: 1, Emergencies: 1}}, err
}

func (f *fake) Report(id string) (*report.Report, error) {
	_, err := f.note("report " + id)
	return aReport(), err
}

func TestReportPage(t *testing.T) {
	p := page{now: noon, zone: siteZone(aReport())}
	p.report(aReport())
	const want = `● OUTAGE  2026-03-01 05:00:00 to 05:59:00 CST, 59 min
  Springfield?[31m, report 20260301T120000.000Z

→ 1 of 5 users had no phone here: Erin Ek 1005. Check that the box is the last
  server in these phones' settings.

Noticed    at most 7.5 s after the cloud's last answer
Phones     4 of 5 users, the first after 8.1 s, the last after 12.0 s
Calls      3: 1 answered, 1 missed, 0 not answered outside, 1 refused
                1 × 404 nobody has this number
Document   42, 2 h 0 min old

▲ 911 ROOM 204  05:40:00
   by Ann, shown as +12175559000 on sbc-a
   answered after 1.5 s
   acknowledged by Bob at 05:41:00
   callback at 05:50:00, not answered
   ▲ no G.711

  05:00:00  mode: resilience: no zone of the cloud answers

Missed
  05:30:00  +12175550142           → Ann Adams 1001         the caller gave up
`
	if got := p.text.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for line := range strings.SplitSeq(p.text.String(), "\n") {
		if len([]rune(line)) > columns {
			t.Errorf("%d columns: %s", len([]rune(line)), line)
		}
	}
}

func TestReportCommand(t *testing.T) {
	f := new(fake)
	served(t, f)
	for line, want := range map[string]string{"report": "● OUTAGE", "report show 20260301T120000.000Z": "● OUTAGE", "report list": "20260301T120000.000Z outage  59 min      4 of 5", "report --json": `"id": "20260301T120000.000Z"`,
		"report list --json": `"came": 4`} {
		if out, status, err := call(t, strings.Fields(line)...); status != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	if f.asked[len(f.asked)-1] == nil {
		t.Error("nothing was asked")
	}
	var r report.Report
	if out, _, err := call(t, "report", "show", "x", "--json"); err != nil || json.Unmarshal([]byte(out), &r) != nil || r.Phones.Came != 4 || f.asked[len(f.asked)-1] != "report x" {
		t.Errorf("%v %s", err, out)
	}
	file := filepath.Join(t.TempDir(), "r.html")
	if _, status, err := call(t, "report", "--html", file); status != 0 {
		t.Error(err)
	}
	if data, err := os.ReadFile(file); err != nil || !strings.Contains(string(data), "911 ROOM 204") {
		t.Error(err)
	}
	for _, line := range []string{"report nonsense", "report show a b", "report list x", "report --wrong"} {
		if _, status, err := call(t, strings.Fields(line)...); status != 2 {
			t.Errorf("%s: %d %v", line, status, err)
		}
	}
	f.err = errors.New("no such report")
	for _, line := range []string{"report", "report list"} {
		if _, status, err := call(t, strings.Fields(line)...); status != 1 || err.Error() != "no such report" {
			t.Errorf("%s: %v", line, err)
		}
	}
}
