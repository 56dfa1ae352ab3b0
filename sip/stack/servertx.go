package stack

import (
	"sync"

	"github.com/emiago/sipgo/sip"
)

// ServerTx is a server transaction (RFC 3261 §17.2). Over TLS and TCP, which lose nothing, it ends with its final
// response: there is nothing to retransmit, the ACK of a refusal needs no state, and a 2xx belongs to the layer above
// (§13.3.1.4). A flood of requests that are refused at once therefore leaves nothing behind. Over UDP it lingers (repeat.go).
type ServerTx struct {
	conn *Conn
	req  *sip.Request
	key  string
	tag  string // To tag of every response

	mu        sync.Mutex
	final     bool
	cancelled bool
	onCancel  func()
	onGone    func()
	lingering // over UDP
}

// Past is a transaction of the program's last life: it has had its final response, whatever is sent in it is dropped, and
// it has no connection.
func Past(req *sip.Request) *ServerTx { return &ServerTx{req: req, final: true} }

// Conn is the connection that the request came on.
func (t *ServerTx) Conn() *Conn { return t.conn }

// Request is the request; read only.
func (t *ServerTx) Request() *sip.Request { return t.req }

// Method is the request's method.
func (t *ServerTx) Method() string { return string(t.req.Method) }

// Tag is the To tag that Respond uses where the request had none.
func (t *ServerTx) Tag() string { return t.tag }

// Response builds a response to the request, with the transaction's tag.
func (t *ServerTx) Response(status int, reason string) *sip.Response {
	return NewResponse(t.req, status, reason, t.tag)
}

// Reply builds and sends a response without a body.
func (t *ServerTx) Reply(status int, reason string, headers ...sip.Header) error {
	res := t.Response(status, reason)
	for _, h := range headers {
		res.AppendHeader(h)
	}
	return t.Respond(res)
}

// Respond sends a response. A second final one is dropped: the first stands.
func (t *ServerTx) Respond(res *sip.Response) error {
	t.mu.Lock()
	if t.final {
		t.mu.Unlock()
		return nil
	}
	if res.StatusCode >= 200 {
		t.final = true
		t.onCancel, t.onGone = nil, nil
	}
	final := t.final
	raw := []byte(res.String())
	lingers := t.conn.over == UDP && !t.conn.Closed()
	if lingers {
		t.sent(res, raw)
	}
	t.mu.Unlock()
	if final && !lingers {
		t.conn.s.servers.remove(t)
	}
	return t.conn.write(raw)
}

// Answered tells whether a final response was sent.
func (t *ServerTx) Answered() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.final
}

// OnCancel sets what a CANCEL does; it runs at once if the CANCEL has come already, else from the read loop, so it must
// not block. The CANCEL itself is answered by
// the stack; the INVITE's 487 is the caller's to send.
func (t *ServerTx) OnCancel(f func()) {
	t.mu.Lock()
	now := t.cancelled
	if !now && !t.final {
		t.onCancel = f
	}
	t.mu.Unlock()
	if now {
		f()
	}
}

// OnGone sets what happens when the connection is lost before the final response; if that has
// happened already it runs at once, in a goroutine of its own, since the caller may hold what f takes.
func (t *ServerTx) OnGone(f func()) {
	t.mu.Lock()
	now := !t.final && t.conn.Closed()
	if !now && !t.final {
		t.onGone = f
	}
	t.mu.Unlock()
	if now {
		go f()
	}
}

func (t *ServerTx) cancel() {
	t.mu.Lock()
	f := t.onCancel
	t.onCancel, t.cancelled = nil, true
	t.mu.Unlock()
	if f != nil {
		f()
	}
}

// serverTxs are the open server transactions. The key holds the flow: nobody matches another connection's transaction.
type serverTxs struct {
	mu sync.Mutex
	m  map[string]*ServerTx
}

func (s *serverTxs) init() { s.m = make(map[string]*ServerTx) }

func (s *serverTxs) find(key string) *ServerTx {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[key]
}

// add returns the transaction that exists already (this is a retransmission), or says that there are too many.
func (s *serverTxs) add(t *ServerTx, most, perConn int) (dup *ServerTx, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if had := s.m[t.key]; had != nil {
		return had, false
	}
	if len(s.m) >= most || int(t.conn.use.open.Load()) >= perConn {
		return nil, true
	}
	s.m[t.key] = t
	t.conn.use.open.Add(1)
	return nil, false
}

func (s *serverTxs) remove(t *ServerTx) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[t.key] == t {
		delete(s.m, t.key)
		t.conn.use.open.Add(-1)
	}
}

// dropConn ends the transactions of a lost connection and tells their owners.
func (s *serverTxs) dropConn(c *Conn) {
	if c.use.open.Load() == 0 {
		return
	}
	var gone []func()
	s.mu.Lock()
	for k, t := range s.m {
		if t.conn != c {
			continue
		}
		delete(s.m, k)
		c.use.open.Add(-1)
		t.mu.Lock()
		if t.onGone != nil {
			gone = append(gone, t.onGone)
		}
		t.onCancel, t.onGone = nil, nil
		t.quiet()
		t.mu.Unlock()
	}
	s.mu.Unlock()
	for _, f := range gone {
		f()
	}
}
