package stack

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// receive takes one framed message off the wire; false ends the connection.
func (c *Conn) receive(raw []byte) (more bool) {
	defer c.contained(&more)
	if c.s.o.Trace != nil {
		c.s.o.Trace(c, false, raw)
	}
	m, err := c.indulge(contain(parse, raw))
	if err != nil {
		c.s.counters.Malformed.Add(1)
		if b, ok := err.(*malformed); ok {
			c.refuse(raw, b.status, b.reason)
		}
		return c.allow(time.Now()) // garbage counts against the rate; a stream of it ends the connection
	}
	return c.handle(m, len(raw))
}

// indulge takes an urgent INVITE outside of a dialog that requires an extension, or is addressed to an IPv6 address, with its
// CANCEL: help is not refused for what the box does not know. Any other message that could not be read stays so.
func (c *Conn) indulge(m sip.Message, err error) (sip.Message, error) {
	if err == errExtension || err == errIPv6 {
		if r, ok := m.(*sip.Request); ok && (r.Method == sip.INVITE || r.Method == sip.CANCEL) && !r.To().Params.Has("tag") && c.isUrgent(r) {
			return m, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// handle takes one parsed message, of size bytes; false ends the connection.
func (c *Conn) handle(m sip.Message, size int) bool {
	switch m := m.(type) {
	case *sip.Response:
		c.s.counters.Responses.Add(1)
		if t := c.s.clients.find(c, m); t != nil {
			t.receive(m)
		} else {
			// Late answers are normal, but nobody owes a stranger's connection many.
			c.s.counters.StrayResponses.Add(1)
			if !c.Authenticated() && !c.allow(time.Now()) {
				return false
			}
			if c.s.o.OnStray != nil && m.StatusCode/100 == 2 && m.CSeq().MethodName == sip.INVITE {
				c.s.o.OnStray(c, m)
			}
		}
	case *sip.Request:
		c.s.counters.Requests.Add(1)
		return c.request(m, size)
	}
	return true
}

// contain keeps a fault of the parser to the message that set it off: every call in the branch runs in this process.
func contain(parse func([]byte) (sip.Message, error), raw []byte) (m sip.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, bad(400, "Bad Request")
		}
	}()
	return parse(raw)
}

func (c *Conn) request(r *sip.Request, size int) bool {
	if r.Method == sip.ACK {
		if !c.allowRequest(r, time.Now()) {
			return !c.flooding() // an ACK has no answer
		}
		if t := c.s.servers.find(c.serverKey(r, sip.INVITE)); t != nil && t.confirm() {
			return true
		}
		if c.s.o.OnAck != nil {
			c.s.o.OnAck(c, r)
		}
		return true
	}
	if !c.allowRequest(r, time.Now()) {
		if c.flooding() {
			return false
		}
		c.Write(NewResponse(r, 503, "Service Unavailable", ""))
		return true
	}
	c.stampVia(r)
	key := c.serverKey(r, r.Method)
	if r.Method == sip.CANCEL {
		c.cancelRequest(r)
		return true
	}
	t := &ServerTx{conn: c, req: r, key: key, tag: NewTag()}
	lim := &c.s.o.Limits
	most := room{all: lim.ServerTransactions, perConn: lim.TransactionsPerConn, bytes: bytesPerDevice}
	if c.over == UDP {
		most.perConn = min(most.perConn, transactionsPerDevice)
		t.size = transactionCost + size
	}
	dup, full := c.s.servers.add(t, most)
	if full && c.isUrgent(r) {
		dup, full = c.s.servers.add(t, room{most.all + spareTransactions, most.perConn + sparePerConn, most.bytes + sparePerConn*maxDatagram})
	}
	switch {
	case dup != nil:
		dup.repeated() // over TLS a phone's mistake; the first is being handled
		return true
	case full:
		c.s.counters.RateLimited.Add(1)
		c.Write(NewResponse(r, 503, "Service Unavailable", ""))
		return true
	}
	if c.Closed() { // while this was being read: nobody would take it out of the books any more. It may be a call for help all the same
		c.s.servers.dropConn(c)
	}
	if tag, _ := r.To().Params.Get("tag"); tag != "" && r.Method != sip.REGISTER {
		c.serve(t) // within a dialog order counts (RFC 3261 §12.2.2): the handler only passes it on
		return true
	}
	c.s.wg.Add(1)
	go func() {
		defer c.s.wg.Done()
		c.serve(t)
	}()
	return true
}

func (c *Conn) serve(t *ServerTx) {
	defer t.contained()
	c.s.o.OnRequest(t)
}

// cancelRequest answers a CANCEL (RFC 3261 §9.2): 200 when its INVITE is open here, from the same peer, or the layer above
// knows it, else 481.
func (c *Conn) cancelRequest(r *sip.Request) {
	t := c.s.servers.find(c.serverKey(r, sip.INVITE))
	if t == nil {
		if c.s.o.OnCancel != nil {
			if tag, ok := c.s.o.OnCancel(c, r); ok {
				c.Write(NewResponse(r, 200, "OK", tag))
				return
			}
		}
		c.Write(NewResponse(r, 481, "Call/Transaction Does Not Exist", ""))
		return
	}
	c.Write(NewResponse(r, 200, "OK", t.tag))
	t.cancel()
}

// serverKey identifies a server transaction (RFC 3261 §17.2.3); a client older than RFC 3261 has no unique branch, so
// its request is told by Request-URI, From tag, Call-ID, CSeq and Via together.
func (c *Conn) serverKey(r *sip.Request, method sip.RequestMethod) string {
	via, from := r.Via(), strconv.FormatUint(c.flow, 10)
	switch who := c.Get(); {
	case c.over == UDP: // its address is all that a flow is: what is repeated there belongs to the transaction though the flow is another
		from = c.remote.String()
	case c.side == Trunk && who != nil: // an SBC has several connections, and may send the CANCEL on another than its INVITE
		from = fmt.Sprint("trunk ", who)
	}
	branch, _ := via.Params.Get("branch")
	if len(branch) > len(sip.RFC3261BranchMagicCookie) && strings.HasPrefix(branch, sip.RFC3261BranchMagicCookie) {
		return fmt.Sprintf("%s %s %s %s:%d", from, method, branch, via.Host, via.Port)
	}
	tag, _ := r.From().Params.Get("tag")
	return fmt.Sprintf("%s %s old %s %s %s %d %s:%d %s", from, method, r.Recipient.String(), tag, r.CallID().Value(), r.CSeq().SeqNo,
		via.Host, via.Port, branch)
}
