package elin

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func filled() *Table {
	tab := New(Options{Max: 16})
	tab.Pin(start, floor(e1, e2), phone("ann", "1"))
	tab.Pin(start.Add(time.Second), floor(e1, e2), phone("bea", "2"))
	tab.Pin(start.Add(2*time.Second), floor(e1, e2), phone("cat", "3"))
	tab.Pin(start.Add(3*time.Second), floor(), phone("dot", "4"))
	tab.Ended(start.Add(time.Minute), "2")
	return tab
}

func TestExportAndRestore(t *testing.T) {
	now := start.Add(30 * time.Minute)
	data := filled().Export(now)
	if again := filled().Export(now); !bytes.Equal(data, again) {
		t.Errorf("not stable:\n%s\n%s", data, again)
	}
	// The clock was set while the program was down: back, or forth by a year.
	for _, later := range []time.Time{now, now.Add(-24 * time.Hour), now.AddDate(1, 0, 0)} {
		tab := New(Options{Max: 16})
		if err := tab.Restore(later, data); err != nil {
			t.Fatal(err)
		}
		if again := tab.Export(later); !bytes.Equal(data, again) {
			t.Errorf("not the same:\n%s\n%s", data, again)
		}
		if cb := tab.Callback(later, e1); names(cb) != "cat ann" && names(cb) != "ann" {
			t.Errorf("%+v", cb)
		}
		if got := names(tab.Callback(later.Add(89*time.Minute), e2)); got != names(filled().Callback(now.Add(89*time.Minute), e2)) {
			t.Errorf("before the end of bea's window: %q", got)
		}
		if got := names(tab.Callback(later.Add(91*time.Minute), e2)); strings.Contains(got, "bea") {
			t.Errorf("after the end of bea's window: %q", got)
		}
		tab.Reconcile(later, func(string) bool { return false })
		if n := len(tab.Pins(later.Add(Window - 1))); n != 3 {
			t.Errorf("%d pins live; the calls that the crash ended should", n)
		}
		if n := len(tab.Pins(later.Add(Window))); n != 0 {
			t.Errorf("%d pins live for ever", n)
		}
	}
}

// TestWhereADeviceIs: it outlives the program, and pins of a program that did not keep it are read.
func TestWhereADeviceIs(t *testing.T) {
	lift := Caller{Source: "10.0.0.71", Binding: "sip:lift@10.0.0.71:5062", At: netip.MustParseAddrPort("10.0.0.71:5062"), CallID: "1"}
	tab := New(Options{})
	tab.Pin(start, floor(e1), lift)
	tab.Pin(start, floor(e2), phone("ann", "2"))
	data := tab.Export(start)
	if n := strings.Count(string(data), `"at":"10.0.0.71:5062"`); n != 1 || strings.Count(string(data), `"at"`) != 1 {
		t.Errorf("%s", data)
	}
	again := New(Options{})
	if err := again.Restore(start, data); err != nil {
		t.Fatal(err)
	}
	if cb := again.Callback(start, e1); len(cb.Callers) != 1 || cb.Callers[0].At != lift.At {
		t.Errorf("%+v", cb)
	}
	before := New(Options{})
	if err := before.Restore(start, []byte(strings.Replace(string(data), `"at":"10.0.0.71:5062",`, "", 1))); err != nil || len(before.Callback(start, e1).Callers) != 1 {
		t.Errorf("%v", err)
	}
}

func TestRestoreAddsOnly(t *testing.T) {
	tab := New(Options{Max: 16})
	tab.Pin(start, floor(e1, e2), phone("ann", "new"))
	if err := tab.Restore(start, filled().Export(start.Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	tab.Ended(start, "new")
	if pins := tab.Pins(start); len(pins) != 4 {
		t.Errorf("%+v", pins)
	}
	for _, p := range tab.Pins(start) {
		if p.Caller.User == "ann" && p.Running {
			t.Error("ann's pin is not the one that was here")
		}
	}
}

func TestRestoreTellsWhatIsWrong(t *testing.T) {
	good := `{"trunk":"a","elin":"+12175559001","caller":{"user":"ann"},"age_ms":5,"ended_ms":4}`
	for _, tt := range []struct {
		data, problem string
		pins          int
	}{
		{``, "unexpected end", 0},
		{`[]`, "cannot unmarshal", 0},
		{`{"version":9}`, "version 9", 0},
		{`{"version":1}`, "", 0},
		{`{"version":1,"pins":null,"later":true}`, "", 0},
		{`{"version":1,"pins":[` + good + `]}`, "", 1},
		{`{"version":1,"pins":[` + good + `,` + good + `]}`, "", 1},
		{`{"version":1,"pins":[{"trunk":"a"},` + good + `]}`, "pin 0 of the snapshot: no number", 1},
		{`{"version":1,"pins":[{"elin":"` + strings.Repeat("1", 2000) + `"},` + good + `]}`, "too long", 1},
		{`{"version":1,"pins":[{"elin":"1","running":["` + strings.Repeat(`","`, 100) + `"]},` + good + `]}`, "too long", 1},
		{`{"version":1,"pins":[{"elin":"1","ended_ms":7200000}]}`, "", 0},
		{`{"version":1,"pins":[{"elin":"1","ended_ms":7199999}]}`, "", 1},
		{`{"version":1,"pins":[{"elin":"1","ended_ms":-5,"age_ms":-9223372036854775808,"running":["","x","x"]}]}`, "", 1},
	} {
		tab := New(Options{Max: 4})
		err := tab.Restore(start, []byte(tt.data))
		if got := fmt.Sprint(err); (err != nil) != (tt.problem != "") || !strings.Contains(got, tt.problem) {
			t.Errorf("%.60s: %v; want %q", tt.data, err, tt.problem)
		}
		if n := len(tab.Pins(start)); n != tt.pins {
			t.Errorf("%.60s: %d pins", tt.data, n)
		}
	}
}

func TestRestoreIntoASmallerTable(t *testing.T) {
	tab := New(Options{Max: 2})
	err := tab.Restore(start, filled().Export(start.Add(time.Minute)))
	if err == nil || !strings.Contains(err.Error(), "full") || len(tab.Pins(start)) != 2 {
		t.Errorf("%v, %d pins", err, len(tab.Pins(start)))
	}
	if cb := tab.Callback(start, e3); !cb.Desk {
		t.Error("a callback that has lost its pin does not find the desk")
	}
	// The mark outlives the next crash.
	again := New(Options{})
	if err := again.Restore(start, tab.Export(start)); err != nil || !again.Callback(start, e3).Desk {
		t.Errorf("%v", err)
	}
}

func FuzzRestore(f *testing.F) {
	f.Add(filled().Export(start.Add(time.Hour)))
	f.Add([]byte(`{"version":1,"desk_for_ms":99999999999,"pins":[{"elin":"1","caller":{"test":true},"ended_ms":-1,"running":["x","x",""]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tab := New(Options{Max: 16})
		err := tab.Restore(start, data)
		pins := tab.Pins(start)
		if len(pins) > 16 || len(tab.pins) != len(pins) {
			t.Fatalf("%d pins live of %d", len(pins), len(tab.pins))
		}
		for _, p := range pins {
			if cb := tab.Callback(start, p.ELIN); len(cb.Callers) == 0 {
				t.Fatalf("nobody is rung for %+v", p)
			}
		}
		out := tab.Export(start)
		again := New(Options{Max: 16})
		if err2 := again.Restore(start, out); err2 != nil {
			t.Fatalf("its own output is refused: %v (%v)", err2, err)
		}
		if out2 := again.Export(start); !bytes.Equal(out, out2) {
			t.Fatalf("changed:\n%s\n%s", out, out2)
		}
		tab.Reconcile(start, func(string) bool { return false })
		if n := len(tab.Pins(start.Add(Window))); n != 0 {
			t.Fatalf("%d pins for ever", n)
		}
	})
}

// TestPlain: that a phone called with plain RTP is kept across a crash, until it shows that it can do better; where an owner's phones
// are not told apart it is nobody's.
func TestPlain(t *testing.T) {
	tab := New(Options{})
	ann := phone("ann", "1")
	ann.Plain = true
	tab.Pin(start, floor(e1), ann)
	again := New(Options{})
	if err := again.Restore(start, tab.Export(start)); err != nil {
		t.Fatal(err)
	}
	plain := func(tab *Table) bool { return tab.Callback(start, e1).Callers[0].Plain }
	ann.CallID = "2"
	again.Pin(start, floor(e1), ann)
	if !plain(tab) || !plain(again) {
		t.Error("lost")
	}
	ann.CallID, ann.Plain = "3", false
	again.Pin(start, floor(e1), ann)
	ann.CallID, ann.Plain = "4", true
	again.Pin(start, floor(e1), ann)
	if plain(again) {
		t.Error("a phone that knows SRTP is plain again")
	}
	if ann.any().Plain {
		t.Error("any phone is plain")
	}
}
