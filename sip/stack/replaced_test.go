package stack

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

// TestClientCancelOver: an INVITE that got no word is cancelled over another connection, once and only when it is cancelled at all; the
// CANCEL on its own connection still follows what comes there.
func TestClientCancelOver(t *testing.T) {
	b, p, c := callee(t, Options{})
	q := b.dial()
	eventually(t, "the second connection is known", func() bool { return len(b.Conns()) == 2 })
	var other *Conn
	for _, x := range b.Conns() {
		if x != c {
			other = x
		}
	}
	tx, got := call(t, c, outgoing(sip.INVITE))
	invite := p.request(sip.INVITE)
	tx.CancelOver(other) // nobody has given it up
	tx.Cancel()
	tx.CancelOver(c) // that is no other
	tx.CancelOver(other)
	tx.CancelOver(other)
	cancel := q.request(sip.CANCEL)
	branch := func(r *sip.Request) string { v, _ := r.Via().Params.Get("branch"); return v + " " + r.Via().Host }
	tag, _ := cancel.From().Params.Get("tag")
	if theirs, _ := invite.From().Params.Get("tag"); branch(cancel) != branch(invite) || tag != theirs || cancel.CallID().Value() != invite.CallID().Value() ||
		cancel.CSeq().SeqNo != invite.CSeq().SeqNo || cancel.CSeq().MethodName != sip.CANCEL || cancel.Recipient.String() != invite.Recipient.String() {
		t.Errorf("the CANCEL fits another INVITE:\n%s\n%s", invite, cancel)
	}
	q.answer(cancel, 481, "x")
	p.answer(invite, 180, "y")
	wantStatus(t, got, 180)
	p.answer(p.request(sip.CANCEL), 200, "y")
	p.answer(invite, 487, "y")
	wantStatus(t, got, 487)
	p.request(sip.ACK)
	tx.CancelOver(other) // it is over
	q.works()            // and nothing but the one CANCEL came
	p.works()
	eventually(t, "no transaction is left", func() bool { return b.clients.size() == 0 })
}

// TestIdle: a connection on which a transaction is open, of either side, is not idle.
func TestIdle(t *testing.T) {
	asked := make(chan *ServerTx, 1)
	_, p, c := callee(t, Options{OnRequest: func(tx *ServerTx) { asked <- tx }})
	if !c.Idle() {
		t.Error("not idle at first")
	}
	_, got := call(t, c, outgoing(sip.OPTIONS))
	if c.Idle() {
		t.Error("idle with a request on the way")
	}
	p.answer(p.request(sip.OPTIONS), 200, "x")
	wantStatus(t, got, 200)
	eventually(t, "idle again", c.Idle)
	p.send(request("INFO"))
	tx := await(t, "the request", asked)
	if c.Idle() {
		t.Error("idle with a request unanswered")
	}
	tx.Reply(200, "OK")
	p.response(200)
	eventually(t, "idle again", c.Idle)
}

// TestAbort: the peer is told that the connection broke, not that it came to its end: nothing of it is sent any more.
func TestAbort(t *testing.T) {
	a, z := tcpPair(t)
	s := New(Options{})
	c := s.newConn(Trunk, a, TCP, nil)
	c.Abort()
	z.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := z.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer reads: %v", err)
	}
	if !c.Closed() {
		t.Error("the connection is still open")
	}
	c.Abort() // again
}

func tcpPair(t *testing.T) (a, z net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp4", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if z, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { z.Close() })
	return a, z
}
