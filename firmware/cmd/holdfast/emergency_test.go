package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"holdfast/firmware/control"
	"holdfast/firmware/emergency"
)

func (f *fake) Acknowledge(o control.AckOrder) (string, error) { return f.note(o) }
func (f *fake) Pins() []control.Pin                            { return somePins() }
func (f *fake) EmergencyLog(n int) ([]emergency.Emergency, error) {
	_, err := f.note(n)
	return []emergency.Emergency{aRecord()}, err
}
func (f *fake) EmergencyDrill(_ context.Context, o control.EmergencyDrillOrder, step func(control.DrillStep)) error {
	step(control.DrillStep{Name: "recognised", OK: true, Detail: "933 as a test"})
	_, err := f.note(o)
	step(control.DrillStep{Name: "notice seen", OK: err == nil, Detail: "Reception"})
	return err
}

func somePins() []control.Pin {
	return []control.Pin{
		{Trunk: "sbc-a", ELIN: "+12175559000", Caller: "Guest, 2204", Place: "Room 204", Began: ago(time.Minute), Running: true},
		{Trunk: "sbc-b", ELIN: "+12175551000", Main: true, Caller: "2205", Test: true, Began: ago(time.Hour), Expires: noon.Add(61 * time.Minute)},
	}
}

func aRecord() emergency.Emergency {
	return emergency.Emergency{Facts: emergency.Facts{ID: "c1", At: ago(3 * time.Minute), Number: "911", Caller: emergency.Caller{Display: "Room 204"}},
		Steps: []emergency.Step{
			{Seq: 1, At: ago(3 * time.Minute), Kind: emergency.Recognised},
			{Seq: 2, At: ago(3*time.Minute - 12*time.Millisecond), Kind: emergency.Invite, Trunk: "sbc-a", ELIN: "+12175559000", Address: "100 Main St, Springfield IL 62701, second floor, room 204"},
			{Seq: 3, At: ago(2 * time.Minute), Kind: emergency.TrunkFailed, Trunk: "sbc-a", Status: 503, Text: "bad\x1b[31mtext"},
			{Seq: 4, At: ago(time.Minute), Kind: emergency.Acknowledged, Who: "Reception (1000)", How: emergency.ByKey},
		}}
}

func TestEmergencyOnThePage(t *testing.T) {
	s := outage()
	s.Emergencies = []control.Emergency{
		{ID: "c1", Title: "911 ROOM 204", State: "answered", Began: ago(3 * time.Minute), Caller: "Guest, 2204", Place: "Second floor",
			Address: "100 Main St", Callback: "+12175559000", Trunk: "sbc-a", Alarms: []string{"the phone has no G.711"}},
		{ID: "c2", Title: "TEST 933 LOBBY", State: "ended", Began: ago(time.Minute), Trunk: "sbc-a", Acknowledged: "Maria"},
	}
	const want = `▲ 911 ROOM 204  since 05:57 CST, 3 min
   answered on sbc-a
   by Guest, 2204
   place: Second floor
   address given: 100 Main St
   callback number: +12175559000
   ▲ the phone has no G.711
   not acknowledged yet: holdfast ack NAME

▲ TEST 933 LOBBY  since 05:59 CST, 1 min
   the call has ended
   acknowledged by Maria

● RESILIENCE`
	if got := render(s, false); !strings.HasPrefix(got, want) {
		t.Errorf("got:\n%s", got)
	}
	if got := render(s, true); !strings.HasPrefix(got, "\x1b[1;31m▲ 911 ROOM 204\x1b[0m") {
		t.Errorf("not in red: %q", got[:40])
	}
}

func TestPinsPage(t *testing.T) {
	p := page{now: noon, zone: time.FixedZone("CST", -6*3600)}
	p.pins(somePins())
	const want = `Callback number  Trunk        Caller                   Until
+12175559000     sbc-a        Guest, 2204, Room 204    the call runs
+12175551000     sbc-b        TEST 2205                07:01 CST, in 1 h 1 min
  the trunk's main number: the place has none of its own
`
	if got := p.text.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	p.text.Reset()
	if p.pins(nil); !strings.HasPrefix(p.text.String(), "No number leads back") {
		t.Error(p.text.String())
	}
}

func TestLogPage(t *testing.T) {
	p := page{now: noon, zone: time.FixedZone("CST", -6*3600)}
	p.log([]emergency.Emergency{aRecord()})
	const want = `911 ROOM 204  2026-03-01 05:57:00 CST
  call c1
  05:57:00.000  recognised
  05:57:00.012  invite: on sbc-a, as +12175559000, at 100 Main St, Springfield
                IL 62701, second floor, room 204
  05:58:00.000  trunk failed: on sbc-a, status 503, bad?[31mtext
  05:59:00.000  acknowledged: Reception (1000), by key
`
	if got := p.text.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestEmergencyCommands(t *testing.T) {
	f := new(fake)
	served(t, f)
	for args, want := range map[string]string{
		"panel":                        "service  steady  resilience: this box serves the phones",
		"panel --json":                 `"pattern": "fast"`,
		"panel --press mode --hold 5s": "pressed mode for 5000",
		"panel --press reset":          "not that one",
		"panel mode":                   `"mode" has no place here`,
	} {
		if out, _, err := call(t, strings.Fields(args)...); !strings.Contains(out+fmt.Sprint(err), want) {
			t.Errorf("%s: %v %s", args, err, out)
		}
	}
	var pins []control.Pin
	if out, status, err := call(t, "pins", "--json"); status != 0 || json.Unmarshal([]byte(out), &pins) != nil || len(pins) != 2 || pins[0] != somePins()[0] {
		t.Errorf("%v %s", err, out)
	}
	if out, status, _ := call(t, "pins"); status != 0 || !strings.HasPrefix(out, "Callback number") {
		t.Error(out)
	}
	var list []emergency.Emergency
	if out, status, err := call(t, "emergency", "log", "--json", "-n", "3"); status != 0 || json.Unmarshal([]byte(out), &list) != nil || len(list) != 1 || len(list[0].Steps) != 4 || f.asked[len(f.asked)-1] != 3 {
		t.Errorf("%v %s", err, out)
	}
	if out, status, _ := call(t, "emergency", "log"); status != 0 || !strings.Contains(out, "911 ROOM 204") {
		t.Error(out)
	}
	out, status, err := call(t, "emergency", "drill", "--by", "ann", "2204")
	if status != 0 || !strings.HasSuffix(out, "✓ notice seen              Reception\nPassed.\n") || f.asked[len(f.asked)-1] != (control.EmergencyDrillOrder{User: "2204", By: "ann"}) {
		t.Errorf("%v:\n%s", err, out)
	}
	f.err = errors.New("no notice was seen")
	if out, status, err = call(t, "emergency", "drill", "2204"); status != 1 || !strings.Contains(err.Error(), "did not pass: no notice") || !strings.Contains(out, "✗ notice seen") {
		t.Errorf("%v:\n%s", err, out)
	}
	// What is wrong is refused before the box hears of it.
	asked := len(f.asked)
	for _, line := range []string{"ack", "ack -- -x", "pins now", "emergency", "emergency call 911", "emergency log -n 0", "emergency log -n 1001", "emergency drill",
		"emergency drill 2204 2205", "emergency drill --number 911 2204", "emergency drill --number 9911 2204", "emergency drill --number 9-1-1 2204",
		"emergency drill --number 112 2204", "emergency drill --number urn:service:sos 2204", "emergency drill --number 999 2204"} {
		if out, status, err := call(t, strings.Fields(line)...); status != 2 || out != "" {
			t.Errorf("%s: %d, %v, %q", line, status, err, out)
		}
	}
	if len(f.asked) != asked {
		t.Errorf("the box was asked %v", f.asked[asked:])
	}
	var help bytes.Buffer
	if err := dispatch(t.Context(), []string{"emergency", "-h"}, &help); err != nil || !strings.Contains(help.String(), "emergency drill") {
		t.Errorf("%v %s", err, help.String())
	}
}

// TestTestedPhones: the last test of each phone, and how much of its path it has proven.
func TestTestedPhones(t *testing.T) {
	at := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	call := func(minute int, user, device string, test, answered bool, steps ...emergency.Kind) emergency.Emergency {
		e := emergency.Emergency{Facts: emergency.Facts{At: at.Add(time.Duration(minute) * time.Minute), Test: test,
			Caller: emergency.Caller{User: user, Name: strings.ToUpper(user), Device: device, Source: "10.0.0.9"}}, ELIN: "+12175559000"}
		if answered {
			e.Answered = e.At
		}
		for _, k := range steps {
			e.Steps = append(e.Steps, emergency.Step{Kind: k})
		}
		return e
	}
	p := page{now: at, zone: time.UTC}
	p.tested([]emergency.Emergency{
		call(0, "ann", "desk", true, false),
		call(1, "ann", "", false, true, emergency.NoticeSeen), // no test
		call(2, "bea", "", true, true, emergency.NoticeRung),
		call(3, "", "", true, true),
		call(4, "ann", "desk", true, true, emergency.NoticeSeen, emergency.NoticeRung, emergency.CallbackAnswered),
	})
	lines := strings.Split(strings.TrimSpace(p.text.String()), "\n")
	for i, want := range []string{
		"ANN 2026-11-02 09:04 answered, shown as +12175559000, notice taken, called back, from desk",
		"BEA 2026-11-02 09:02 answered, shown as +12175559000, notice rang",
		"unknown phone at 10.0.0.9 2026-11-02 09:03 answered, shown as +12175559000, no notice rang",
	} {
		if i >= len(lines) || !strings.HasSuffix(strings.Join(strings.Fields(lines[i]), " "), want) {
			t.Errorf("line %d of %q, want %q", i, lines, want)
		}
	}
	if len(lines) != 3 {
		t.Errorf("%q", lines)
	}
}
