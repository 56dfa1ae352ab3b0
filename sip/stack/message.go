package stack

import (
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Request lets the composition root name the type of OnAck's argument without a need for sipgo.
type Request = sip.Request

// Response is the same for OnStray's.
type Response = sip.Response

// NewTag returns a random From or To tag of 80 bits (RFC 3261 §19.3 asks for 32).
func NewTag() string { return strings.ToLower(rand.Text()[:16]) }

// NewCallID returns a random Call-ID that names no host.
func NewCallID() string { return strings.ToLower(rand.Text()) }

// NewBranch returns a random branch with the RFC 3261 magic cookie.
func NewBranch() string { return sip.RFC3261BranchMagicCookie + strings.ToLower(rand.Text()[:20]) }

// NewVia is the box's Via for a request on this connection, with a branch of its own.
func (c *Conn) NewVia() *sip.ViaHeader {
	via := &sip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: c.over.String(),
		Host: c.contact.Addr().String(), Port: int(c.contact.Port()), Params: sip.NewParams()}
	via.Params.Add("branch", NewBranch())
	via.Params.Add("rport", "")
	return via
}

// NewResponse builds a response to req (RFC 3261 §8.2.6): Via, From, To, Call-ID and CSeq copied, a To tag added where
// there is none and the status is not 100. Nothing else of the request is copied.
func NewResponse(req *sip.Request, status int, reason, toTag string) *sip.Response {
	res := sip.NewResponse(status, reason)
	sip.CopyHeaders("Via", req, res)
	res.AppendHeader(sip.HeaderClone(req.From()))
	to := sip.HeaderClone(req.To()).(*sip.ToHeader)
	if !to.Params.Has("tag") && status != 100 {
		if toTag == "" {
			toTag = NewTag()
		}
		to.Params.Add("tag", toTag)
	}
	res.AppendHeader(to)
	res.AppendHeader(sip.HeaderClone(req.CallID()))
	res.AppendHeader(sip.HeaderClone(req.CSeq()))
	res.SetBody(nil) // Content-Length: 0
	return res
}

// stampVia adds received and rport to a request's top Via (RFC 3261 §18.2.1, RFC 3581), so that responses show the
// phone the address that it is seen under.
func (c *Conn) stampVia(r *sip.Request) {
	via := r.Via()
	if v, ok := via.Params.Get("rport"); ok && v == "" {
		via.Params.Add("rport", fmt.Sprint(c.remote.Port()))
		via.Params.Add("received", c.remote.Addr().String())
	} else if via.Host != c.remote.Addr().String() {
		via.Params.Add("received", c.remote.Addr().String())
	}
}
