package stack

import (
	"crypto/tls"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/emiago/sipgo/sip"
)

func TestServerDuplicate(t *testing.T) {
	var calls atomic.Int32
	txs := make(chan *ServerTx, 4)
	_, p, _ := callee(t, Options{OnRequest: func(tx *ServerTx) {
		if tx.Request().Method == sip.OPTIONS {
			tx.Reply(200, "OK")
			return
		}
		calls.Add(1)
		txs <- tx
	}})
	r := request("INVITE")
	p.send(r + r)
	tx := await(t, "request", txs)
	p.send(r)
	p.works()
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls of one request", n)
	}
	tx.Reply(603, "Decline")
	p.response(603)
	p.works()

	// Requests of a client without unique branches (RFC 2543) are told apart by the rest.
	old := strings.Replace(request("INVITE"), "branch=z9hG4bK", "branch=", 1)
	p.send(old + old + strings.Replace(old, "CSeq: 1", "CSeq: 2", 1))
	one, two := await(t, "first", txs), await(t, "second", txs) // the repetition was between them
	one.Reply(603, "Decline")
	two.Reply(603, "Decline")
	p.response(603)
	p.response(603)
	p.works()
	if n := calls.Load(); n != 3 {
		t.Errorf("%d calls", n)
	}
}

func TestServerCancel(t *testing.T) {
	txs := make(chan *ServerTx, 1)
	b := start(t, Options{OnRequest: func(tx *ServerTx) {
		if tx.Request().Method == sip.OPTIONS {
			tx.Reply(200, "OK")
			return
		}
		txs <- tx
	}})
	p, q := b.dial(), b.dial()
	cancelOf := func(invite string) string {
		return strings.NewReplacer("INVITE sip", "CANCEL sip", "1 INVITE", "1 CANCEL").Replace(invite)
	}
	for _, early := range []bool{true, false} {
		cancelled := make(chan struct{}, 2)
		invite := request("INVITE")
		p.send(invite)
		tx := await(t, "request", txs)
		terminate := func() {
			cancelled <- struct{}{}
			tx.Reply(487, "Request Terminated")
		}
		q.send(cancelOf(invite)) // from elsewhere: not its transaction
		q.response(481)
		if !early {
			tx.OnCancel(terminate)
		}
		p.send(cancelOf(invite))
		if early {
			p.response(200)
			set := make(chan struct{})
			tx.OnCancel(func() { <-set; terminate() }) // never holds up who sets it
			close(set)
			p.response(487)
		} else {
			ok, gone := p.response(200), p.response(487)
			a, _ := ok.To().Params.Get("tag")
			z, _ := gone.To().Params.Get("tag")
			if a == "" || a != z {
				t.Errorf("tags %q and %q", a, z)
			}
		}
		await(t, "OnCancel", cancelled)
		p.send(cancelOf(invite)) // the transaction is over
		p.response(481)
		if len(cancelled) != 0 {
			t.Error("OnCancel twice")
		}
		tx.OnCancel(func() {})
	}
	// Answered before: 481, and OnCancel is not run.
	invite := request("INVITE")
	p.send(invite)
	tx := await(t, "request", txs)
	tx.OnCancel(func() { t.Error("cancelled after the answer") })
	tx.Reply(200, "OK")
	p.response(200)
	p.send(cancelOf(invite))
	p.response(481)
	if n := b.servers.size(); n != 0 {
		t.Errorf("%d transactions left", n)
	}
}

// TestTrunkCancelsElsewhere: an SBC may send a CANCEL on another of its connections; another SBC's matches nothing.
func TestTrunkCancelsElsewhere(t *testing.T) {
	cancelled, txs := make(chan struct{}, 2), make(chan *ServerTx, 1)
	b := start(t, Options{
		OnRequest: func(tx *ServerTx) {
			tx.OnCancel(func() { cancelled <- struct{}{} })
			txs <- tx
		},
		Authorize: func(c *Conn) error {
			c.Set(c.PeerCertificate().Subject.CommonName)
			return nil
		},
	}, Trunk)
	sbc := func(name string) *peer {
		cfg := b.config()
		cfg.Certificates = []tls.Certificate{b.ca.issue(t, name)}
		p, err := b.tryDial(Trunk, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	one, other, stranger := sbc("sbc.test"), sbc("sbc.test"), sbc("other.test")
	invite := request("INVITE")
	cancel := strings.NewReplacer("INVITE sip", "CANCEL sip", "1 INVITE", "1 CANCEL").Replace(invite)
	one.send(invite)
	tx := await(t, "request", txs)
	stranger.send(cancel)
	stranger.response(481)
	other.send(cancel)
	other.response(200)
	await(t, "OnCancel", cancelled)
	tx.Reply(487, "Request Terminated")
	one.response(487)
	if n := b.servers.size(); n != 0 {
		t.Errorf("%d transactions left", n)
	}
}

func TestServerGone(t *testing.T) {
	txs := make(chan *ServerTx, 2)
	b, p, _ := callee(t, Options{OnRequest: func(tx *ServerTx) { txs <- tx }})
	p.send(request("INVITE") + request("INVITE"))
	one, two := await(t, "request", txs), await(t, "request", txs)
	gone := make(chan struct{}, 4)
	one.OnGone(func() { gone <- struct{}{} })
	two.OnGone(func() { t.Error("told of a loss after the answer") })
	two.Reply(404, "Not Found")
	p.response(404)
	p.NetConn().Close()
	await(t, "OnGone", gone)
	eventually(t, "no transactions", func() bool { return b.servers.size() == 0 })
	one.OnGone(func() { gone <- struct{}{} }) // later: at once
	await(t, "OnGone at once", gone)
	two.OnGone(func() { t.Error("told of a loss after the answer") })
	if err := one.Reply(200, "OK"); !errors.Is(err, ErrConnClosed) {
		t.Errorf("Reply: %v", err)
	}
}

// A connection may be closed, such as by one who could not write to it, while a request that was read before is on its way: it is served,
// since it may be a call for help, and told that its connection is gone; nobody has to answer it for nothing of it to be left.
func TestReadBeforeTheEnd(t *testing.T) {
	txs := make(chan *ServerTx, 1)
	b, p, _ := callee(t, Options{OnRequest: func(tx *ServerTx) { txs <- tx }})
	p.send(request("INVITE"))
	c := await(t, "request", txs).Conn()
	c.Close()
	for _, text := range []string{request("INVITE"), strings.Replace(request("BYE"), "\r\nCall-ID", ";tag=box\r\nCall-ID", 1)} {
		m, err := sip.ParseMessage([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		c.handle(m, len(text))
		tx := await(t, "request", txs)
		gone := make(chan struct{})
		tx.OnGone(func() { close(gone) })
		await(t, "OnGone", gone)
		if u := b.Usage(); u.ServerTxs != 0 || u.HeldBytes != 0 {
			t.Errorf("%s: left behind: %+v", tx.Method(), u)
		}
		if err := tx.Reply(200, "OK"); !errors.Is(err, ErrConnClosed) {
			t.Errorf("%s: Reply: %v", tx.Method(), err)
		}
	}
}

func TestServerBounds(t *testing.T) {
	release := make(chan struct{})
	b := start(t, Options{Limits: Limits{TransactionsPerConn: 2, ServerTransactions: 3, UnauthenticatedRate: 100},
		OnRequest: func(tx *ServerTx) { <-release; tx.Reply(200, "OK") }})
	p, q := b.dial(), b.dial()
	p.send(request("OPTIONS") + request("OPTIONS") + request("OPTIONS"))
	p.response(503) // the third of one connection
	q.send(request("OPTIONS") + request("OPTIONS"))
	q.response(503) // the fourth of all
	close(release)
	p.response(200)
	p.response(200)
	q.response(200)
	p.works()
	q.works()
	if n := b.servers.size(); n != 0 {
		t.Errorf("%d transactions left", n)
	}
}

// An ACK reaches OnAck, in the order of the wire.
func TestAck(t *testing.T) {
	acks := make(chan string, 3)
	_, p, _ := callee(t, Options{OnAck: func(_ *Conn, r *sip.Request) { acks <- r.CallID().Value() }})
	r := request("ACK")
	p.send(r + request("ACK", "Require: nothing") + strings.Replace(request("ACK"), "Via:", "Vai:", 1))
	p.works()
	if len(acks) != 2 || !strings.Contains(r, "Call-ID: "+<-acks+"\r\n") {
		t.Error("ACKs lost or out of order")
	}
}
