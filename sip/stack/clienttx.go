package stack

import (
	"errors"
	"math"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// ErrTimeout means that no final response came in 64*T1 (timers B and F, RFC 3261 §17.1).
var ErrTimeout = errors.New("no response in time")

// ErrTooMany means that the bound on open transactions is reached.
var ErrTooMany = errors.New("too many open transactions")

// ClientTx is a client transaction (RFC 3261 §17.1, RFC 6026); over UDP it repeats what may be lost (repeat.go). Its
// owner's function gets every response in order, and at most one error, after which nothing more comes.
type ClientTx struct {
	conn *Conn
	req  *sip.Request
	key  string
	on   func(*sip.Response, error)

	mu          sync.Mutex
	timer       *time.Timer
	provisional bool // a 1xx has come
	final       bool
	done        bool
	wantCancel  bool
	cancelSent  bool
	cancelOver  bool // likewise over another connection
	reason      []sip.Header
	repeating   // over UDP
}

// Send starts a client transaction on the connection. on is called from the connection's read loop or a timer, never
// from within Send, and must not block for long. For an INVITE every 2xx is passed on for 64*T1 after the first
// (RFC 6026 §8.5); a refusal's ACK is sent here.
func (c *Conn) Send(req *sip.Request, on func(*sip.Response, error)) (*ClientTx, error) {
	return c.send(req, on, false)
}

func (c *Conn) send(req *sip.Request, on func(*sip.Response, error), urgent bool) (*ClientTx, error) {
	via := req.Via()
	if via == nil {
		via = c.NewVia()
		req.PrependHeader(via)
	}
	if req.ContentLength() == nil {
		req.SetBody(req.Body())
	}
	branch, _ := via.Params.Get("branch")
	t, err := c.begin(req, branch, on, urgent)
	if err != nil {
		return nil, err
	}
	if err := t.launch(); err != nil {
		if ended, _ := t.end(); ended {
			return nil, err
		}
		// The connection's end came between and has told on already: it must not be told twice.
	}
	return t, nil
}

// begin registers a client transaction and starts its timer B or F.
func (c *Conn) begin(req *sip.Request, branch string, on func(*sip.Response, error), urgent bool) (*ClientTx, error) {
	t := &ClientTx{conn: c, req: req, key: clientKey(branch, string(req.Method)), on: on}
	t.mu.Lock() // holds a timer that fires at once back until the timer is known
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(c.s.o.Timers.B, t.timeout)
	most := c.s.o.Limits.ClientTransactions
	if urgent {
		most = math.MaxInt // the calls that send it are bounded themselves
	}
	if !c.s.clients.add(t, most) {
		t.done = true
		t.timer.Stop()
		return nil, ErrTooMany
	}
	return t, nil
}

// Request is what was sent; read only.
func (t *ClientTx) Request() *sip.Request { return t.req }

// Conn is the connection that the request was sent on.
func (t *ClientTx) Conn() *Conn { return t.conn }

// Cancel cancels an INVITE (RFC 3261 §9.1; anything else is left alone, as it must be): at once if a provisional response has come, else as soon as one comes.
// The transaction then ends with its final response, usually 487; without one in 64*T1 with ErrTimeout. A reason
// (RFC 3326) goes with the CANCEL, so that phones do not list a call that was answered elsewhere as missed.
func (t *ClientTx) Cancel(reason ...sip.Header) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.final || t.done || t.wantCancel || t.req.Method != sip.INVITE {
		return
	}
	t.wantCancel, t.reason = true, reason
	t.timer.Reset(t.conn.s.o.Timers.B)
	if t.provisional {
		t.sendCancel()
	}
}

// CancelOver sends the CANCEL of an INVITE that is cancelled over another connection to the same peer, once, whether or not a provisional
// response has come: where the INVITE's own connection brings nothing back, the INVITE may be there all the same. RFC 3261 §9.1
// has a CANCEL wait for a provisional response because it could overtake its INVITE. This one may, too: then it meets 481, and the
// CANCEL that Cancel has promised still follows the first response. It finds its INVITE by the branch, whatever the connection (§17.2.3).
func (t *ClientTx) CancelOver(c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.final || t.done || !t.wantCancel || t.cancelOver || c == t.conn {
		return
	}
	t.cancelOver = true
	t.writeCancel(c)
}

func (t *ClientTx) sendCancel() {
	if !t.cancelSent {
		t.cancelSent = true
		t.writeCancel(t.conn)
	}
}

func (t *ClientTx) writeCancel(c *Conn) {
	cancel := sip.NewRequest(sip.CANCEL, t.req.Recipient)
	cancel.AppendHeader(t.req.Via().Clone())
	sip.CopyHeaders("Route", t.req, cancel)
	cancel.AppendHeader(sip.HeaderClone(t.req.From()))
	cancel.AppendHeader(sip.HeaderClone(t.req.To()))
	cancel.AppendHeader(sip.HeaderClone(t.req.CallID()))
	cancel.AppendHeader(&sip.CSeqHeader{SeqNo: t.req.CSeq().SeqNo, MethodName: sip.CANCEL})
	hops := sip.MaxForwardsHeader(70)
	cancel.AppendHeader(&hops)
	for _, h := range t.reason {
		cancel.AppendHeader(h)
	}
	branch, _ := t.req.Via().Params.Get("branch")
	// The CANCEL's own response says nothing that the INVITE's does not; it only has to match something.
	// Without room for that it counts as stray.
	cancel.SetBody(nil)
	if ct, err := c.begin(cancel, branch, func(*sip.Response, error) {}, false); err == nil {
		ct.launch()
		return
	}
	c.Write(cancel)
}

// Forget ends the transaction without a word: its answer has come another way.
func (t *ClientTx) Forget() { t.end() }

// receive handles one response.
func (t *ClientTx) receive(res *sip.Response) {
	over, news := t.take(res)
	if over {
		t.end()
	}
	if news {
		t.on(res, nil)
	}
}

// take tells whether the response ends the transaction, and whether its owner is to hear of it.
func (t *ClientTx) take(res *sip.Response) (over, news bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return false, false
	}
	invite := t.req.Method == sip.INVITE
	switch {
	case res.StatusCode < 200:
		if t.final {
			return false, false
		}
		t.provisional = true
		t.waits(invite)
		switch tag, _ := t.req.To().Params.Get("tag"); {
		case t.wantCancel:
			t.sendCancel()
		case invite && tag != "":
			t.timer.Reset(2 * t.conn.s.o.Timers.B) // nobody has to pick up in a dialog: without an answer it is not waited for in vain
		case invite:
			t.timer.Stop() // timer B ends with the first provisional response; how long it may ring is the caller's
		}
		return false, true
	case invite && res.StatusCode < 300:
		if !t.final {
			t.timer.Reset(t.conn.s.o.Timers.B) // Accepted state: timer M
		}
		t.final = true
		t.again.stop()
		return false, true
	}
	t.again.stop()
	if invite {
		t.conn.Write(ackFor(t.req, res))
	}
	if t.final { // a refusal after a 2xx of another branch: acknowledged, else ignored
		return false, false
	}
	t.final = true
	if invite && t.conn.over == UDP { // timer D: the refusal may come again, for its ACK was lost
		t.timer.Reset(t.conn.s.o.Timers.B)
		return false, true
	}
	return true, true
}

func (t *ClientTx) timeout() { t.fail(ErrTimeout) }

// fail ends the transaction; its owner is told if no final response came.
func (t *ClientTx) fail(err error) {
	if ended, answered := t.end(); ended && !answered {
		t.on(nil, err)
	}
}

// end removes the transaction. It tells whether this call ended it, and whether a final response had come by then.
func (t *ClientTx) end() (ended, answered bool) {
	t.mu.Lock()
	if t.done {
		t.mu.Unlock()
		return false, t.final
	}
	t.done, answered = true, t.final
	t.timer.Stop()
	t.again.stop()
	t.mu.Unlock()
	t.conn.s.clients.remove(t)
	return true, answered
}

// ackFor is the ACK of a refusal (RFC 3261 §17.1.1.3).
func ackFor(invite *sip.Request, res *sip.Response) *sip.Request {
	ack := sip.NewRequest(sip.ACK, invite.Recipient)
	ack.AppendHeader(invite.Via().Clone())
	sip.CopyHeaders("Route", invite, ack)
	ack.AppendHeader(sip.HeaderClone(invite.From()))
	ack.AppendHeader(sip.HeaderClone(res.To()))
	ack.AppendHeader(sip.HeaderClone(invite.CallID()))
	ack.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: sip.ACK})
	hops := sip.MaxForwardsHeader(70)
	ack.AppendHeader(&hops)
	ack.SetBody(nil)
	return ack
}

func clientKey(branch, method string) string { return method + " " + branch }

// clientTxs are the open client transactions.
type clientTxs struct {
	mu sync.Mutex
	m  map[string]*ClientTx
}

func (c *clientTxs) init() { c.m = make(map[string]*ClientTx) }

func (c *clientTxs) add(t *ClientTx, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= most {
		return false
	}
	c.m[t.key] = t
	return true
}

func (c *clientTxs) remove(t *ClientTx) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m[t.key] == t {
		delete(c.m, t.key)
	}
}

// find matches a response (RFC 3261 §17.1.3); only one that came on the request's own connection does,
// or from the same device.
func (c *clientTxs) find(conn *Conn, res *sip.Response) *ClientTx {
	branch, _ := res.Via().Params.Get("branch")
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.m[clientKey(branch, string(res.CSeq().MethodName))]; t != nil && t.conn.same(conn) {
		return t
	}
	return nil
}

// on reports whether one is open on the connection.
func (c *clientTxs) on(conn *Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.m {
		if t.conn == conn {
			return true
		}
	}
	return false
}

func (c *clientTxs) failConn(conn *Conn, err error) {
	c.failWhere(func(t *ClientTx) bool { return t.conn == conn }, err)
}

func (c *clientTxs) failAll(err error) { c.failWhere(func(*ClientTx) bool { return true }, err) }

func (c *clientTxs) failWhere(match func(*ClientTx) bool, err error) {
	var hit []*ClientTx
	c.mu.Lock()
	for _, t := range c.m {
		if match(t) {
			hit = append(hit, t)
		}
	}
	c.mu.Unlock()
	for _, t := range hit {
		t.fail(err)
	}
}
