package trunk

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/site"
	"holdfast/sip/stack"
)

// ears are an SBC's: it may become deaf on the connection that it heard first.
type ears struct {
	mu    sync.Mutex
	first *stack.Conn
	deaf  bool
	rings chan *stack.ServerTx // INVITEs
}

func (e *ears) answer(_ int, tx *stack.ServerTx) {
	e.mu.Lock()
	if e.first == nil {
		e.first = tx.Conn()
	}
	deaf := e.deaf && tx.Conn() == e.first
	e.mu.Unlock()
	switch {
	case deaf:
	case tx.Method() == "INVITE":
		tx.Reply(180, "Ringing")
		e.rings <- tx
	default:
		tx.Reply(200, "OK")
	}
}

func (e *ears) deafen() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deaf = true
}

// renew waits for another connection than the silent one.
func (w *world) renew(id string, silent *stack.Conn) (*stack.Conn, error) {
	w.t.Helper()
	type got struct {
		c   *stack.Conn
		err error
	}
	ch := make(chan got, 1)
	w.set.Renew(id, silent, func(c *stack.Conn, err error) { ch <- got{c, err} })
	g := await(w.t, "Renew calls back", ch)
	return g.c, g.err
}

// undisturbed is a trunk that the keepalive asks once, and then only when it is told to.
func undisturbed(id, address, name string) site.Trunk {
	t := trunkTo(id, address, name)
	t.OptionsInterval = 3600
	return t
}

// TestRenew: a connection that swallows everything has another in its place, for everybody, long before the keepalive has found out;
// then it goes.
func TestRenew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Patience: 1500 * time.Millisecond})
	var e ears
	b := w.sbc("a.test", e.answer)
	w.run(undisturbed("a", b.address(), "a.test"))
	w.change(true)
	silent := w.connected("a")
	e.deafen()
	const callers = 20
	conns := make(chan *stack.Conn, callers)
	for range callers {
		w.set.Renew("a", silent, func(c *stack.Conn, err error) {
			if err != nil {
				t.Error(err)
			}
			conns <- c
		})
	}
	again := await(t, "a connection", conns)
	for range callers - 1 {
		if c := await(t, "a connection", conns); c != again {
			t.Error("another connection")
		}
	}
	if again == nil || again == silent || again.Get() != "a" || !again.Authenticated() || w.connected("a") != again {
		t.Fatal("the new connection is not the trunk's")
	}
	if c, ok := w.set.Open("a"); c != again || !ok {
		t.Error("another one is open")
	}
	if c, err := w.renew("a", silent); c != again || err != nil {
		t.Errorf("who finds out later gets another one: %v", err)
	}
	eventually(t, "the dead connection is closed", silent.Closed)
	if again.Closed() || !w.set.Up("a") {
		t.Errorf("the trunk was given up: %+v", w.set.States())
	}
}

// TestRenewSparesTheSlow: a connection that lives after all, on which a call rings, stays until that is over.
func TestRenewSparesTheSlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Patience: 1500 * time.Millisecond})
	e := ears{rings: make(chan *stack.ServerTx, 1)}
	b := w.sbc("a.test", e.answer)
	w.run(undisturbed("a", b.address(), "a.test"))
	w.change(true)
	slow := w.connected("a")
	invite := w.set.find("a").options(slow)
	invite.Method = sip.INVITE
	invite.CSeq().MethodName = sip.INVITE
	got := make(chan error, 10)
	if _, err := slow.Send(invite, func(res *sip.Response, err error) {
		if err != nil || res.StatusCode >= 200 {
			got <- err
		}
	}); err != nil {
		t.Fatal(err)
	}
	rings := await(t, "the INVITE", e.rings)
	asked := b.asked.Load()
	if c, err := w.renew("a", slow); err != nil || c == slow {
		t.Fatalf("renewed: %v", err)
	}
	// Of the three OPTIONS one may be the keepalive's: the old connection has been asked, has answered, and is asked again.
	eventually(t, "the old connection is asked twice", func() bool { return b.asked.Load() >= asked+3 })
	if slow.Closed() {
		t.Fatal("the connection was closed under a call")
	}
	rings.Reply(486, "Busy Here")
	if err := await(t, "the end of the call", got); err != nil {
		t.Errorf("the call ended: %v", err)
	}
	eventually(t, "the old connection is closed", slow.Closed)
	if !w.set.Up("a") {
		t.Errorf("%+v", w.set.States())
	}
}

// TestRenewInVain: where no new connection can be made the old one stays what it is.
func TestRenewInVain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	var e ears
	b := w.sbc("a.test", e.answer)
	w.run(undisturbed("a", b.address(), "a.test"))
	w.change(true)
	silent := w.connected("a")
	tr := w.set.find("a")
	tr.mu.Lock()
	tr.cfg.TLSName = "b.test" // as if another SBC had taken its address
	tr.mu.Unlock()
	if c, err := w.renew("a", silent); c != nil || err == nil {
		t.Errorf("%v, %v", c, err)
	}
	if c := w.connected("a"); c != silent || c.Closed() {
		t.Error("the old connection was given up for nothing")
	}
	if _, err := w.renew("b", silent); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown trunk: %v", err)
	}
}

// TestSilenceOfAnother: an OPTIONS that was lost with a connection takes neither the trunk down nor the connection that has come in its place.
func TestSilenceOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	var e ears
	b := w.sbc("a.test", e.answer)
	w.run(undisturbed("a", b.address(), "a.test"))
	w.change(true)
	silent, tr := w.connected("a"), w.set.find("a")
	again, err := w.renew("a", silent)
	if err != nil {
		t.Fatal(err)
	}
	tr.mu.Lock()
	tr.asked = silent
	tr.mu.Unlock()
	for range missesDown + 1 {
		tr.result(outcome{err: errors.New("no answer")})
	}
	if s := w.set.States()[0]; !s.Up || s.Err != "" || again.Closed() {
		t.Errorf("%+v, closed %v", s, again.Closed())
	}
}

// TestRenewAtTheEnd: what was replaced does not outlive Run, and whoever renews afterwards is told.
func TestRenewAtTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	var e ears
	b := w.sbc("a.test", e.answer)
	w.run(undisturbed("a", b.address(), "a.test"))
	w.change(true)
	silent := w.connected("a")
	e.deafen()
	again, err := w.renew("a", silent)
	if err != nil {
		t.Fatal(err)
	}
	w.end()
	if !silent.Closed() || !again.Closed() {
		t.Errorf("still open: the old %v, the new %v", !silent.Closed(), !again.Closed())
	}
	if _, err := w.renew("a", again); !errors.Is(err, stack.ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
}
