package record

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// refused is a call that nobody took.
func refused(from string, at time.Time, status int) Call {
	return Call{ID: fmt.Sprint(from, at.UnixNano()), Start: at.Add(-time.Second), End: at, From: from, Dialled: "999", Direction: Inside, Kind: "reject", Status: status,
		EndCause: "refused", EndedBy: "box", Legs: []Leg{{Side: "access", Party: from}}}
}

// TestCrowd: a phone that is refused a hundred times a second leaves a few lines a minute, and no other call loses its own.
func TestCrowd(t *testing.T) {
	dir := t.TempDir()
	l, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	help := refused("wild", noon, 480)
	help.Emergency = true
	answered := refused("wild", noon, 200)
	answered.Answer = noon
	inbound := refused("wild", noon, 404)
	inbound.Direction = Inbound
	const seconds, rate = 150, 100
	for s := range seconds {
		for n := range rate {
			l.Call(refused("wild", noon.Add(time.Duration(s)*time.Second+time.Duration(n)*time.Millisecond), 404+n%2*76))
			if len(l.lines) == waiting {
				t.Fatal("the card is full")
			}
		}
	}
	at := noon.Add(seconds * time.Second)
	for _, c := range []Call{help, answered, inbound} {
		for range 15 {
			c.End = at
			l.Call(c)
		}
	}
	l.Call(refused("1001", at, 486))
	finish(t, l)

	total, own := 0, map[string]int{}
	lines := read(t, filepath.Join(dir, "call.jsonl"))
	for _, line := range lines {
		var c Call
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		switch {
		case c.Emergency:
			own["help"]++
		case !c.Answer.IsZero():
			own["answered"]++
		case c.Direction == Inbound:
			own["inbound"]++
		case c.From != "wild":
			own[c.From]++
		case c.Count == 0:
			own["in full"]++
			total++
			if len(c.Legs) != 1 {
				t.Errorf("%s", line)
			}
		default:
			own["sums"]++
			total += c.Count
			if c.Status != 404 && c.Status != 480 || c.EndCause != "refused" || c.Dialled != "999" || c.End.Sub(c.Start) > time.Minute+time.Second {
				t.Errorf("%s", line)
			}
		}
	}
	if total != seconds*rate {
		t.Errorf("%d attempts are told, of %d", total, seconds*rate)
	}
	want := map[string]int{"help": 15, "answered": 15, "inbound": 15, "1001": 1, "in full": 3 * inFull, "sums": 3 * 2}
	if fmt.Sprint(own) != fmt.Sprint(want) {
		t.Errorf("lines %v, want %v", own, want)
	}
	if s := l.Stats(); s.Lost > 0 || s.Filed != uint64(len(lines)) {
		t.Errorf("%+v for %d lines", s, len(lines))
	}
}

// TestCrowdIsBounded: whatever callers say of themselves, and however their calls end.
func TestCrowdIsBounded(t *testing.T) {
	var d crowd
	told := 0
	count := func(list []Call) {
		for _, c := range list {
			told += max(c.Count, 1)
		}
	}
	const callers, calls = crowds + 100, inFull + together + 10
	for n := range callers {
		for i := range calls {
			c := refused(fmt.Sprint(n), noon, 400+i)
			count(d.take(c))
		}
	}
	if len(d.seen) > crowds || d.lines > crowds {
		t.Errorf("%d callers, %d lines", len(d.seen), d.lines)
	}
	count(d.over(noon.Add(59 * time.Second)))
	if told == callers*calls {
		t.Error("nothing waited")
	}
	count(d.over(noon.Add(time.Minute)))
	if told != callers*calls {
		t.Errorf("%d attempts are told, of %d", told, callers*calls)
	}
}

// TestCrowdAndAClockThatJumps: what waits is written when the minute is another one, be it an earlier one.
func TestCrowdAndAClockThatJumps(t *testing.T) {
	var d crowd
	for range inFull + 5 {
		d.take(refused("wild", noon, 404))
	}
	if out := d.over(noon.Add(-time.Hour)); len(out) != 1 || out[0].Count != 5 || !out[0].Start.Equal(noon.Add(-time.Second)) {
		t.Errorf("%+v", out)
	}
	if out := d.over(noon); len(out) != 0 {
		t.Errorf("twice: %+v", out)
	}
}
