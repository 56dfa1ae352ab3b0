package ua

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/firmware/lab/voice"
	"holdfast/firmware/lab/wire"
)

// DialOptions vary an outgoing call.
type DialOptions struct {
	From    string       // another user part than the agent's own
	Host    string       // host of the Request-URI and To, default the agent's domain
	NoOffer bool         // INVITE without SDP; the offer comes in the 2xx (RFC 3261 §13.2.1)
	Codecs  []string     // other codecs than the agent's own
	Headers []sip.Header // added to the INVITE
}

// setupWait bounds an outgoing call's setup.
const setupWait = 60 * time.Second

// Dial starts a call over a connection and returns at once; Wait tells how it went.
func (a *Agent) Dial(conn *wire.Conn, to string, o DialOptions) (*Call, error) {
	vc := a.cfg.Voice
	if o.Codecs != nil {
		vc.Codecs = o.Codecs
	}
	stream, err := voice.Open(vc)
	if err != nil {
		return nil, err
	}
	if o.From == "" {
		o.From = a.cfg.User
	}
	if o.Host == "" {
		o.Host = a.cfg.Domain
	}
	c := newCall(a, conn, stream)
	c.outgoing, c.id, c.localTag, c.name = true, rand.Text(), sip.GenerateTagN(12), a.cfg.Name
	c.local = sip.Uri{Scheme: "sip", User: o.From, Host: a.cfg.Domain}
	c.remote = sip.Uri{Scheme: "sip", User: to, Host: o.Host}
	c.target = c.remote
	c.invite = c.request(sip.INVITE)
	for _, h := range o.Headers {
		c.invite.AppendHeader(h)
	}
	if !o.NoOffer {
		setSDP(c.invite, stream.Offer("sendrecv"))
	}
	a.add(c)
	a.owned.Go(func() { c.setup(o.NoOffer) })
	return c, nil
}

func newCall(a *Agent, conn *wire.Conn, stream *voice.Stream) *Call {
	c := &Call{agent: a, stream: stream,
		answered: make(chan struct{}), ended: make(chan struct{}), ackSeen: make(chan struct{})}
	c.flow.Store(conn)
	return c
}

// setup runs an outgoing INVITE to its end, then watches the call's connection.
func (c *Call) setup(noOffer bool) {
	ctx, done := context.WithTimeout(context.Background(), setupWait)
	defer done()
	if err := c.runInvite(ctx, noOffer); err != nil {
		if !errors.Is(err, errRejected) {
			c.agent.problem("INVITE %s: %v", c.remote.User, err)
		}
		c.end("failed")
		return
	}
	c.watch()
}

// watch ends the call when its connection is lost: a phone has no other way to its server. An agent whose calls outlive it
// waits for the next.
func (c *Call) watch() {
	if c.agent.cfg.Outlives {
		<-c.ended
		return
	}
	select {
	case <-c.ended:
	case <-c.conn().Done():
		c.end("flow lost")
	}
}

var errRejected = errors.New("rejected")

func (c *Call) runInvite(ctx context.Context, noOffer bool) error {
	req := c.invite
	for {
		tx, err := c.conn().Start(req)
		if err != nil {
			return err
		}
		res, err := c.responses(ctx, tx)
		tx.End()
		if err != nil {
			return err
		}
		if res.IsSuccess() {
			return c.confirm(ctx, req, res, noOffer)
		}
		c.ackFailure(req, res)
		if (res.StatusCode == 401 || res.StatusCode == 407) && c.agent.cfg.Password != "" {
			next, err := c.agent.Authorize(req, res)
			if err != nil {
				c.note(res.StatusCode)
				return err
			}
			req = next
			c.mu.Lock()
			c.invite, c.cseq = next, next.CSeq().SeqNo
			c.mu.Unlock()
			continue
		}
		c.note(res.StatusCode)
		c.end(map[bool]string{true: "cancelled", false: "rejected"}[res.StatusCode == 487])
		return errRejected
	}
}

// responses waits for the final response; a provisional one may start early media, and lets a wish to cancel out.
func (c *Call) responses(ctx context.Context, tx *wire.Tx) (*sip.Response, error) {
	for {
		res, err := tx.Next(ctx)
		if err != nil {
			return nil, err
		}
		if !res.IsProvisional() {
			return res, nil
		}
		if res.StatusCode > 100 {
			c.note(res.StatusCode)
			if body := bodyOf(res); body != nil {
				if d, err := voice.ParseDescription(body); err != nil {
					c.agent.problem("SDP of %d: %v", res.StatusCode, err)
				} else if err := c.stream.Accept(d); err != nil {
					c.agent.problem("SDP of %d: %v", res.StatusCode, err)
				}
			}
		}
		c.mu.Lock()
		c.trying = true
		c.mu.Unlock()
		c.tryCancel()
	}
}

// confirm takes a 2xx: dialog, answer, ACK.
func (c *Call) confirm(ctx context.Context, req *sip.Request, res *sip.Response, noOffer bool) error {
	tag, _ := res.To().Params.Get("tag")
	if tag == "" || res.Contact() == nil {
		c.agent.problem("2xx to INVITE without To tag or Contact")
		return errors.New("2xx without To tag or Contact")
	}
	c.mu.Lock()
	c.remoteTag, c.target = tag, res.Contact().Address
	rr := res.GetHeaders("Record-Route")
	for i := len(rr) - 1; i >= 0; i-- {
		c.routes = append(c.routes, sip.NewHeader("Route", rr[i].Value()))
	}
	c.mu.Unlock()
	ack := c.request(sip.ACK)
	ack.CSeq().SeqNo = req.CSeq().SeqNo
	d, err := voice.ParseDescription(bodyOf(res))
	switch {
	case err != nil:
	case noOffer:
		var answer voice.Description
		if answer, err = c.stream.Answer(d); err == nil {
			setSDP(ack, answer)
		}
	default:
		err = c.stream.Accept(d)
	}
	ack.PrependHeader(c.conn().NewVia())
	if sendErr := c.conn().Send(ack); sendErr != nil {
		return sendErr
	}
	c.note(res.StatusCode)
	c.mu.Lock()
	cancelled := c.cancel
	c.mu.Unlock()
	if err != nil || cancelled { // the answer crossed the CANCEL (RFC 3261 §15.1.2), or cannot be used
		c.do(ctx, c.request(sip.BYE))
		c.end("us")
		if err != nil {
			return fmt.Errorf("SDP of 2xx: %w", err)
		}
		return errRejected
	}
	c.up()
	return nil
}

func (c *Call) ackFailure(req *sip.Request, res *sip.Response) {
	ack := sip.NewRequest(sip.ACK, req.Recipient)
	ack.AppendHeader(sip.HeaderClone(req.Via()))
	ack.AppendHeader(sip.HeaderClone(req.From()))
	ack.AppendHeader(sip.HeaderClone(res.To()))
	ack.AppendHeader(sip.HeaderClone(req.CallID()))
	ack.AppendHeader(&sip.CSeqHeader{SeqNo: req.CSeq().SeqNo, MethodName: sip.ACK})
	hops := sip.MaxForwardsHeader(70)
	ack.AppendHeader(&hops)
	ack.SetBody(nil)
	c.conn().Send(ack)
}

// tryCancel sends the CANCEL that somebody wishes, once, when a provisional response has come (RFC 3261 §9.1).
func (c *Call) tryCancel() {
	c.mu.Lock()
	due := c.cancel && c.trying && !c.cancelSent
	c.cancelSent = c.cancelSent || due
	invite := c.invite
	c.mu.Unlock()
	if due {
		c.cancelNow(invite)
	}
}

func (c *Call) cancelNow(invite *sip.Request) {
	req := sip.NewRequest(sip.CANCEL, invite.Recipient)
	for _, h := range []sip.Header{invite.Via(), invite.From(), invite.To(), invite.CallID()} {
		req.AppendHeader(sip.HeaderClone(h))
	}
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: sip.CANCEL})
	req.SetBody(nil)
	tx, err := c.conn().Start(req)
	if err != nil {
		return
	}
	c.agent.owned.Go(func() {
		defer tx.End()
		ctx, done := context.WithTimeout(context.Background(), finalWait)
		defer done()
		if res, err := tx.Next(ctx); err != nil {
			c.agent.problem("CANCEL: %v", err)
		} else if !res.IsSuccess() && res.StatusCode != 481 { // 481: it crossed the final response (RFC 3261 §9.2)
			c.agent.problem("CANCEL answered %d %s", res.StatusCode, res.Reason)
		}
	})
}
