package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"holdfast/firmware/control"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func render(s control.Status, colour bool) string {
	p := page{now: noon, zone: time.FixedZone("CST", -6*3600), colour: colour}
	p.status(s)
	return p.text.String()
}

// ago is a time before the page's clock.
func ago(d time.Duration) time.Time { return noon.Add(-d) }

func outage() control.Status {
	return control.Status{
		Name: "branch-7", Version: "1.2.0 (abc1234)", Started: ago(49 * time.Hour),
		Mode: control.Mode{Name: "resilience", Since: ago(130 * time.Second), Cause: "no zone of the cloud answers"},
		Zones: []control.Zone{
			{Name: "east", Kind: "sip", Verdict: "down", Detail: "dial: connection refused"},
			{Name: "a-zone-with-a-long-name", Kind: "sip", Verdict: "down", Detail: "no answer in 2s"},
			{Name: "phones", Kind: "https", Verdict: "unknown"},
		},
		Trunks: []control.Trunk{
			{ID: "sbc-a", Address: "10.0.0.60:5061", Up: true, Since: ago(3 * time.Hour), RTT: 1.26},
			{ID: "sbc-b", Address: "10.0.0.61:5061", Since: ago(time.Minute), Error: "certificate of trunk sbc-b: x509: certificate has expired or is not yet valid"},
		},
		Phones: control.Phones{Users: 3, Expected: 5, Bindings: 4, Unreachable: 1},
		Calls: []control.Call{
			{From: "1001", To: "1002", State: "up", Began: ago(61 * time.Second)},
			{From: "+12175551001", To: "a name of more than twenty characters", State: "dialling", Began: ago(2 * time.Second)},
		},
		Site:   control.Site{Name: "Springfield branch", Serial: 42, Fetched: ago(10 * time.Minute)},
		Update: control.Update{Slot: "b", State: "waiting", Next: "a", Waits: []string{"2 calls", "the end of the outage"}},
		Alarms: []string{"trunk sbc-b is down: certificate of trunk sbc-b: x509: certificate has expired or is not yet valid: current time is after 2026-02-28"},
	}
}

// TestPage is the whole page, as people see it.
func TestPage(t *testing.T) {
	const want = `● RESILIENCE  since 05:57 CST, 2 min
   no zone of the cloud answers

Cloud
  ✗ east           sip   down     dial: connection refused
  ✗ a-zone-with-a… sip   down     no answer in 2s
  ✗ phones         https unknown
Trunks
  ✓ sbc-a          up             1.3 ms, since 03:00 CST, 3 h 0 min
  ✗ sbc-b          down           certificate of trunk sbc-b: x509: certificate…
Phones   3 of 5 users here, 4 phones (1 out of reach)
Calls    2
  ✓ 1001                 → 1002                 up        1 min
  ✓ +12175551001         → a name of more than… dialling  2 s
Site     Springfield branch
         document 42 since 05:50 CST, 10 min
Box      branch-7, version 1.2.0 (abc1234), slot b, up 2 days
Update   slot a is written; the restart waits for 2 calls, the end of the outage

▲ trunk sbc-b is down: certificate of trunk sbc-b: x509: certificate has expired
  or is not yet valid: current time is after 2026-02-28
`
	if got := render(outage(), false); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestPageOfADrill(t *testing.T) {
	s := control.Status{Name: "box", Version: "dev", Started: ago(0),
		Mode: control.Mode{Name: "drill", Since: ago(5 * time.Second), Cause: "drill started by ann", Until: noon.Add(10 * time.Minute), Users: []string{"alice", "bob"}},
		Site: control.Site{Name: "Branch", Serial: 1}}
	const want = `◕ DRILL  since 05:59 CST, 5 s
   drill started by ann
   for alice, bob
   until 06:10:00 at the latest

Cloud
Trunks
  ✗ none: no call goes outside, 911 included
Phones   0 of 0 users here, 0 phones (0 out of reach)
Calls    0
Site     Branch
         document 1 —
Box      box, version dev, up 0 s

Nothing to do.
`
	if got := render(s, false); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// TestPageIsNarrow: whatever stands in the status, no line is wider than a terminal, the page ends, and nothing moves the
// cursor.
func TestPageIsNarrow(t *testing.T) {
	long := strings.Repeat("word ", 30) + strings.Repeat("x", 300) + " \x1b[2J\x07\r\n\u202e\xff" + strings.Repeat("é", 200)
	s := control.Status{Name: long, Version: long, Started: ago(9999 * time.Hour),
		Mode:   control.Mode{Name: long, Cause: long, Since: ago(-time.Hour), Until: noon, Users: []string{long, long}},
		Zones:  []control.Zone{{Name: long, Kind: long, Verdict: long, Detail: long}},
		Trunks: []control.Trunk{{ID: long, Error: long}, {ID: long, Up: true, RTT: 123456.789, Since: ago(40 * time.Hour)}},
		Phones: control.Phones{Users: 99999, Expected: 99999, Bindings: 99999, Unreachable: 99999},
		Site:   control.Site{Name: long, Serial: 18446744073709551615, Fetched: ago(23*time.Hour + 59*time.Minute)},
		Alarms: []string{strings.Repeat(long, 100), ""},
	}
	for range 1000 {
		s.Calls = append(s.Calls, control.Call{From: long, To: long, State: long, Began: ago(40 * time.Hour)})
	}
	lines := strings.Split(render(s, false), "\n")
	if len(lines) > 80 {
		t.Errorf("%d lines", len(lines))
	}
	for _, l := range lines {
		if n := utf8.RuneCountInString(l); n > columns {
			t.Errorf("%d columns: %s", n, l)
		}
		if strings.ContainsAny(l, "\x1b\x07\r\u202e") || !utf8.ValidString(l) {
			t.Errorf("reaches the terminal: %q", l)
		}
	}
}

func TestPageColour(t *testing.T) {
	plain, coloured := render(outage(), false), render(outage(), true)
	if strings.Contains(plain, "\x1b") {
		t.Error("colour where there is no terminal")
	}
	for _, s := range []string{"\x1b[1;33m● RESILIENCE\x1b[0m", "\x1b[1;32m✓\x1b[0m", "\x1b[1;31m✗\x1b[0m", "\x1b[1;31m▲\x1b[0m"} {
		if !strings.Contains(coloured, s) {
			t.Errorf("%q is missing", s)
		}
	}
	// Colour only adds: the page says the same without.
	bare := coloured
	for _, code := range []string{"\x1b[1;31m", "\x1b[1;32m", "\x1b[1;33m", "\x1b[0m"} {
		bare = strings.ReplaceAll(bare, code, "")
	}
	if bare != plain {
		t.Errorf("without colour:\n%s\nwant:\n%s", bare, plain)
	}
	if isTerminal(new(bytes.Buffer)) {
		t.Error("a buffer is a terminal")
	}
	f, err := os.CreateTemp(t.TempDir(), "page")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if isTerminal(f) {
		t.Error("a file is a terminal")
	}
	if null, err := os.Open(os.DevNull); err == nil { // a character device, as a terminal is
		defer null.Close()
		t.Setenv("NO_COLOR", "1")
		if isTerminal(null) {
			t.Error("NO_COLOR is not obeyed")
		}
	}
}

func TestAge(t *testing.T) {
	p := page{now: noon}
	for d, want := range map[time.Duration]string{
		0: "0 s", -time.Hour: "0 s", 59*time.Second + 999*time.Millisecond: "59 s", time.Minute: "1 min", 59 * time.Minute: "59 min",
		time.Hour: "1 h 0 min", 47*time.Hour + 59*time.Minute: "47 h 59 min", 48 * time.Hour: "2 days", 1000 * time.Hour: "41 days",
	} {
		if got := p.age(ago(d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
