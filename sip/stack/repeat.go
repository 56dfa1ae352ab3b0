package stack

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/emiago/sipgo/sip"
)

// What RFC 3261 §17 and RFC 6026 ask of transactions over UDP, which loses datagrams and doubles them. Over TLS and TCP
// none of it happens.

// t4 is how long a message may stay in the network (RFC 3261 §17.1.2.2).
const t4 = 5 * time.Second

// ticker is a timer that may not have been started.
type ticker struct{ *time.Timer }

func (t ticker) stop() {
	if t.Timer != nil {
		t.Stop()
	}
}

// repeating is a client transaction's part: timers A and E. Guarded by the transaction's mu.
type repeating struct {
	again ticker
	wait  time.Duration
	raw   []byte // the request
}

// launch sends the request, over UDP again and again until it is answered: after T1, then twice as long each time, anything
// but an INVITE after T2 at the latest (§17.1.1.2, §17.1.2.2).
func (t *ClientTx) launch() error {
	raw := []byte(t.req.String())
	if t.conn.over == UDP {
		t.mu.Lock()
		if !t.done {
			t.raw, t.wait = raw, t.conn.s.o.Timers.T1
			t.again = ticker{time.AfterFunc(t.wait, t.repeat)}
		}
		t.mu.Unlock()
	}
	return t.conn.write(raw)
}

func (t *ClientTx) repeat() {
	t.mu.Lock()
	invite := t.req.Method == sip.INVITE
	if t.done || t.final || invite && t.provisional {
		t.mu.Unlock()
		return
	}
	if t.wait *= 2; !invite {
		t.wait = min(t.wait, t.conn.s.o.Timers.T2)
	}
	t.again.Reset(t.wait)
	t.mu.Unlock()
	t.conn.write(t.raw)
}

// waits takes note of a provisional response: the request has arrived. Anything but an INVITE is still repeated, since its
// final response comes but once. The caller holds mu.
func (t *ClientTx) waits(invite bool) {
	if invite {
		t.again.stop()
	} else {
		t.wait = t.conn.s.o.Timers.T2
	}
}

// same reports whether a response on o can be to a request on c. A device on UDP may answer from another port.
func (c *Conn) same(o *Conn) bool {
	return c == o || c.over == UDP && o.over == UDP && c.remote.Addr() == o.remote.Addr()
}

// lingering is a server transaction's part: it keeps what was answered until no retransmission can come any more (timers
// H, J and L), and repeats a refused INVITE's answer until its ACK comes (timer G). Guarded by the transaction's mu.
type lingering struct {
	answer  []byte // the last response
	status  int    // the final one's
	acked   bool
	pause   time.Duration
	refused ticker // timer G
	ends    ticker // H, I, J or L
}

// transactionCost is what a transaction on UDP is counted with beside its message, bytes.
const transactionCost = 512

// brushesOff reports whether a final response leaves nothing behind (RFC 3261 §8.2.7): over UDP whoever is refused before
// anything else was said, outside of every dialog, is told again when it asks again, under the same To tag. Anybody could
// borrow a device's address for such a request; it is to cost one datagram and no memory. The caller holds mu.
func (t *ServerTx) brushesOff(status int) bool {
	if t.conn == nil || t.conn.over != UDP || status < 300 || t.said || t.cancelled || t.final {
		return false
	}
	tag, _ := t.req.To().Params.Get("tag")
	return tag == "" || t.req.Method == sip.REGISTER || status == 481
}

// tagOf is the To tag of a refusal that nothing is kept of.
func (s *Stack) tagOf(key string) string {
	h := hmac.New(sha256.New, s.secret[:])
	h.Write([]byte(key))
	return hex.EncodeToString(h.Sum(nil)[:10]) // 80 bits, as NewTag's
}

// linger is what stays of the transaction after its final response: not the request. The caller holds mu.
func (t *ServerTx) linger(res *sip.Response, raw []byte) *ServerTx {
	l := &ServerTx{conn: t.conn, key: t.key, tag: t.tag, final: true}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer, l.status = raw, res.StatusCode
	timers := t.conn.s.o.Timers
	l.ends = ticker{time.AfterFunc(timers.B, l.forget)}
	switch {
	case t.req.Method != sip.INVITE:
	case res.StatusCode < 300:
		l.answer = nil // Accepted: a repeated INVITE gets nothing, the 2xx is repeated by the layer above (RFC 6026 §7.1)
	default:
		l.pause = timers.T1
		l.refused = ticker{time.AfterFunc(l.pause, l.refuseAgain)}
	}
	l.size = transactionCost + len(l.answer)
	return l
}

func (t *ServerTx) refuseAgain() {
	t.mu.Lock()
	if t.acked || t.answer == nil {
		t.mu.Unlock()
		return
	}
	t.pause = min(2*t.pause, t.conn.s.o.Timers.T2)
	t.refused.Reset(t.pause)
	raw := t.answer
	t.mu.Unlock()
	t.conn.write(raw)
}

// repeated takes a retransmission of the request: whoever sent it has not seen the answer.
func (t *ServerTx) repeated() {
	t.mu.Lock()
	raw := t.answer
	if t.acked {
		raw = nil
	}
	t.mu.Unlock()
	if raw != nil {
		t.conn.write(raw)
	}
}

// confirm takes an ACK; true if it is that of the transaction's refusal.
func (t *ServerTx) confirm() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.status < 300 {
		return false
	}
	if !t.acked {
		t.acked = true
		t.refused.stop()
		t.ends.Reset(min(t4, t.conn.s.o.Timers.B)) // timer I
	}
	return true
}

// quiet ends the repetitions. The caller holds mu.
func (t *ServerTx) quiet() {
	t.refused.stop()
	t.ends.stop()
	t.answer = nil
}

// forget ends the transaction.
func (t *ServerTx) forget() {
	t.mu.Lock()
	t.quiet()
	t.mu.Unlock()
	t.conn.s.servers.end(t, nil)
}
