package elin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 3, 8, 0, 0, 0, time.UTC)

const (
	e1 = "+12175559001"
	e2 = "+12175559002"
	e3 = "+12175559003"
)

func floor(numbers ...string) Place {
	return Place{Trunk: "a", ELINs: numbers, Main: "+12175551000"}
}

func phone(name, call string) Caller {
	return Caller{User: name, Instance: "urn:uuid:" + name, Binding: "sip:" + name + "@10.0.0.9", CallID: call, Display: strings.ToUpper(name)}
}

// names are the users of a callback, as it orders them.
func names(cb Callback) string {
	var out []string
	for _, c := range cb.Callers {
		out = append(out, c.User)
	}
	return strings.Join(out, " ")
}

func wantCallback(t *testing.T, tab *Table, now time.Time, number, users string, shared bool) {
	t.Helper()
	cb := tab.Callback(now, number)
	if names(cb) != users || cb.Shared != shared || cb.Desk != shared {
		t.Errorf("callback to %s at %v: %q shared %v desk %v; want %q, shared %v", number, now.Sub(start), names(cb), cb.Shared, cb.Desk, users, shared)
	}
}

func TestThreeCallersOnTwoELINs(t *testing.T) {
	tab := New(Options{})
	at := floor(e1, e2)
	if a := tab.Pin(start, at, phone("ann", "1")); a != (Assignment{ELIN: e1}) {
		t.Fatalf("ann: %+v", a)
	}
	if a := tab.Pin(start.Add(1), at, phone("bea", "2")); a != (Assignment{ELIN: e2}) {
		t.Fatalf("bea: %+v", a)
	}
	// Bea's call ends first, Ann's still runs: Bea's ELIN is the older one.
	tab.Ended(start.Add(time.Minute), "2")
	if a := tab.Pin(start.Add(2*time.Minute), at, phone("cat", "3")); a != (Assignment{ELIN: e2, Shared: true}) {
		t.Fatalf("cat: %+v", a)
	}
	wantCallback(t, tab, start.Add(3*time.Minute), e1, "ann", false)
	wantCallback(t, tab, start.Add(3*time.Minute), e2, "cat bea", true)
	// Now both have somebody on the line; Cat called later.
	if a := tab.Pin(start.Add(4*time.Minute), at, phone("dot", "4")); a != (Assignment{ELIN: e1, Shared: true}) {
		t.Fatalf("dot: %+v", a)
	}
	wantCallback(t, tab, start.Add(5*time.Minute), e1, "dot ann", true)
	// Bea's window is over: what is left on her ELIN is Cat alone.
	wantCallback(t, tab, start.Add(time.Minute+Window), e2, "cat", false)
}

func TestWindow(t *testing.T) {
	tab := New(Options{})
	tab.Pin(start, floor(e1), phone("ann", "1"))
	wantCallback(t, tab, start.Add(30*time.Hour), e1, "ann", false) // the call runs
	end := start.Add(30 * time.Hour)
	tab.Ended(end, "1")
	tab.Ended(end.Add(time.Hour), "1") // once more, by mistake
	wantCallback(t, tab, end.Add(time.Hour+59*time.Minute), e1, "ann", false)
	wantCallback(t, tab, end.Add(Window-1), e1, "ann", false)
	wantCallback(t, tab, end.Add(Window), e1, "", false)
	wantCallback(t, tab, end.Add(2*time.Hour+time.Minute), e1, "", false)
	if pins := tab.Pins(end.Add(Window - 1)); len(pins) != 1 || pins[0].Running || !pins[0].Expires.Equal(end.Add(Window)) {
		t.Errorf("pins: %+v", pins)
	}
	if a := tab.Pin(end.Add(Window), floor(e1), phone("bea", "2")); a != (Assignment{ELIN: e1}) {
		t.Errorf("bea: %+v", a)
	}
	if gone := tab.Expire(end.Add(Window)); len(gone) != 1 || gone[0].Caller.User != "ann" {
		t.Errorf("expired: %+v", gone)
	}
}

func TestRenewal(t *testing.T) {
	tab := New(Options{})
	at := floor(e1, e2)
	tab.Pin(start, at, phone("ann", "1"))
	tab.Ended(start.Add(time.Minute), "1")
	tab.Pin(start.Add(2*time.Minute), at, phone("bea", "2"))
	again := start.Add(time.Hour)
	if a := tab.Pin(again, at, phone("ann", "3")); a != (Assignment{ELIN: e1, Kept: true}) {
		t.Fatalf("ann again: %+v", a)
	}
	tab.Ended(again, "3")
	wantCallback(t, tab, again.Add(Window-1), e1, "ann", false)
	// Two calls at once: the window begins with the end of the last.
	tab.Pin(again, at, phone("ann", "4"))
	tab.Pin(again, at, phone("ann", "5"))
	tab.Ended(again.Add(time.Minute), "5")
	wantCallback(t, tab, again.Add(10*time.Hour), e1, "ann", false)
	tab.Ended(again.Add(10*time.Hour), "4")
	wantCallback(t, tab, again.Add(12*time.Hour-1), e1, "ann", false)
	// A caller who comes back to a shared ELIN keeps it.
	tab = New(Options{})
	tab.Pin(start, floor(e1), phone("ann", "1"))
	tab.Pin(start, floor(e1), phone("bea", "2"))
	if a := tab.Pin(start, at, phone("ann", "3")); a != (Assignment{ELIN: e1, Kept: true, Shared: true}) {
		t.Errorf("ann on the shared one: %+v", a)
	}
}

// The site document may lose an ELIN while it is pinned: who was shown under it is still reached, but is shown under it
// no more, since the carrier may have given the number away.
func TestReloadTakesAnELINAway(t *testing.T) {
	tab := New(Options{})
	tab.Pin(start, floor(e1, e2), phone("ann", "1"))
	tab.Ended(start, "1")
	if a := tab.Pin(start.Add(time.Minute), floor(e2), phone("ann", "2")); a != (Assignment{ELIN: e2}) {
		t.Errorf("ann after the reload: %+v", a)
	}
	wantCallback(t, tab, start.Add(time.Hour), e1, "ann", false)
	wantCallback(t, tab, start.Add(time.Hour), e2, "ann", false)
}

// One phone that moves to another floor is reached under both ELINs.
func TestCallerMoves(t *testing.T) {
	tab := New(Options{})
	tab.Pin(start, floor(e1), phone("ann", "1"))
	tab.Pin(start, floor(e3), phone("ann", "2"))
	wantCallback(t, tab, start, e1, "ann", false)
	wantCallback(t, tab, start, e3, "ann", false)
}

func TestSameELINOnTwoTrunks(t *testing.T) {
	tab := New(Options{})
	a, b := floor(e1), floor(e1, e2)
	b.Trunk = "b"
	tab.Pin(start, a, phone("ann", "1"))
	// Ann's call fails over: she is one caller all the same.
	if as := tab.Pin(start, b, phone("ann", "1")); as != (Assignment{ELIN: e1, Kept: true}) {
		t.Errorf("ann by the other trunk: %+v", as)
	}
	wantCallback(t, tab, start, e1, "ann", false)
	// The number is taken on both trunks, since a callback may come by either.
	if as := tab.Pin(start.Add(1), b, phone("bea", "2")); as != (Assignment{ELIN: e2}) {
		t.Errorf("bea: %+v", as)
	}
	b.ELINs = b.ELINs[:1]
	if as := tab.Pin(start.Add(2), b, phone("cat", "3")); as != (Assignment{ELIN: e1, Shared: true}) {
		t.Errorf("cat: %+v", as)
	}
	wantCallback(t, tab, start.Add(3), e1, "cat ann", true)
	tab.Ended(start.Add(4), "1")
	tab.Ended(start.Add(4), "3")
	if n := len(tab.Expire(start.Add(4 + Window))); n != 3 {
		t.Errorf("%d pins expired; both of ann's and cat's should", n)
	}
}

func TestWithoutELIN(t *testing.T) {
	tab := New(Options{})
	if a := tab.Pin(start, floor(), phone("ann", "1")); a != (Assignment{None: true, Alarm: true}) {
		t.Errorf("no ELIN: %+v", a)
	}
	cb := tab.Callback(start, "+12175551000")
	if names(cb) != "ann" || !cb.Main || cb.Shared {
		t.Errorf("callback to the main number: %+v", cb)
	}
	if a := tab.Pin(start, floor(), phone("bea", "2")); a != (Assignment{None: true, Alarm: true, Shared: true}) {
		t.Errorf("no ELIN, the second: %+v", a)
	}
	if cb := tab.Callback(start, "+12175551000"); !cb.Shared || !cb.Desk || !cb.Main {
		t.Errorf("callback to the main number: %+v", cb)
	}
	if a := tab.Pin(start, Place{Trunk: "a"}, phone("cat", "3")); a != (Assignment{None: true, Alarm: true, Unpinned: true}) {
		t.Errorf("no number at all: %+v", a)
	}
	if cb := tab.Callback(start, e1); names(cb) != "" || !cb.Desk || cb.Main {
		t.Errorf("a number that nobody was shown under: %+v", cb)
	}
}

func TestTestCallsGiveWay(t *testing.T) {
	tab := New(Options{})
	at := floor(e1, e2)
	test := func(name, call string) Caller { c := phone(name, call); c.Test = true; return c }
	tab.Pin(start, at, test("t1", "1"))
	wantCallback(t, tab, start, e1, "t1", false)
	tab.Pin(start, at, phone("ann", "2"))
	// Everything is held; e1 by a test only.
	if a := tab.Pin(start, at, phone("bea", "3")); a != (Assignment{ELIN: e1}) {
		t.Errorf("bea: %+v", a)
	}
	wantCallback(t, tab, start, e1, "bea", false)
	// A further test finds no free one and disturbs nobody.
	if a := tab.Pin(start, at, test("t2", "4")); a.Shared || a.ELIN == "" {
		t.Errorf("t2: %+v", a)
	}
	wantCallback(t, tab, start, e1, "bea", false)
	wantCallback(t, tab, start, e2, "ann", false)
	// Who tested and then needs help counts; a test afterwards does not take that back.
	tab.Pin(start, floor(e3), test("cat", "5"))
	tab.Pin(start, floor(e3), phone("cat", "6"))
	tab.Pin(start, floor(e3), test("cat", "7"))
	wantCallback(t, tab, start, e3, "cat", false)
	if cb := tab.Callback(start, e3); cb.Callers[0].Test {
		t.Error("cat's emergency counts as a test")
	}
}

func TestSharedTestsDoNotRingTheDesk(t *testing.T) {
	tab := New(Options{})
	for i := range 2 {
		c := phone(fmt.Sprint("t", i), fmt.Sprint(i))
		c.Test = true
		tab.Pin(start.Add(time.Duration(i)), floor(e1), c)
	}
	if cb := tab.Callback(start, e1); names(cb) != "t1 t0" || !cb.Shared || cb.Desk {
		t.Errorf("%+v", cb)
	}
}

func TestWhoIsTheSameCaller(t *testing.T) {
	ann := phone("ann", "")
	for _, tt := range []struct {
		name string
		a, b Caller
		same bool
	}{
		{"another call, another connection", ann, Caller{User: "ann", Instance: ann.Instance, Binding: "sip:ann@10.0.0.77", CallID: "9"}, true},
		{"two phones of one user", ann, Caller{User: "ann", Instance: "urn:uuid:2"}, false},
		{"two phones of one user, without instance", Caller{User: "ann", Binding: "sip:1"}, Caller{User: "ann", Binding: "sip:2"}, false},
		{"one instance that two users claim", ann, Caller{User: "bea", Instance: ann.Instance}, false},
		{"a device is a device whoever uses it", Caller{Device: "lobby", User: "ann"}, Caller{Device: "lobby", User: "bea"}, true},
		{"two lines of a gateway, nobody's", Caller{Device: "gw", Source: "10.0.0.7", Binding: "sip:1@10.0.0.7"}, Caller{Device: "gw", Source: "10.0.0.7", Binding: "sip:2@10.0.0.7"}, false},
		{"one of them again", Caller{Device: "gw", Source: "10.0.0.7", Binding: "sip:1@10.0.0.7"}, Caller{Device: "gw", Source: "10.0.0.7", Binding: "sip:1@10.0.0.7:5062"}, true},
		{"strangers at one address, by instance", Caller{Source: "10.0.0.5", Instance: "x"}, Caller{Source: "10.0.0.5", Instance: "y", Binding: "z"}, false},
		{"a stranger from another port", Caller{Source: "10.0.0.5", Binding: "sip:204@192.168.1.9:4711;transport=tls"}, Caller{Source: "10.0.0.5", Binding: "SIPS:204@192.168.1.9:9000"}, true},
		{"two behind one address", Caller{Source: "10.0.0.5", Binding: "sip:204@192.168.1.9:5061"}, Caller{Source: "10.0.0.5", Binding: "sip:204@192.168.1.10:5061"}, false},
		{"two users behind one address", Caller{Source: "10.0.0.5", Binding: "<sip:204@[2001:db8::1]:5061>"}, Caller{Source: "10.0.0.5", Binding: "sip:205@[2001:db8::1]:5061"}, false},
		{"one phone that comes from two addresses", Caller{Source: "10.0.0.5", Instance: "x"}, Caller{Source: "10.0.0.6", Instance: "x"}, false},
		{"strangers at two addresses", Caller{Source: "10.0.0.5"}, Caller{Source: "10.0.0.6"}, false},
		{"a stranger is no user", Caller{Source: "ann"}, Caller{User: "ann"}, false},
		{"an endless instance does not count", Caller{User: "ann", Instance: strings.Repeat("x", 5000)}, Caller{User: "ann"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tab := New(Options{})
			tab.Pin(start, floor(e1, e2), tt.a)
			if a := tab.Pin(start, floor(e1, e2), tt.b); a.Kept != tt.same {
				t.Errorf("%+v", a)
			}
		})
	}
}

// At the bound nothing that lives is lost, the call still gets its ELIN, and every callback finds the desk too.
func TestBound(t *testing.T) {
	tab := New(Options{Max: 8})
	for i := range 8 {
		tab.Pin(start, floor(e1), phone(fmt.Sprint("u", i), fmt.Sprint(i)))
	}
	if a := tab.Pin(start, floor(e2), phone("late", "late")); a != (Assignment{ELIN: e2, Unpinned: true, Alarm: true}) {
		t.Fatalf("%+v", a)
	}
	if n := len(tab.Pins(start)); n != 8 {
		t.Errorf("%d pins", n)
	}
	if cb := tab.Callback(start.Add(Window-1), e2); len(cb.Callers) != 0 || !cb.Desk {
		t.Errorf("%+v", cb)
	}
	tab.Ended(start.Add(3*time.Hour), "late")
	if cb := tab.Callback(start.Add(4*time.Hour), e2); !cb.Desk {
		t.Errorf("after the call's end: %+v", cb)
	}
	if cb := tab.Callback(start.Add(5*time.Hour), e2); cb.Desk {
		t.Errorf("for ever: %+v", cb)
	}
	// Who has a pin renews it though the table is full; what has expired makes room.
	if a := tab.Pin(start, floor(e1), phone("u3", "x")); a.Unpinned || !a.Kept {
		t.Errorf("renewal: %+v", a)
	}
	for i := range 8 {
		tab.Ended(start, fmt.Sprint(i))
	}
	if a := tab.Pin(start.Add(Window), floor(e2), phone("late", "later")); a.Unpinned {
		t.Errorf("after expiry: %+v", a)
	}
}

func TestStrangersDoNotFillTheTable(t *testing.T) {
	tab := New(Options{Max: 40})
	for i := range 100 {
		tab.Pin(start, floor(e1), Caller{Source: fmt.Sprint("10.0.0.", i), CallID: fmt.Sprint(i)})
	}
	if n := len(tab.Pins(start)); n != 10 {
		t.Errorf("strangers have %d pins of 40", n)
	}
	if a := tab.Pin(start, floor(e2), phone("ann", "ann")); a != (Assignment{ELIN: e2}) {
		t.Errorf("a user after them: %+v", a)
	}
	// A test takes of the same quarter, and gives its place back when the phone calls for help.
	tab = New(Options{Max: 4})
	for range 3 {
		c := phone("ann", "1")
		c.Test = true
		tab.Pin(start, floor(e1), c)
		tab.Pin(start, floor(e1), phone("ann", "2"))
	}
	if tab.weak != 0 {
		t.Errorf("weak: %d", tab.weak)
	}
}

func TestManyCallsOfOnePhone(t *testing.T) {
	tab := New(Options{})
	for i := range 1000 {
		tab.Pin(start, floor(e1), phone("ann", fmt.Sprint(i)))
	}
	if n := len(tab.calls); n != maxRunning {
		t.Errorf("%d calls are kept", n)
	}
	for i := range 1000 {
		tab.Ended(start, fmt.Sprint(i))
	}
	wantCallback(t, tab, start.Add(Window-1), e1, "ann", false)
	if len(tab.calls) != 0 || len(tab.Expire(start.Add(Window))) != 1 || len(tab.pins)+len(tab.numbers) != 0 {
		t.Errorf("left: %d calls, %d pins, %d numbers", len(tab.calls), len(tab.pins), len(tab.numbers))
	}
}

func TestReconcile(t *testing.T) {
	tab := New(Options{})
	tab.Pin(start, floor(e1), phone("ann", "dead"))
	tab.Pin(start, floor(e2), phone("bea", "alive"))
	if n := tab.Reconcile(start.Add(time.Hour), func(id string) bool { return id == "alive" }); n != 1 {
		t.Errorf("%d ended", n)
	}
	wantCallback(t, tab, start.Add(3*time.Hour-1), e1, "ann", false)
	wantCallback(t, tab, start.Add(3*time.Hour), e1, "", false)
	wantCallback(t, tab, start.Add(9*time.Hour), e2, "bea", false)
}

func TestPinsAreListedNewestFirst(t *testing.T) {
	tab := New(Options{})
	for i, name := range []string{"ann", "bea", "cat"} {
		tab.Pin(start.Add(time.Duration(i)*time.Second), floor(e1, e2, e3), phone(name, name))
	}
	var got []string
	for _, p := range tab.Pins(start.Add(time.Minute)) {
		got = append(got, p.Caller.User)
		if !p.Running || !p.Expires.IsZero() || p.Trunk != "a" {
			t.Errorf("%+v", p)
		}
	}
	if !slices.Equal(got, []string{"cat", "bea", "ann"}) {
		t.Errorf("%v", got)
	}
}
