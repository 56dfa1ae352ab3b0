package b2bua

import (
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/sdp"
	"holdfast/sip/stack"
)

// ua is a phone or an SBC played by the test, on one connection.
type ua struct {
	w        *world
	name     string
	stack    *stack.Stack
	conn     *stack.Conn
	requests chan *stack.ServerTx
	acks     chan *sip.Request
	cancels  chan *stack.ServerTx
}

// request builds a request outside of a dialog.
func (u *ua) request(m sip.RequestMethod, from, to string, body []byte) *sip.Request {
	req := sip.NewRequest(m, sip.Uri{Scheme: "sip", User: to, Host: "lsp.test"})
	f := &sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: from, Host: "lsp.test"}, Params: sip.NewParams()}
	f.Params.Add("tag", stack.NewTag())
	req.AppendHeader(f)
	req.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: "sip", User: to, Host: "lsp.test"}})
	id := sip.CallIDHeader(stack.NewCallID())
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: m})
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: u.name, Host: u.conn.Local().Addr().String(), Port: int(u.conn.Local().Port())}})
	setSDP(req, body)
	return req
}

// outgoing is a call that a ua makes.
type outgoing struct {
	u   *ua
	req *sip.Request
	tx  *stack.ClientTx
	res chan *sip.Response
	dlg dialog // once answered
}

func (u *ua) send(req *sip.Request) *outgoing {
	u.w.t.Helper()
	o := &outgoing{u: u, req: req, res: make(chan *sip.Response, 32)}
	tx, err := u.conn.Send(req, func(r *sip.Response, err error) {
		if err != nil {
			r = sip.NewResponse(-1, err.Error())
		}
		o.res <- r
	})
	if err != nil {
		u.w.t.Fatal(err)
	}
	o.tx = tx
	return o
}

// call dials with an offer of the given codecs.
func (u *ua) call(to string, codecs ...sdp.Codec) *outgoing {
	from := u.name
	if u.w.isTrunk(u.name) {
		from = "+13125550177"
	}
	return u.send(u.request(sip.INVITE, from, to, offer(codecs...)))
}

// wait returns the first response with one of the statuses; others before it are skipped only if provisional.
func (o *outgoing) wait(status int) *sip.Response {
	o.u.w.t.Helper()
	for {
		select {
		case r := <-o.res:
			if r.StatusCode == status {
				return r
			}
			if r.StatusCode < 100 || r.StatusCode >= 200 {
				o.u.w.t.Fatalf("%s got %d %s, want %d", o.u.name, r.StatusCode, r.Reason, status)
			}
		case <-time.After(deadline):
			o.u.w.t.Fatalf("%s waits for %d", o.u.name, status)
		}
	}
}

// up waits for 200 and acknowledges it.
func (o *outgoing) up(body []byte) *sip.Response {
	o.u.w.t.Helper()
	res := o.wait(200)
	o.dlg = dialog{callID: o.req.CallID().Value(), local: party{uri: o.req.From().Address}, remote: party{uri: o.req.To().Address}, localSeq: o.req.CSeq().SeqNo}
	o.dlg.local.tag, _ = o.req.From().Params.Get("tag")
	o.dlg.accepted(res)
	ack := o.dlg.numbered(sip.ACK, o.dlg.localSeq, o.u.conn)
	setSDP(ack, body)
	o.u.conn.Write(ack)
	return res
}

// within sends a request in the dialog.
func (o *outgoing) within(m sip.RequestMethod, body []byte) *outgoing {
	req := o.dlg.request(m, o.u.conn)
	if body != nil {
		setSDP(req, body)
	}
	return o.u.send(req)
}

// incoming waits for a request of the method; provisional junk does not come here.
func (u *ua) incoming(m sip.RequestMethod) *stack.ServerTx {
	u.w.t.Helper()
	for {
		select {
		case tx := <-u.requests:
			if tx.Request().Method == m {
				return tx
			}
			u.w.t.Fatalf("%s got %s, want %s", u.name, tx.Request().Method, m)
		case <-time.After(deadline):
			u.w.t.Fatalf("%s waits for %s", u.name, m)
		}
	}
}

// answer accepts an INVITE with one codec and returns the dialog as the ua sees it.
func (u *ua) answer(tx *stack.ServerTx, codecs ...sdp.Codec) *outgoing {
	u.w.t.Helper()
	res := tx.Response(200, "OK")
	res.AppendHeader(&sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: u.name, Host: "127.0.0.1", Port: int(u.conn.Local().Port())}})
	setSDP(res, answerTo(u.w.t, tx.Request().Body(), codecs...))
	d := dialogFrom(tx)
	tx.Respond(res)
	return &outgoing{u: u, dlg: d}
}

func (u *ua) acked() *sip.Request {
	u.w.t.Helper()
	select {
	case r := <-u.acks:
		return r
	case <-time.After(deadline):
		u.w.t.Fatalf("%s waits for ACK", u.name)
	}
	return nil
}

// cancelled waits for a CANCEL and returns the INVITE that it cancels.
func (u *ua) cancelled() *stack.ServerTx {
	u.w.t.Helper()
	select {
	case tx := <-u.cancels:
		return tx
	case <-time.After(deadline):
		u.w.t.Fatalf("%s waits for CANCEL", u.name)
	}
	return nil
}

func (u *ua) bye() {
	u.w.t.Helper()
	u.incoming(sip.BYE).Reply(200, "OK")
}
