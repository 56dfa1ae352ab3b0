package ua

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/firmware/lab/voice"
	"holdfast/firmware/lab/wire"
)

// finalWait bounds the wait for an answer to anything but an INVITE (RFC 3261 timer F would be 32 s: the lab is not
// that patient).
const finalWait = 5 * time.Second

// Call is one dialog and its audio, in either direction.
type Call struct {
	agent    *Agent
	flow     atomic.Pointer[wire.Conn]
	outgoing bool
	id       string // Call-ID
	localTag string
	invite   *sip.Request // sent or received
	stream   *voice.Stream
	answered chan struct{}
	ended    chan struct{}
	ackSeen  chan struct{}
	ackOnce  sync.Once

	mu         sync.Mutex
	local      sip.Uri
	name       string
	remote     sip.Uri
	remoteTag  string
	target     sip.Uri
	routes     []sip.Header
	cseq       uint32
	statuses   []int
	reason     string // Reason header of the BYE or CANCEL
	by         string
	isAnswered bool
	isEnded    bool
	cancel     bool // we want an outgoing call cancelled
	trying     bool // a provisional response has come
	cancelSent bool
	finalSent  bool // an incoming call has its final response
	offered    bool // our offer went out in a 2xx; the answer comes in the ACK
	held       bool // by the peer
	reoffering bool
}

// conn is the connection that the call is on.
func (c *Call) conn() *wire.Conn { return c.flow.Load() }

// ID is the Call-ID.
func (c *Call) ID() string { return c.id }

// Invite is the first INVITE, as sent or received.
func (c *Call) Invite() *sip.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.invite
}

// Outgoing says whether this end made the call.
func (c *Call) Outgoing() bool { return c.outgoing }

// Media is the call's audio.
func (c *Call) Media() *voice.Stream { return c.stream }

// Answered is closed when the call is up.
func (c *Call) Answered() <-chan struct{} { return c.answered }

// Ended is closed when the call is over, or has failed.
func (c *Call) Ended() <-chan struct{} { return c.ended }

// Statuses are the responses to the first INVITE, in order; challenges excluded.
func (c *Call) Statuses() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]int(nil), c.statuses...)
}

// Status is the last response to the first INVITE; 0 before one came.
func (c *Call) Status() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.statuses) == 0 {
		return 0
	}
	return c.statuses[len(c.statuses)-1]
}

// EndedBy says who or what ended the call: "us", "peer", "cancelled", "rejected", "flow lost", "failed", "closed".
func (c *Call) EndedBy() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by
}

// Reason is the Reason header with which the peer ended or cancelled the call.
func (c *Call) Reason() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// Held says whether the peer holds this end.
func (c *Call) Held() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// Wait returns when the call is answered, or an error that says how it failed.
func (c *Call) Wait(ctx context.Context) error {
	select {
	case <-c.answered:
		return nil
	default:
	}
	select {
	case <-c.answered:
		return nil
	case <-c.ended:
		return fmt.Errorf("call %s with %s: status %d, %s", direction(c.outgoing), c.remote.User, c.Status(), c.EndedBy())
	case <-ctx.Done():
		return fmt.Errorf("call %s with %s: not answered, last status %d: %w", direction(c.outgoing), c.remote.User, c.Status(), ctx.Err())
	}
}

// WaitEnd returns when the call is over.
func (c *Call) WaitEnd(ctx context.Context) error {
	select {
	case <-c.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("call %s with %s still runs: %w", direction(c.outgoing), c.remote.User, ctx.Err())
	}
}

func direction(out bool) string {
	if out {
		return "out"
	}
	return "in"
}

// end is the one place where a call stops. It is idempotent.
func (c *Call) end(by string) {
	c.mu.Lock()
	if c.isEnded {
		c.mu.Unlock()
		return
	}
	c.isEnded, c.by = true, by
	c.mu.Unlock()
	c.agent.remove(c)
	close(c.ended)
	c.stream.Close()
}

func (c *Call) up() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isAnswered && !c.isEnded {
		c.isAnswered = true
		close(c.answered)
	}
}

func (c *Call) note(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.statuses) < 100 {
		c.statuses = append(c.statuses, status)
	}
}

func (c *Call) setReason(req *sip.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := req.GetHeader("Reason"); h != nil {
		c.reason = h.Value()
	}
}

// request builds a request inside the dialog (RFC 3261 §12.2.1.1).
func (c *Call) request(method sip.RequestMethod) *sip.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	if method != sip.ACK {
		c.cseq++
	}
	req := sip.NewRequest(method, c.target)
	for _, r := range c.routes {
		req.AppendHeader(r)
	}
	c.stamp(req, c.cseq)
	if c.remoteTag != "" {
		req.To().Params.Add("tag", c.remoteTag)
	}
	return req
}

// stamp adds what every request of the call carries. The caller holds mu.
func (c *Call) stamp(req *sip.Request, seq uint32) {
	from := &sip.FromHeader{DisplayName: c.name, Address: c.local, Params: sip.NewParams()}
	from.Params.Add("tag", c.localTag)
	req.AppendHeader(from)
	req.AppendHeader(&sip.ToHeader{Address: c.remote, Params: sip.NewParams()})
	id, hops := sip.CallIDHeader(c.id), sip.MaxForwardsHeader(70)
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: seq, MethodName: req.Method})
	req.AppendHeader(&hops)
	req.AppendHeader(c.agent.contact(c.conn()))
	req.AppendHeader(sip.NewHeader("User-Agent", c.agent.cfg.UserAgent))
	req.AppendHeader(sip.NewHeader("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, NOTIFY"))
	req.SetBody(nil)
}

func (a *Agent) contact(conn *wire.Conn) *sip.ContactHeader {
	at := a.cfg.Contact
	if !at.IsValid() {
		at = conn.Local()
	}
	u := sip.Uri{Scheme: "sip", User: a.cfg.User, Host: at.Addr().String(), Port: int(at.Port()), UriParams: sip.NewParams()}
	u.UriParams.Add("transport", "tls")
	return &sip.ContactHeader{Address: u, Params: sip.NewParams()}
}

// HangUp ends the call: BYE when it is up, CANCEL while an outgoing one rings, 480 for an incoming one.
func (c *Call) HangUp(ctx context.Context) error {
	c.mu.Lock()
	up, over := c.isAnswered, c.isEnded
	c.cancel = true
	c.mu.Unlock()
	switch {
	case over:
		return nil
	case !up && c.outgoing:
		c.tryCancel()
		return c.WaitEnd(ctx)
	case !up:
		c.final(480, "Temporarily Unavailable", nil)
		c.end("us")
		return nil
	}
	ctx, done := context.WithTimeout(ctx, finalWait)
	defer done()
	res, err := c.do(ctx, c.request(sip.BYE))
	c.end("us")
	if err != nil {
		return fmt.Errorf("BYE: %w", err)
	}
	if !res.IsSuccess() {
		return fmt.Errorf("BYE: answered %d %s", res.StatusCode, res.Reason)
	}
	return nil
}

func bodyOf(m interface {
	Body() []byte
	ContentType() *sip.ContentTypeHeader
}) []byte {
	if ct := m.ContentType(); ct == nil || ct.Value() != "application/sdp" {
		return nil
	}
	return m.Body()
}

func setSDP(m sip.Message, d voice.Description) {
	m.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	m.SetBody(d.Marshal())
}
