package ua

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"holdfast/firmware/lab/wire"
)

// ErrRefused is returned when a server does not take the credentials.
var ErrRefused = errors.New("ua: credentials refused")

// Authorize answers a 401 or 407: a copy of the request with credentials for the first challenge whose algorithm the
// agent knows (RFC 8760 §2.4), a new branch and the next CSeq. A request that had credentials already is refused.
func (a *Agent) Authorize(req *sip.Request, res *sip.Response) (*sip.Request, error) {
	ask, answer := "WWW-Authenticate", "Authorization"
	if res.StatusCode == 407 {
		ask, answer = "Proxy-Authenticate", "Proxy-Authorization"
	}
	stale := false
	for _, h := range res.GetHeaders(ask) {
		chal, err := digest.ParseChallenge(h.Value())
		if err != nil || !a.knows(chal.Algorithm) || !digest.CanDigest(chal) {
			continue
		}
		stale = stale || chal.Stale
		if req.GetHeader(answer) != nil && !stale {
			return nil, fmt.Errorf("%w: %s %d", ErrRefused, req.Method, res.StatusCode)
		}
		cred, err := digest.Digest(chal, digest.Options{
			Method: string(req.Method), URI: req.Recipient.String(), Username: a.cfg.User, Password: a.cfg.Password, Count: 1,
		})
		if err != nil {
			return nil, fmt.Errorf("ua: digest: %w", err)
		}
		again := req.Clone()
		again.RemoveHeader("Via")
		again.RemoveHeader(answer)
		again.CSeq().SeqNo++
		again.AppendHeader(sip.NewHeader(answer, cred.String()))
		return again, nil
	}
	return nil, fmt.Errorf("%w: no challenge that this end knows in %d %s", ErrRefused, res.StatusCode, res.Reason)
}

func (a *Agent) knows(algorithm string) bool {
	if algorithm == "" {
		algorithm = "MD5"
	}
	return slices.Contains(a.cfg.Algorithms, algorithm)
}

// Do sends a request outside a dialog and waits for the final response; one challenge is answered.
func (a *Agent) Do(ctx context.Context, conn *wire.Conn, req *sip.Request) (*sip.Response, error) {
	res, err := conn.Do(ctx, req)
	if err != nil || (res.StatusCode != 401 && res.StatusCode != 407) || a.cfg.Password == "" {
		return res, err
	}
	again, err := a.Authorize(req, res)
	if err != nil {
		return res, err
	}
	return conn.Do(ctx, again)
}

// do is Do inside a dialog, where the CSeq must stay in step.
func (c *Call) do(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	res, err := c.agent.Do(ctx, c.conn(), req)
	c.mu.Lock()
	defer c.mu.Unlock()
	if res != nil && res.CSeq() != nil {
		c.cseq = max(c.cseq, res.CSeq().SeqNo)
	}
	return res, err
}
