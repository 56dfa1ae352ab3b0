package trunk

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// TestUpdate: a new site document changes what it must and no more.
func TestUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	a, b, c := w.sbc("a.test", nil), w.sbc("b.test", nil), w.sbc("c.test", nil)
	ta, tb, tc := trunkTo("a", a.address(), "a.test"), trunkTo("b", b.address(), "b.test"), trunkTo("c", c.address(), "c.test")
	w.run(ta, tb)
	w.change(true)
	w.change(true)
	connA := w.connected("a")
	connB := w.connected("b")

	ta.MaxCalls, ta.MainNumber, ta.EmergencyForm = 23, "+12175551000", "urn" // nothing that the connection depends on
	w.set.Update([]site.Trunk{tc, ta})
	if s := w.change(true); s.ID != "c" {
		t.Errorf("%s came up", s.ID)
	}
	if again, err := w.connect("a"); again != connA || err != nil {
		t.Errorf("an unchanged trunk has another connection (%v)", err)
	}
	eventually(t, "the removed trunk is hung up", connB.Closed)
	if _, err := w.connect("b"); !errors.Is(err, ErrUnknown) {
		t.Errorf("connect to a removed trunk: %v", err)
	}
	if s := w.set.States(); len(s) != 2 || s[0].ID != "c" || s[1].ID != "a" || !s[1].Up {
		t.Errorf("states %+v", s)
	}

	ta.TLSName = "renamed.test"
	w.set.Update([]site.Trunk{ta})
	eventually(t, "the changed trunk is hung up", connA.Closed)
	if _, err := w.connect("a"); err == nil || !strings.Contains(err.Error(), "not for renamed.test but for a.test") {
		t.Errorf("connect under the new name: %v", err)
	}
	w.set.Update(nil)
	if s := w.set.States(); len(s) != 0 {
		t.Errorf("states %+v", s)
	}
}

// TestRemovedWhileDialling: nobody who waits is forgotten, and no connection is left behind.
func TestRemovedWhileDialling(t *testing.T) {
	t.Parallel()
	for range 20 {
		w := newWorld(t, Options{})
		b := w.sbc("a.test", nil)
		w.run(trunkTo("a", b.address(), "a.test"))
		got := make(chan *stack.Conn, 1)
		w.set.Connect("a", func(c *stack.Conn, err error) {
			if (c == nil) == (err == nil) {
				t.Errorf("connection %v, error %v", c, err)
			}
			got <- c
		})
		w.set.Update(nil)
		c := await(t, "Connect calls back", got)
		eventually(t, "no connection is left", func() bool { return (c == nil || c.Closed()) && len(w.stack.Conns()) == 0 })
	}
}

// TestConnectSharesOneDial: a burst of calls opens one connection.
func TestConnectSharesOneDial(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	b := w.sbc("a.test", nil)
	w.run(trunkTo("a", b.address(), "a.test"))
	const callers = 50
	conns := make(chan *stack.Conn, callers)
	var lock sync.Mutex // held by the caller, taken by the callback: it must not run within Connect
	for range callers {
		lock.Lock()
		w.set.Connect("a", func(c *stack.Conn, err error) {
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				t.Error(err)
			}
			conns <- c
		})
		lock.Unlock()
	}
	first := await(t, "a connection", conns)
	for range callers - 1 {
		if c := await(t, "a connection", conns); c != first {
			t.Error("another connection")
		}
	}
	w.change(true) // its OPTIONS has been answered: the SBC has counted the connection
	if n := b.Counters().Accepted.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestConnectToNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	if c, err := w.connect("a"); c != nil || !errors.Is(err, ErrUnknown) {
		t.Errorf("%v, %v", c, err)
	}
}

// TestEnd: after Run nothing of the package runs, the connections are closed, and whoever comes late is told.
func TestEnd(t *testing.T) { // not in parallel: it looks at all goroutines
	w := newWorld(t, Options{})
	a := w.sbc("a.test", nil)
	w.run(trunkTo("a", a.address(), "a.test"), trunkTo("away", "127.0.0.1:1", "b.test"))
	w.change(true)
	conn := w.connected("a")
	w.end()
	if !conn.Closed() {
		t.Error("the connection is still open")
	}
	if _, err := w.connect("a"); !errors.Is(err, stack.ErrStopped) {
		t.Errorf("connect after the end: %v", err)
	}
	w.set.Update([]site.Trunk{trunkTo("new", a.address(), "a.test")})
	if _, err := w.connect("new"); !errors.Is(err, stack.ErrStopped) {
		t.Errorf("connect to a trunk that came after the end: %v", err)
	}
	eventually(t, "no goroutine is left", func() bool { return running() == "" })
}

// running is the stack of a goroutine of the package's own; "" if there is none.
func running() string {
	buf := make([]byte, 1<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "holdfast/sip/trunk.(*trunk)") || strings.Contains(g, "holdfast/sip/trunk.(*Set)") {
			return g
		}
	}
	return ""
}
