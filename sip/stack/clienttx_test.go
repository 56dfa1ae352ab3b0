package stack

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

// result is one call of a client transaction's function.
type result struct {
	res *sip.Response
	err error
}

// callee makes a stack with one phone connected, and the stack's side of that connection.
func callee(t *testing.T, o Options) (*box, *peer, *Conn) {
	t.Helper()
	b := start(t, o)
	p := b.dial()
	eventually(t, "the connection is known", func() bool { return len(b.Conns()) == 1 })
	return b, p, b.Conns()[0]
}

// outgoing builds the stack's own request.
func outgoing(method sip.RequestMethod) *sip.Request {
	var uri sip.Uri
	sip.ParseUri("sip:201@127.0.0.1:5061", &uri)
	r := sip.NewRequest(method, uri)
	from := &sip.FromHeader{Address: uri, Params: sip.NewParams()}
	from.Params.Add("tag", NewTag())
	id := sip.CallIDHeader(NewCallID())
	hops := sip.MaxForwardsHeader(70)
	for _, h := range []sip.Header{from, &sip.ToHeader{Address: uri}, &id, &sip.CSeqHeader{SeqNo: 3, MethodName: method}, &hops,
		sip.NewHeader("Route", "<sip:edge.test;lr>")} {
		r.AppendHeader(h)
	}
	return r
}

// call sends a request and collects what comes back.
func call(t *testing.T, c *Conn, r *sip.Request) (*ClientTx, chan result) {
	t.Helper()
	got := make(chan result, 100)
	tx, err := c.Send(r, func(res *sip.Response, err error) { got <- result{res, err} })
	if err != nil {
		t.Fatal(err)
	}
	return tx, got
}

func (p *peer) answer(r *sip.Request, status int, toTag string) {
	p.t.Helper()
	p.send(NewResponse(r, status, "Reason", toTag).String())
}

func wantStatus(t *testing.T, got chan result, status int) *sip.Response {
	t.Helper()
	r := await(t, "response", got)
	if r.err != nil || r.res.StatusCode != status {
		t.Fatalf("%v, %v; want %d", r.res, r.err, status)
	}
	return r.res
}

// nothingElse asserts, after an exchange that would have carried it, that no further result came.
func nothingElse(t *testing.T, p *peer, got chan result) {
	t.Helper()
	p.works()
	if len(got) != 0 {
		t.Errorf("then came %+v", <-got)
	}
}

func TestClientNonInvite(t *testing.T) {
	b, p, c := callee(t, Options{})
	tx, got := call(t, c, outgoing(sip.OPTIONS))
	r := p.request(sip.OPTIONS)
	if tx.Request().Via().Value() != r.Via().Value() || tx.Conn() != c || r.ContentLength() == nil {
		t.Errorf("sent %s", r)
	}
	p.answer(r, 100, "")
	wantStatus(t, got, 100)
	tx.Cancel() // no CANCEL for what is no INVITE
	p.answer(r, 404, "x")
	wantStatus(t, got, 404)
	p.answer(r, 200, "x") // late
	nothingElse(t, p, got)
	if n := b.Counters().StrayResponses.Load(); n != 1 {
		t.Errorf("%d stray", n)
	}
}

// Every 2xx of a forked INVITE and every repetition is passed on for a while (RFC 6026); then they are stray.
func TestClientInviteAccepted(t *testing.T) {
	b, p, c := callee(t, Options{Timers: Timers{B: time.Second}})
	_, got := call(t, c, outgoing(sip.INVITE))
	r := p.request(sip.INVITE)
	p.answer(r, 180, "a")
	p.answer(r, 183, "b")
	p.answer(r, 200, "a")
	p.answer(r, 200, "b")
	p.answer(r, 200, "a")
	p.answer(r, 180, "c") // too late to matter
	for _, status := range []int{180, 183, 200, 200, 200} {
		wantStatus(t, got, status)
	}
	p.answer(r, 486, "d") // another branch's refusal after the answer: acknowledged, not passed on
	ack := p.request(sip.ACK)
	if tag, _ := ack.To().Params.Get("tag"); tag != "d" {
		t.Errorf("ACK to %q", tag)
	}
	nothingElse(t, p, got)
	eventually(t, "timer M", func() bool { return b.clients.size() == 0 })
	p.answer(r, 200, "e")
	nothingElse(t, p, got)
	if n := b.Counters().StrayResponses.Load(); n != 1 {
		t.Errorf("%d stray", n)
	}
}

func TestClientInviteRefused(t *testing.T) {
	b, p, c := callee(t, Options{})
	_, got := call(t, c, outgoing(sip.INVITE))
	r := p.request(sip.INVITE)
	p.answer(r, 486, "busy")
	wantStatus(t, got, 486)
	ack := p.request(sip.ACK)
	tag, _ := ack.To().Params.Get("tag")
	if tag != "busy" || ack.Via().Value() != r.Via().Value() || ack.CSeq().Value() != "3 ACK" || ack.CallID().Value() != r.CallID().Value() ||
		ack.From().Value() != r.From().Value() || ack.Recipient.String() != r.Recipient.String() || ack.GetHeader("Route") == nil {
		t.Errorf("ACK:\n%s", ack)
	}
	nothingElse(t, p, got)
	if n := b.clients.size(); n != 0 {
		t.Errorf("%d transactions left", n)
	}
}

func TestClientTimeout(t *testing.T) {
	for _, method := range []sip.RequestMethod{sip.INVITE, sip.OPTIONS} {
		b, p, c := callee(t, Options{Timers: Timers{B: 50 * time.Millisecond}})
		_, got := call(t, c, outgoing(method))
		r := p.request(method)
		if e := await(t, "timeout", got); !errors.Is(e.err, ErrTimeout) {
			t.Fatalf("%+v", e)
		}
		p.answer(r, 200, "late")
		nothingElse(t, p, got)
		if n := b.clients.size(); n != 0 {
			t.Errorf("%d transactions left", n)
		}
	}
}

// After a provisional response an INVITE has no timeout here; a request of another kind keeps its own.
func TestClientRinging(t *testing.T) {
	_, p, c := callee(t, Options{Timers: Timers{B: 60 * time.Millisecond}})
	_, invite := call(t, c, outgoing(sip.INVITE))
	p.answer(p.request(sip.INVITE), 180, "a")
	wantStatus(t, invite, 180)
	_, options := call(t, c, outgoing(sip.OPTIONS))
	p.answer(p.request(sip.OPTIONS), 100, "")
	wantStatus(t, options, 100)
	if e := await(t, "timeout", options); !errors.Is(e.err, ErrTimeout) { // the INVITE's would have come first
		t.Fatalf("%+v", e)
	}
	nothingElse(t, p, invite)
}

func TestClientConnectionLost(t *testing.T) {
	b, p, c := callee(t, Options{})
	_, invite := call(t, c, outgoing(sip.INVITE))
	_, options := call(t, c, outgoing(sip.OPTIONS))
	r := p.request(sip.INVITE)
	p.answer(r, 200, "a")
	wantStatus(t, invite, 200)
	p.NetConn().Close()
	if e := await(t, "error", options); !errors.Is(e.err, ErrConnClosed) {
		t.Fatalf("%+v", e)
	}
	eventually(t, "no transactions", func() bool { return b.clients.size() == 0 })
	if len(invite) != 0 {
		t.Errorf("an answered INVITE failed: %+v", <-invite)
	}
	if _, err := c.Send(outgoing(sip.OPTIONS), func(*sip.Response, error) { t.Error("told although Send failed") }); !errors.Is(err, ErrConnClosed) {
		t.Errorf("Send: %v", err)
	}
}

// However Send and the connection's end meet, the owner hears of it exactly once.
func TestClientSendWhileClosing(t *testing.T) {
	b := start(t, Options{})
	for range 50 {
		p := b.dial()
		eventually(t, "the connection", func() bool { return len(b.Conns()) == 1 })
		c := b.Conns()[0]
		go c.Close()
		for {
			var told atomic.Int32
			_, err := c.Send(outgoing(sip.OPTIONS), func(*sip.Response, error) { told.Add(1) })
			if err != nil {
				if n := told.Load(); n != 0 {
					t.Fatalf("Send failed and told %d times", n)
				}
				break
			}
			eventually(t, "told", func() bool { return told.Load() == 1 })
		}
		p.NetConn().Close()
		eventually(t, "gone", func() bool { return len(b.Conns()) == 0 })
	}
}

func TestClientCancel(t *testing.T) {
	reason := sip.NewHeader("Reason", `SIP;cause=200;text="Call completed elsewhere"`)
	check := func(t *testing.T, p *peer, invite *sip.Request) {
		t.Helper()
		cancel := p.request(sip.CANCEL)
		if cancel.Via().Value() != invite.Via().Value() || cancel.CSeq().Value() != "3 CANCEL" || cancel.To().Value() != invite.To().Value() ||
			cancel.CallID().Value() != invite.CallID().Value() || cancel.GetHeader("Reason") == nil ||
			cancel.GetHeader("Reason").Value() != reason.Value() || cancel.GetHeader("Route") == nil || len(cancel.GetHeaders("Via")) != 1 {
			t.Errorf("CANCEL:\n%s", cancel)
		}
		p.answer(cancel, 200, "x")
		p.answer(invite, 487, "x")
		p.request(sip.ACK)
	}
	t.Run("after a provisional", func(t *testing.T) {
		b, p, c := callee(t, Options{})
		tx, got := call(t, c, outgoing(sip.INVITE))
		r := p.request(sip.INVITE)
		p.answer(r, 180, "x")
		wantStatus(t, got, 180)
		tx.Cancel(reason)
		tx.Cancel(reason)
		check(t, p, r)
		wantStatus(t, got, 487)
		tx.Cancel(reason)
		nothingElse(t, p, got)
		if n := b.clients.size(); n != 0 {
			t.Errorf("%d transactions left", n)
		}
	})
	t.Run("before a provisional", func(t *testing.T) {
		_, p, c := callee(t, Options{})
		tx, got := call(t, c, outgoing(sip.INVITE))
		tx.Cancel(reason)
		r := p.request(sip.INVITE)
		p.works() // no CANCEL yet (RFC 3261 §9.1)
		p.answer(r, 100, "")
		wantStatus(t, got, 100)
		check(t, p, r)
		wantStatus(t, got, 487)
	})
	t.Run("answered meanwhile", func(t *testing.T) {
		_, p, c := callee(t, Options{})
		tx, got := call(t, c, outgoing(sip.INVITE))
		tx.Cancel(reason)
		p.answer(p.request(sip.INVITE), 200, "x")
		wantStatus(t, got, 200) // the owner's to acknowledge and end
		nothingElse(t, p, got)
	})
	t.Run("never answered", func(t *testing.T) {
		b, p, c := callee(t, Options{Timers: Timers{B: 60 * time.Millisecond}})
		tx, got := call(t, c, outgoing(sip.INVITE))
		r := p.request(sip.INVITE)
		p.answer(r, 180, "x")
		wantStatus(t, got, 180)
		tx.Cancel(reason)
		p.request(sip.CANCEL)
		if e := await(t, "timeout", got); !errors.Is(e.err, ErrTimeout) {
			t.Fatalf("%+v", e)
		}
		eventually(t, "no transactions", func() bool { return b.clients.size() == 0 })
	})
}

func TestClientBound(t *testing.T) {
	b, p, c := callee(t, Options{Limits: Limits{ClientTransactions: 1}})
	_, got := call(t, c, outgoing(sip.OPTIONS))
	if _, err := c.Send(outgoing(sip.OPTIONS), func(*sip.Response, error) {}); !errors.Is(err, ErrTooMany) {
		t.Errorf("Send: %v", err)
	}
	p.answer(p.request(sip.OPTIONS), 200, "x")
	wantStatus(t, got, 200)
	if n := b.clients.size(); n != 0 {
		t.Errorf("%d transactions left", n)
	}
}

// A response counts only on the connection that its request went out on.
func TestClientForeignResponse(t *testing.T) {
	b, p, c := callee(t, Options{})
	q := b.dial()
	_, got := call(t, c, outgoing(sip.INVITE))
	r := p.request(sip.INVITE)
	q.answer(r, 200, "forged")
	q.works()
	if len(got) != 0 {
		t.Fatal("a response from elsewhere was taken")
	}
	p.answer(r, 200, "true")
	if tag, _ := wantStatus(t, got, 200).To().Params.Get("tag"); tag != "true" {
		t.Errorf("tag %q", tag)
	}
}
