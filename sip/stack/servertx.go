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
	size int    // over UDP: the bytes that it is counted with

	next, prev *ServerTx // its connection's others; guarded by serverTxs.mu

	mu        sync.Mutex
	said      bool // a provisional response was sent
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
	tag := t.tag
	t.mu.Lock()
	if t.brushesOff(status) {
		tag = t.conn.s.tagOf(t.key)
	}
	t.mu.Unlock()
	return NewResponse(t.req, status, reason, tag)
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
	raw := []byte(res.String())
	var left *ServerTx
	if res.StatusCode < 200 {
		t.said = true
		if t.conn.over == UDP {
			t.answer = raw
		}
	} else {
		if t.conn.over == UDP && !t.conn.Closed() && !t.brushesOff(res.StatusCode) {
			left = t.linger(res, raw)
		}
		t.final = true
		t.onCancel, t.onGone, t.answer = nil, nil, nil
	}
	final := t.final
	t.mu.Unlock()
	if final {
		t.conn.s.servers.end(t, left)
	}
	return t.conn.write(raw)
}

// Answered tells whether a final response was sent.
func (t *ServerTx) Answered() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.final
}

// OnCancel sets what a CANCEL does. It runs from the read loop, so it must not block; if the CANCEL has come already it
// runs at once, in a goroutine of its own, as OnGone's does. The CANCEL itself is answered by the stack; the INVITE's 487 is the
// caller's to send.
func (t *ServerTx) OnCancel(f func()) {
	t.mu.Lock()
	now := t.cancelled
	if !now && !t.final {
		t.onCancel = f
	}
	t.mu.Unlock()
	if now {
		go f()
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

// serverTxs are the open server transactions. The key holds the flow, over UDP its address, of a trunk who it is: nobody matches
// another peer's transaction.
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

// room is how much there may be: transactions of all, and of one connection or device with their bytes.
type room struct{ all, perConn, bytes int }

// add returns the transaction that exists already (this is a retransmission), or says that there are too many.
func (s *serverTxs) add(t *ServerTx, most room) (dup *ServerTx, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if had := s.m[t.key]; had != nil {
		return had, false
	}
	use := t.conn.use
	if len(s.m) >= most.all || int(use.open.Load()) >= most.perConn || t.size > 0 && int(use.bytes.Load())+t.size > most.bytes {
		return nil, true
	}
	s.enter(t)
	t.conn.unanswered.Add(1)
	return nil, false
}

// enter and leave keep the books. The caller holds mu.
func (s *serverTxs) enter(t *ServerTx) {
	c := t.conn
	s.m[t.key] = t
	c.use.open.Add(1)
	c.use.bytes.Add(int64(t.size))
	c.s.held.Add(int64(t.size))
	if t.next = c.txs; t.next != nil {
		t.next.prev = t
	}
	c.txs = t
}

func (s *serverTxs) leave(t *ServerTx) {
	c := t.conn
	delete(s.m, t.key)
	c.use.open.Add(-1)
	c.use.bytes.Add(-int64(t.size))
	c.s.held.Add(-int64(t.size))
	if t.req != nil { // not what lingers of one
		c.unanswered.Add(-1)
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		c.txs = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.next, t.prev = nil, nil
}

// end takes a transaction out; left, if not nil, lingers in its place.
func (s *serverTxs) end(t, left *ServerTx) {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := s.m[t.key] == t
	if there {
		s.leave(t)
	}
	switch {
	case left == nil:
	case there:
		s.enter(left)
	default: // its connection is lost
		left.mu.Lock()
		left.quiet()
		left.mu.Unlock()
	}
}

// dropConn ends the transactions of a lost connection and tells their owners.
func (s *serverTxs) dropConn(c *Conn) {
	var gone []func()
	s.mu.Lock()
	for c.txs != nil {
		t := c.txs
		s.leave(t)
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
