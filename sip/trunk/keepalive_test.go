package trunk

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	reqs := make(chan *sip.Request, 1)
	b := w.sbc("sbc.test", func(n int, tx *stack.ServerTx) {
		if n == 1 {
			reqs <- tx.Request()
		}
		tx.Reply(200, "OK")
	})
	cfg := trunkTo("a", b.address(), "sbc.test")
	cfg.Domain = "carrier.example.net"
	w.run(cfg)
	r := await(t, "an OPTIONS", reqs)
	if r.Method != sip.OPTIONS || r.Recipient.Host != "carrier.example.net" || r.To().Address.Host != "carrier.example.net" || r.MaxForwards().Val() != 70 {
		t.Errorf("asked by:\n%s", r)
	}
	for _, h := range r.Headers() {
		if !slices.Contains([]string{"Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Accept", "Content-Length"}, h.Name()) {
			t.Errorf("OPTIONS tells %s: %s", h.Name(), h.Value())
		}
	}
	s := w.change(true)
	if s.ID != "a" || s.Address != b.address() || s.Err != "" || s.RTT <= 0 || s.RTT > patience || s.LastProbe.Before(s.Since.Add(-time.Second)) {
		t.Errorf("state %+v", s)
	}
	if !w.set.Up("a") || w.set.Up("b") || len(w.set.States()) != 1 {
		t.Errorf("states %+v", w.set.States())
	}
}

// TestVerdicts: what an SBC's answer to OPTIONS says of it.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	for status, up := range map[int]bool{200: true, 404: true, 405: true, 481: true, 500: true, 403: true, 603: true, 302: true, 503: false, 408: false} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			own := &world{t: t, ca: w.ca, set: New(Options{Stack: w.stack, Roots: w.roots, Certificate: w.set.o.Certificate})}
			b := own.sbc("sbc.test", func(n int, tx *stack.ServerTx) {
				tx.Reply(183, "Provisional")
				tx.Reply(status, "Final")
			})
			cfg := trunkTo("a", b.address(), "sbc.test")
			cfg.OptionsInterval = 30 // a slow machine has all of the patience
			own.run(cfg)
			eventually(t, "its verdict", func() bool {
				s := own.set.States()[0]
				return s.Up == up && (up || strings.Contains(s.Err, fmt.Sprint(status)))
			})
		})
	}
}

// TestOneMissIsNone: an SBC may lose one OPTIONS.
func TestOneMissIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Patience: 900 * time.Millisecond, Retry: 20 * time.Millisecond})
	var silent atomic.Int32
	b := w.sbc("sbc.test", func(n int, tx *stack.ServerTx) {
		if silent.Add(-1) < 0 {
			tx.Reply(200, "OK")
		}
	})
	w.run(trunkTo("a", b.address(), "sbc.test"))
	w.change(true)
	silent.Store(1)
	eventually(t, "an OPTIONS after the one that was lost", func() bool { return silent.Load() < 0 })
	eventually(t, "the miss is forgotten", func() bool { s := w.set.States()[0]; return s.Err == "" })
	if len(w.changes) > 0 {
		t.Errorf("one miss: %+v", <-w.changes)
	}
	if n := b.Counters().Accepted.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestTwoMisses: an SBC that says nothing any more is down, and its connection is made anew.
func TestTwoMisses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Patience: 300 * time.Millisecond, Retry: 20 * time.Millisecond})
	var silent atomic.Int32 // set once it is up: where the first answer comes too late, two more that are lost take nothing down
	b := w.sbc("sbc.test", func(n int, tx *stack.ServerTx) {
		if silent.Add(-1) < 0 {
			tx.Reply(200, "OK")
		}
	})
	w.run(trunkTo("a", b.address(), "sbc.test"))
	up := w.change(true)
	silent.Store(2)
	down := w.change(false)
	if !strings.Contains(down.Err, "no answer to OPTIONS in 300ms") || !down.Since.After(up.Since) {
		t.Errorf("down: %+v", down)
	}
	w.change(true)
	if n := b.Counters().Accepted.Load(); n < 2 { // more, where the machine is too slow for a handshake in time
		t.Errorf("%d connections, want a second after the silence", n)
	}
}

// TestBusySBC: an SBC that refuses OPTIONS takes no new calls; those that run keep their connection.
func TestBusySBC(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Retry: 20 * time.Millisecond})
	var busy atomic.Int32
	b := w.sbc("sbc.test", func(n int, tx *stack.ServerTx) {
		if busy.Add(-1) >= 0 {
			tx.Reply(503, "Maintenance")
			return
		}
		tx.Reply(200, "OK")
	})
	w.run(trunkTo("a", b.address(), "sbc.test"))
	w.change(true)
	busy.Store(6)
	if s := w.change(false); s.Err != "OPTIONS answered 503" {
		t.Errorf("down: %+v", s)
	}
	w.change(true)
	if n := b.Counters().Accepted.Load(); n != 1 {
		t.Errorf("%d connections, want the first all the time", n)
	}
}

// TestRestart: the SBC goes away, is seen to be down, and comes back at the same address.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Retry: 20 * time.Millisecond})
	cert := w.ca.leaf(t, "sbc.test")
	b := newSBC(t, w.server(cert), nowhere, nil)
	at := b.address()
	w.run(trunkTo("a", at, "sbc.test"))
	w.change(true)
	b.stop()
	if s := w.change(false); !strings.Contains(s.Err, "refused") {
		t.Errorf("down: %+v", s)
	}
	if _, err := w.connect("a"); err == nil {
		t.Error("connected to an SBC that is away")
	}
	newSBC(t, w.server(cert), at, nil)
	w.change(true)
	if c, err := w.connect("a"); err != nil || c.Get() != "a" || c.Side() != stack.Trunk || !c.Authenticated() {
		t.Errorf("connect: %v", err)
	}
}

// TestHangsUpAlways: an SBC that closes each connection after its answer is not dialled more often than Retry allows.
func TestHangsUpAlways(t *testing.T) {
	t.Parallel()
	const retry = 100 * time.Millisecond
	w := newWorld(t, Options{Retry: retry})
	times := make(chan time.Time, 100)
	b := w.sbc("sbc.test", func(n int, tx *stack.ServerTx) {
		times <- time.Now()
		tx.Reply(200, "OK")
		tx.Conn().Hangup()
	})
	w.run(trunkTo("a", b.address(), "sbc.test"))
	first := await(t, "an OPTIONS", times)
	for range 4 {
		last := await(t, "the next OPTIONS: a lost connection is noticed before the interval", times)
		if took := last.Sub(first); took < retry/2 {
			t.Errorf("asked again after %v", took)
		}
		first = last
	}
}

// TestSilentListener: something that accepts and says nothing is down, and does not hold up the end.
func TestSilentListener(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := newWorld(t, Options{Patience: 50 * time.Millisecond, Retry: 20 * time.Millisecond})
	w.run(trunkTo("a", l.Addr().String(), "sbc.test"))
	eventually(t, "the trunk is probed", func() bool { return !w.set.States()[0].LastProbe.IsZero() })
	if w.set.Up("a") {
		t.Error("silence took the trunk up")
	}
	began := time.Now()
	w.end()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the end took %v: the dial was not given up", took)
	}
}
