package ua

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/firmware/lab/voice"
	"holdfast/firmware/lab/wire"
)

// accept takes an INVITE outside a dialog.
func (a *Agent) accept(conn *wire.Conn, req *sip.Request) {
	var b Behaviour
	if a.cfg.Incoming != nil {
		b = a.cfg.Incoming(req)
	}
	a.respond(conn, req, 100, "Trying")
	if req.Contact() == nil || req.MaxForwards() == nil {
		a.problem("INVITE without Contact or Max-Forwards")
		a.respond(conn, req, 400, "Missing Contact or Max-Forwards")
		return
	}
	vc := a.cfg.Voice
	if b.Hz != 0 {
		vc.Hz = b.Hz
	}
	stream, err := voice.Open(vc)
	if err != nil {
		a.problem("incoming call: %v", err)
		a.respond(conn, req, 500, "No Media")
		return
	}
	c := newCall(a, conn, stream)
	c.id, c.localTag, c.invite = req.CallID().Value(), sip.GenerateTagN(12), req
	c.local, c.remote, c.target, c.name = req.To().Address, req.From().Address, req.Contact().Address, a.cfg.Name
	c.remoteTag, _ = req.From().Params.Get("tag")
	for _, h := range req.GetHeaders("Record-Route") {
		c.routes = append(c.routes, sip.NewHeader("Route", h.Value()))
	}
	a.add(c)
	a.owned.Go(func() { c.serve(b) })
	select {
	case a.incoming <- c:
	default:
	}
}

// serve treats an incoming call as the behaviour says.
func (c *Call) serve(b Behaviour) {
	if b.Reject != 0 {
		c.final(b.Reject, reasonOf(b.Reject), nil)
		c.end("rejected")
		return
	}
	sdp, err := c.localDescription()
	if err != nil {
		if !errors.Is(err, voice.ErrNoCommon) { // nothing in common is no breach of protocol
			c.agent.problem("offer of INVITE: %v", err)
		}
		c.final(488, "Not Acceptable Here", nil)
		c.end("rejected")
		return
	}
	switch {
	case b.Early:
		c.response(183, "Session Progress", &sdp)
	case b.RingFor > 0 || b.Never:
		c.response(180, "Ringing", nil)
	}
	wait := time.NewTimer(b.RingFor)
	defer wait.Stop()
	if b.Never {
		wait.Stop()
	}
	lost := c.conn().Done()
	if c.agent.cfg.Outlives {
		lost = nil
	}
	select {
	case <-c.ended:
		return
	case <-lost:
		c.end("flow lost")
		return
	case <-wait.C:
	}
	if !c.final(200, "OK", &sdp) {
		return
	}
	c.up()
	if !c.untilAcked(&sdp, lost) {
		return
	}
	if b.HangUpAfter > 0 {
		select {
		case <-c.ended:
			return
		case <-time.After(b.HangUpAfter):
		}
		if err := c.HangUp(context.Background()); err != nil {
			c.agent.problem("hang up: %v", err)
		}
		return
	}
	c.watch()
}

// A 2xx is said again from T1 to T2 apart until its ACK comes, over TLS too: it may have been said on a connection that has fallen. Who
// hears none for 64*T1 ends the call (RFC 3261 §13.3.1.4).
const (
	t1 = 500 * time.Millisecond
	t2 = 4 * time.Second
)

// untilAcked reports whether the ACK of the 2xx has come.
func (c *Call) untilAcked(sdp *voice.Description, lost <-chan struct{}) bool {
	end := time.NewTimer(64 * t1)
	defer end.Stop()
	for every := t1; ; every = min(2*every, t2) {
		again := time.NewTimer(every)
		select {
		case <-again.C:
			c.respond(200, "OK", sdp)
			continue
		case <-c.ackSeen:
		case <-c.ended:
		case <-lost:
			c.end("flow lost")
		case <-end.C:
			c.agent.problem("no ACK for the 200 of call %s", c.id)
			if err := c.HangUp(context.Background()); err != nil {
				c.agent.problem("hang up: %v", err)
			}
		}
		again.Stop()
		select {
		case <-c.ended:
			return false
		default:
			return true
		}
	}
}

// localDescription answers the INVITE's offer, or makes an offer when it has none.
func (c *Call) localDescription() (voice.Description, error) {
	body := bodyOf(c.invite)
	if len(body) == 0 {
		c.mu.Lock()
		c.offered = true
		c.mu.Unlock()
		return c.stream.Offer("sendrecv"), nil
	}
	offer, err := voice.ParseDescription(body)
	if err != nil {
		return voice.Description{}, err
	}
	return c.stream.Answer(offer)
}

func (c *Call) response(status int, reason string, sdp *voice.Description) {
	c.respond(status, reason, sdp)
	c.note(status)
}

// respond sends a response to the first INVITE, on the call's present connection.
func (c *Call) respond(status int, reason string, sdp *voice.Description) {
	res := sip.NewResponseFromRequest(c.invite, status, reason, nil)
	res.To().Params.Add("tag", c.localTag)
	res.AppendHeader(c.agent.contact(c.conn()))
	res.AppendHeader(sip.NewHeader("Server", c.agent.cfg.UserAgent))
	if sdp != nil {
		setSDP(res, *sdp)
	}
	c.conn().Send(res)
}

// final sends the final response, once; false when there was one already.
func (c *Call) final(status int, reason string, sdp *voice.Description) bool {
	c.mu.Lock()
	done := c.isEnded || c.finalSent
	c.finalSent = true
	c.mu.Unlock()
	if !done {
		c.response(status, reason, sdp)
	}
	return !done
}

func (a *Agent) cancelled(conn *wire.Conn, req *sip.Request) {
	branch, _ := req.Via().Params.Get("branch")
	a.mu.Lock()
	var found *Call
	for _, c := range a.calls {
		if c.outgoing || c.id != req.CallID().Value() {
			continue
		}
		if b, _ := c.invite.Via().Params.Get("branch"); b == branch {
			found = c
		}
	}
	a.mu.Unlock()
	if found == nil {
		a.respond(conn, req, 481, "Call/Transaction Does Not Exist")
		return
	}
	if a.cfg.Outlives {
		found.flow.Store(conn)
	}
	a.respond(conn, req, 200, "OK")
	found.setReason(req)
	if found.final(487, "Request Terminated", nil) { // else too late: the call stays up
		found.end("cancelled")
	}
}

// acked takes the ACK of our 2xx, with the answer when the offer was ours.
func (c *Call) acked(req *sip.Request) {
	c.mu.Lock()
	offered := c.offered
	c.offered = false
	c.mu.Unlock()
	if offered {
		d, err := voice.ParseDescription(bodyOf(req))
		if err == nil {
			err = c.stream.Accept(d)
		}
		if err != nil {
			c.agent.problem("answer in ACK: %v", err)
		}
	}
	c.ackOnce.Do(func() { close(c.ackSeen) })
}

func reasonOf(status int) string {
	reasons := map[int]string{
		404: "Not Found", 480: "Temporarily Unavailable", 486: "Busy Here", 488: "Not Acceptable Here",
		500: "Server Internal Error", 503: "Service Unavailable", 603: "Decline",
	}
	if r, ok := reasons[status]; ok {
		return r
	}
	return fmt.Sprintf("Status %d", status)
}
