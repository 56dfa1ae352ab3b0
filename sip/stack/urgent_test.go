package stack

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

// urgentOptions serve OPTIONS to "help" when nothing else is served.
func urgentOptions(l Limits) Options {
	return Options{Limits: l, Urgent: func(_ *Conn, r *sip.Request) bool { return r.Recipient.User == "help" }}
}

func helpRequest() string {
	r := request("OPTIONS")
	line, rest, _ := strings.Cut(r, "\r\n")
	parts := strings.Fields(line)
	return parts[0] + " sip:help@box.test " + parts[2] + "\r\n" + rest
}

// TestUrgentBeyondTheRate: a flood on a connection does not lock its own call for help out, and a flood of those has an
// end too.
func TestUrgentBeyondTheRate(t *testing.T) {
	b := start(t, urgentOptions(Limits{UnauthenticatedRate: 1}))
	p := b.dial()
	for range 2 {
		p.send(request("OPTIONS"))
		p.response(200)
	}
	p.send(request("OPTIONS"))
	p.response(503)
	for range 2 {
		p.send(helpRequest())
		p.response(200)
	}
	p.send(helpRequest())
	p.response(503)
}

// TestUrgentBeyondTheTransactions: neither a connection's nor the stack's bound refuses help.
func TestUrgentBeyondTheTransactions(t *testing.T) {
	for name, l := range map[string]Limits{"connection": {TransactionsPerConn: 1}, "stack": {ServerTransactions: 1}} {
		t.Run(name, func(t *testing.T) {
			o := urgentOptions(l)
			held := make(chan *ServerTx, 8)
			o.OnRequest = func(tx *ServerTx) {
				if tx.Request().Recipient.User == "help" {
					tx.Reply(200, "OK")
					return
				}
				held <- tx
			}
			b := start(t, o)
			p := b.dial()
			p.send(request("OPTIONS"))
			first := <-held
			p.send(request("OPTIONS"))
			p.response(503)
			p.send(helpRequest())
			p.response(200)
			first.Reply(200, "OK")
			p.response(200)
		})
	}
}

// TestSpareConnections: with every place taken a connection is still accepted, for help alone and for a while.
func TestSpareConnections(t *testing.T) {
	b := start(t, urgentOptions(Limits{Connections: 2, UnauthenticatedIdle: time.Minute}))
	for range 2 {
		b.dial().works()
	}
	p := b.dial()
	p.send(request("OPTIONS"))
	p.response(503)
	p.send(helpRequest())
	p.response(200)
	eventually(t, "a spare connection that asked for help is kept", func() bool {
		for _, c := range b.Conns() {
			c.mu.Lock()
			kept := c.spare && time.Until(c.kept) > spareFor
			c.mu.Unlock()
			if kept {
				return true
			}
		}
		return false
	})
	for range spareConns - 1 {
		b.dial()
	}
	if p, err := b.tryDial(Access, b.config()); err == nil {
		p.closed()
	}
}

// TestNoSpareWithoutNeed: who has nothing urgent has no spare places either.
func TestNoSpareWithoutNeed(t *testing.T) {
	b := start(t, Options{Limits: Limits{Connections: 1}})
	b.dial().works()
	if p, err := b.tryDial(Access, b.config()); err == nil {
		p.closed()
	}
}

// TestKeepFor: a stranger's connection stays as long as it is asked for, and no longer.
func TestKeepFor(t *testing.T) {
	b := start(t, Options{Limits: Limits{UnauthenticatedIdle: 200 * time.Millisecond}, OnRequest: func(tx *ServerTx) {
		tx.Conn().KeepFor(time.Hour)
		tx.Conn().KeepFor(time.Millisecond) // shortens nothing
		tx.Reply(200, "OK")
	}})
	kept, other := b.dial(), b.dial()
	kept.send(request("OPTIONS"))
	kept.response(200)
	other.closed() // the clock
	time.Sleep(50 * time.Millisecond)
	kept.works()
}

// TestSendUrgent has a place where there is none.
func TestSendUrgent(t *testing.T) {
	s := New(Options{Limits: Limits{ClientTransactions: 1}})
	c := &Conn{s: s}
	if _, err := c.begin(sip.NewRequest(sip.OPTIONS, sip.Uri{}), "a", nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := c.begin(sip.NewRequest(sip.OPTIONS, sip.Uri{}), "b", nil, false); err != ErrTooMany {
		t.Errorf("%v", err)
	}
	urgent, err := c.begin(sip.NewRequest(sip.INVITE, sip.Uri{}), "c", func(*sip.Response, error) {}, true)
	if err != nil {
		t.Error(err)
	}
	urgent.end()
}

// TestSpareOfOneSource: a branch whose phones come from one address, as many as one address may have, can still call for help, and
// for nothing else; others are not touched by it, and it has an end too.
func TestSpareOfOneSource(t *testing.T) {
	b := start(t, urgentOptions(Limits{PerSource: 2}))
	for range 2 {
		b.dial().works()
	}
	p := b.dial()
	p.send(request("OPTIONS"))
	p.response(503)
	p.send(helpRequest())
	p.response(200)
	b.dialFrom(9).works()
	for range spareSource - 1 {
		b.dial()
	}
	if p, err := b.tryDial(Access, b.config()); err == nil {
		p.closed()
	}
}

// TestSpareBeyondTheAcceptRate: so can one whose phones all come at once.
func TestSpareBeyondTheAcceptRate(t *testing.T) {
	l := newListener(New(urgentOptions(Limits{AcceptRate: 10, Handshakes: 400})), Access, nil, nil)
	addr, now := netip.MustParseAddr("192.0.2.1"), time.Unix(0, 0)
	for _, step := range []struct {
		after        time.Duration
		plain, spare int
	}{{0, 10, spareSource}, {500 * time.Millisecond, 5, spareRate / 2}, {time.Hour, 10, spareSource}} {
		now = now.Add(step.after)
		plain, spare := 0, 0
		for range 100 {
			beyond, ok := l.admit(addr, now)
			if !ok {
				continue
			}
			l.settled(addr)
			l.release(addr)
			if beyond {
				spare++
			} else {
				plain++
			}
		}
		if plain != step.plain || spare != step.spare {
			t.Errorf("after %v: %d and %d beyond, want %d and %d", step.after, plain, spare, step.plain, step.spare)
		}
	}
	// The handshakes that a source has under way are bounded as before, but for those.
	n := 0
	for now = now.Add(time.Hour); n < 1000; n++ {
		now = now.Add(time.Second)
		if _, ok := l.admit(addr, now); !ok {
			break
		}
	}
	if n != 400/4+spareSource {
		t.Errorf("%d handshakes of one source", n)
	}
}

// TestUrgentRequiresAnything: a call for help is not refused for an extension that the box does not know; what else requires
// one is.
func TestUrgentRequiresAnything(t *testing.T) {
	o := urgentOptions(Limits{})
	o.OnRequest = func(tx *ServerTx) { tx.Reply(486, "Busy Here") }
	b := start(t, o)
	p := b.dial()
	help := func(r string) string { return strings.Replace(r, " sip:box.test ", " sip:help@box.test ", 1) }
	odd := "Require: 100rel, nobody-knows-this"
	for name, c := range map[string]struct {
		request string
		want    int
	}{
		"help":                 {help(request("INVITE", odd)), 486},
		"somebody else":        {request("INVITE", odd), 420},
		"no call":              {help(request("OPTIONS", odd)), 420},
		"within a dialog":      {strings.Replace(help(request("INVITE", odd)), "To: <sip:201@box.test>", "To: <sip:201@box.test>;tag=x", 1), 420},
		"help, and unreadable": {help(request("INVITE", odd, "CSeq: 2 INVITE")), 400},
	} {
		t.Run(name, func(t *testing.T) {
			p.send(c.request)
			p.response(c.want)
		})
	}
}
