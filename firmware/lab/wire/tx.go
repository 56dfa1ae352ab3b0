package wire

import (
	"context"
	"fmt"

	"github.com/emiago/sipgo/sip"
)

// Tx is a request that waits for its responses (RFC 3261 §17.1 on a reliable transport).
type Tx struct {
	Request   *sip.Request
	Responses <-chan *sip.Response // every response, provisional ones too, in order
	responses chan *sip.Response
	c         *Conn
	key       string
}

// Start sends a request; a missing Via is added. The caller reads Responses and calls End.
func (c *Conn) Start(req *sip.Request) (*Tx, error) {
	if req.Via() == nil {
		req.PrependHeader(c.NewVia())
	}
	branch, _ := req.Via().Params.Get("branch")
	ch := make(chan *sip.Response, 32)
	tx := &Tx{Request: req, Responses: ch, responses: ch, c: c, key: txKey(branch, req.Method)}
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	c.pending[tx.key] = tx
	c.mu.Unlock()
	if err := c.Send(req); err != nil {
		tx.End()
		return nil, err
	}
	return tx, nil
}

// Next waits for the next response.
func (tx *Tx) Next(ctx context.Context) (*sip.Response, error) {
	select {
	case res := <-tx.responses:
		return res, nil
	default:
	}
	select {
	case res := <-tx.responses:
		return res, nil
	case <-tx.c.done:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer to %s: %w", tx.Request.Method, ctx.Err())
	}
}

// End forgets the request; later responses to it are dropped.
func (tx *Tx) End() {
	tx.c.mu.Lock()
	defer tx.c.mu.Unlock()
	delete(tx.c.pending, tx.key)
}

// Do sends a request and waits for its final response.
func (c *Conn) Do(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	tx, err := c.Start(req)
	if err != nil {
		return nil, err
	}
	defer tx.End()
	for {
		res, err := tx.Next(ctx)
		if err != nil || !res.IsProvisional() {
			return res, err
		}
	}
}

// NewVia is a Via of this connection with a fresh branch.
func (c *Conn) NewVia() *sip.ViaHeader {
	a := c.Local()
	v := &sip.ViaHeader{
		ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: "TLS",
		Host: a.Addr().String(), Port: int(a.Port()), Params: sip.NewParams(),
	}
	v.Params.Add("branch", sip.GenerateBranch())
	v.Params.Add("rport", "")
	return v
}

func (c *Conn) deliver(res *sip.Response) {
	via, cseq := res.Via(), res.CSeq()
	if via == nil || cseq == nil {
		return
	}
	branch, _ := via.Params.Get("branch")
	c.mu.Lock()
	tx := c.pending[txKey(branch, cseq.MethodName)]
	c.mu.Unlock()
	if tx == nil {
		return
	}
	select {
	case tx.responses <- res:
	default: // a peer that floods one request with responses loses the rest
	}
}

func txKey(branch string, method sip.RequestMethod) string { return branch + "|" + string(method) }
