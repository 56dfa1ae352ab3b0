package ua

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/firmware/lab/voice"
	"holdfast/firmware/lab/wire"
)

// Hold puts the peer on hold: re-INVITE with sendonly (RFC 3264 §8.4), and this end falls silent, as a phone does.
func (c *Call) Hold(ctx context.Context) error {
	c.stream.Mute(true)
	return c.reoffer(ctx, "sendonly")
}

// Resume takes the peer off hold.
func (c *Call) Resume(ctx context.Context) error {
	err := c.reoffer(ctx, "sendrecv")
	c.stream.Mute(false)
	return err
}

// reoffer sends a re-INVITE; glare (491) is tried again after the pause of RFC 3261 §14.1, shortened.
func (c *Call) reoffer(ctx context.Context, dir string) error {
	ctx, done := context.WithTimeout(ctx, 2*finalWait)
	defer done()
	for {
		status, err := c.reinvite(ctx, dir)
		if err != nil {
			return fmt.Errorf("re-INVITE %s: %w", dir, err)
		}
		if status != 491 {
			if status >= 300 {
				return fmt.Errorf("re-INVITE %s: answered %d", dir, status)
			}
			return nil
		}
		select {
		case <-time.After(time.Duration(100+rand.IntN(900)) * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *Call) reinvite(ctx context.Context, dir string) (int, error) {
	c.setReoffering(true)
	defer c.setReoffering(false)
	req := c.request(sip.INVITE)
	setSDP(req, c.stream.Offer(dir))
	for {
		tx, err := c.conn().Start(req)
		if err != nil {
			return 0, err
		}
		var res *sip.Response
		for res == nil || res.IsProvisional() {
			if res, err = tx.Next(ctx); err != nil {
				tx.End()
				return 0, err
			}
		}
		tx.End()
		if res.StatusCode >= 300 {
			c.ackFailure(req, res)
			if (res.StatusCode == 401 || res.StatusCode == 407) && c.agent.cfg.Password != "" {
				if req, err = c.agent.Authorize(req, res); err != nil {
					return 0, err
				}
				c.mu.Lock()
				c.cseq = req.CSeq().SeqNo
				c.mu.Unlock()
				continue
			}
			return res.StatusCode, nil
		}
		c.mu.Lock()
		if res.Contact() != nil { // target refresh
			c.target = res.Contact().Address
		}
		c.mu.Unlock()
		ack := c.request(sip.ACK)
		ack.CSeq().SeqNo = req.CSeq().SeqNo
		ack.PrependHeader(c.conn().NewVia())
		if err := c.conn().Send(ack); err != nil {
			return 0, err
		}
		d, err := voice.ParseDescription(bodyOf(res))
		if err != nil {
			return 0, err
		}
		return res.StatusCode, c.stream.Accept(d)
	}
}

func (c *Call) setReoffering(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reoffering = on
}

// reoffered answers the peer's re-INVITE or UPDATE.
func (c *Call) reoffered(conn *wire.Conn, req *sip.Request) {
	c.mu.Lock()
	glare := c.reoffering
	if !glare && req.Contact() != nil {
		c.target = req.Contact().Address
	}
	c.mu.Unlock()
	if glare {
		c.agent.respond(conn, req, 491, "Request Pending")
		return
	}
	var answer voice.Description
	body := bodyOf(req)
	switch {
	case len(body) > 0:
		offer, err := voice.ParseDescription(body)
		if err == nil {
			answer, err = c.stream.Answer(offer)
		}
		if err != nil {
			c.agent.problem("offer of %s: %v", req.Method, err)
			c.agent.respond(conn, req, 488, "Not Acceptable Here")
			return
		}
		c.mu.Lock()
		c.held = offer.Direction == "sendonly" || offer.Direction == "inactive" || offer.Addr.Addr().IsUnspecified()
		c.mu.Unlock()
	case req.Method == sip.INVITE:
		answer = c.stream.Offer("sendrecv")
		c.mu.Lock()
		c.offered, c.held = true, false
		c.mu.Unlock()
	default: // an UPDATE without a body refreshes the session only
		c.agent.respond(conn, req, 200, "OK", c.agent.contact(c.conn()))
		return
	}
	res := sip.NewResponseFromRequest(req, 200, "OK", nil)
	res.AppendHeader(c.agent.contact(c.conn()))
	res.AppendHeader(sip.NewHeader("Server", c.agent.cfg.UserAgent))
	setSDP(res, answer)
	conn.Send(res)
}
