package b2bua

import (
	"net/netip"
	"strings"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/stack"
)

// dialog is one leg's dialog state (RFC 3261 §12), seen from the box. Nothing in it comes from the other leg.
type dialog struct {
	callID   string
	local    party // From of the box's requests
	remote   party // To of the box's requests
	target   sip.Uri
	routes   []sip.Uri
	localSeq uint32
	nextSeq  uint64 // the least number of the peer's next request; it may begin with any, 0 too (§12.2.1.1)
	contact  sip.Uri
}

// party is a name, an address and a tag.
type party struct {
	name string
	uri  sip.Uri
	tag  string
}

func (p party) params() sip.HeaderParams {
	h := sip.NewParams()
	if p.tag != "" {
		h.Add("tag", p.tag)
	}
	return h
}

// key finds a leg by the Call-ID and the box's own tag.
func (d *dialog) key() string { return dialogKey(d.callID, d.local.tag) }

func dialogKey(callID, localTag string) string { return callID + "\x00" + localTag }

// request builds a request in the dialog (RFC 3261 §12.2.1.1); an ACK takes the INVITE's number instead of a new one.
func (d *dialog) request(method sip.RequestMethod, c *stack.Conn) *sip.Request {
	d.localSeq++
	return d.numbered(method, d.localSeq, c)
}

func (d *dialog) numbered(method sip.RequestMethod, seq uint32, c *stack.Conn) *sip.Request {
	req := sip.NewRequest(method, d.target)
	req.AppendHeader(c.NewVia())
	for _, r := range d.routes {
		req.AppendHeader(&sip.RouteHeader{Address: r})
	}
	req.AppendHeader(&sip.FromHeader{DisplayName: d.local.name, Address: d.local.uri, Params: d.local.params()})
	req.AppendHeader(&sip.ToHeader{DisplayName: d.remote.name, Address: d.remote.uri, Params: d.remote.params()})
	id := sip.CallIDHeader(d.callID)
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: seq, MethodName: method})
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	switch method {
	case sip.INVITE, sip.UPDATE:
		req.AppendHeader(&sip.ContactHeader{Address: d.contact})
		req.AppendHeader(sip.NewHeader("Allow", allow))
		req.AppendHeader(sip.NewHeader("Supported", supported(c)))
	case sip.NOTIFY:
		req.AppendHeader(&sip.ContactHeader{Address: d.contact})
	}
	return req
}

// contactFor is the box's Contact on a connection, with a user part that says nothing.
func contactFor(c *stack.Conn) sip.Uri {
	return contactAt(c.Contact(), c.Over())
}

func contactAt(at netip.AddrPort, over stack.Transport) sip.Uri {
	u := sip.Uri{Scheme: "sip", User: "hf-" + stack.NewTag(), Host: at.Addr().String(), Port: int(at.Port()), UriParams: sip.NewParams()}
	u.UriParams.Add("transport", strings.ToLower(over.String()))
	return u
}

// accepted takes what a 2xx (or a reliable provisional) to the box's INVITE fixes: tag, target, route set.
func (d *dialog) accepted(res *sip.Response) {
	if to := res.To(); to != nil {
		d.remote.tag, _ = to.Params.Get("tag")
	}
	d.retarget(res.Contact())
	d.routes = d.routes[:0]
	rr := res.GetHeaders("record-route")
	for i := len(rr) - 1; i >= 0; i-- {
		if h, ok := rr[i].(*sip.RecordRouteHeader); ok {
			d.routes = append(d.routes, *h.Address.Clone())
		}
	}
}

// retarget follows the peer's Contact (RFC 3261 §12.2), if requests can be sent there at all.
func (d *dialog) retarget(ct *sip.ContactHeader) {
	if ct != nil && ct.Address.Host != "" && (ct.Address.Scheme == "sip" || ct.Address.Scheme == "sips") {
		d.target = *ct.Address.Clone()
		d.target.Headers = nil // they may not stand in a Request-URI (RFC 3261 §19.1.1)
	}
}

// dialogFrom makes the dialog that an INVITE to the box opens.
func dialogFrom(tx *stack.ServerTx) dialog {
	req := tx.Request()
	tag, _ := req.From().Params.Get("tag")
	d := dialog{
		callID:  req.CallID().Value(),
		local:   party{name: req.To().DisplayName, uri: *req.To().Address.Clone(), tag: tx.Tag()},
		remote:  party{name: req.From().DisplayName, uri: *req.From().Address.Clone(), tag: tag},
		nextSeq: uint64(req.CSeq().SeqNo) + 1,
		contact: contactFor(tx.Conn()),
	}
	d.target = d.remote.uri // of a peer without a usable Contact
	d.retarget(req.Contact())
	for _, h := range req.GetHeaders("record-route") {
		if rr, ok := h.(*sip.RecordRouteHeader); ok && len(d.routes) < 20 {
			d.routes = append(d.routes, *rr.Address.Clone())
		}
	}
	return d
}

// allow is what the box lets do within and outside of a dialog (RFC 3261 §20.5).
const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, REFER"

// supported are the extensions that the box knows in calls (RFC 3261 §20.37). Replaces is for phones: an SBC has no
// business with their calls.
func supported(c *stack.Conn) string {
	if c.Side() == stack.Trunk {
		return "100rel, timer"
	}
	return "100rel, timer, replaces, norefersub"
}

// lists reports whether a header of comma-separated tokens names one; case does not matter. Supported also by its compact
// name.
func lists(m sip.Message, header, token string) bool {
	names := []string{header}
	if header == "supported" {
		names = append(names, "k")
	}
	for _, name := range names {
		for _, h := range m.GetHeaders(name) {
			for v := range strings.SplitSeq(h.Value(), ",") {
				if strings.EqualFold(strings.TrimSpace(v), token) {
					return true
				}
			}
		}
	}
	return false
}

// knows reports whether the sender of m supports or requires an extension.
func knows(m sip.Message, option string) bool {
	return lists(m, "supported", option) || lists(m, "require", option)
}

// quoted makes a display name safe between quotes: sipgo writes it as it is.
func quoted(name string) string {
	var b strings.Builder
	for _, r := range name {
		if b.Len() > 64 {
			break
		}
		switch {
		case r == '"' || r == '\\' || r < ' ' || r == 0x7f:
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
