package b2bua

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/emiago/sipgo/sip"

	"holdfast/sip/route"
	"holdfast/sip/stack"
)

// maxTransfers bounds how often the parties of one call are handed on.
const maxTransfers = 20

// refer answers a REFER within the call (RFC 3515): the box transfers by itself, and passes no REFER on. Where the target
// may go, sip/route says, with the transferor's rights.
func (c *Call) refer(l *leg, tx *stack.ServerTx) {
	stays := c.other(l)
	switch {
	case c.state == Over || c.state == Waiting || c.locked(l):
		tx.Reply(403, "Not During This Call")
		return
	case c.state != Up || c.changing || stays == nil || l.onAck != nil:
		tx.Reply(491, "Request Pending")
		return
	case c.transfers >= maxTransfers:
		tx.Reply(403, "Too Many Transfers")
		return
	}
	to, err := referTo(tx.Request())
	if err != nil {
		tx.Reply(400, "Bad Refer-To")
		return
	}
	m := &transfer{by: l, stays: stays}
	m.told = subscription{leg: l, event: "refer", quiet: lists(tx.Request(), "refer-sub", "false")}
	if c.transfers > 0 { // RFC 3515 §2.4.6: a later REFER of a dialog needs telling apart
		m.told.event = fmt.Sprintf("refer;id=%d", tx.Request().CSeq().SeqNo)
	}
	if r := c.aim(m, l, to, tx); r.status != 0 {
		c.log.Info("transfer refused", "leg", l.name, "aor", l.aor(), "status", r.status)
		tx.Reply(r.status, r.reason)
		return
	}
	if m.decision.Kind == route.Park {
		if !c.agent.enterPark(m.decision.Number, c) {
			tx.Reply(486, "Somebody Is Parked There")
			return
		}
		m.place = m.decision.Number
	}
	c.transfers++
	accepted := tx.Response(202, "Accepted")
	accepted.AppendHeader(&sip.ContactHeader{Address: l.dlg.contact})
	if m.told.quiet {
		accepted.AppendHeader(sip.NewHeader("Refer-Sub", "false"))
	}
	tx.Respond(accepted)
	c.log.Info("transfer", "leg", l.name, "aor", l.aor(), "to", m.decision.Kind.String(), "attended", m.from != nil)
	c.moving = m
	if m.decision.Kind == route.Park {
		c.feed(inPark, nil, nil)
		return
	}
	c.notify(m, 100)
	c.feed(inRefer, nil, nil)
}

// aim finds out what the transfer goes to.
func (c *Call) aim(m *transfer, l *leg, to target, tx *stack.ServerTx) refusal {
	if to.replaces != nil {
		far, r := c.agent.named(to.replaces)
		switch {
		case r.status != 0:
			return r
		case far.call == c:
			return refusal{status: 400, reason: "Replaces Names This Call"}
		case !l.sameParty(far):
			return refusal{status: 403, reason: "Not Your Call"}
		}
		m.from = far
		return refusal{}
	}
	from := route.FromUser(l.user)
	if l.trunk != nil {
		from = route.FromTrunk(l.trunk)
	}
	q := route.Query{From: from, Scheme: to.scheme, Target: to.user, Host: to.host}
	if q.Host == tx.Conn().Contact().Addr().String() || l.trunk != nil {
		q.Host = ""
	}
	d := c.decide(m, q)
	switch {
	case d.Kind == route.Emergency:
		return refusal{status: 403, reason: "Nobody Is Transferred To An Emergency Number"} // help would look for the wrong person
	case d.Kind == route.Pickup:
		return refusal{status: 403, reason: "Forbidden"}
	case d.Kind == route.Reject:
		return refusal{status: d.Status, reason: d.Reason}
	case d.Kind == route.ToUser && d.User == m.stays.user:
		return refusal{status: 482, reason: "Loop Detected"}
	}
	m.decision = d
	return refusal{}
}

// decide asks the router where a transfer goes; the party that stays is not rung.
func (c *Call) decide(m *transfer, q route.Query) route.Decision {
	if m.stays.user != nil {
		q.Visited = []string{m.stays.user.ID}
	}
	return route.Decide(c.site, c.agent.o.Policy(), c.agent.view(), q)
}

// sameParty reports whether two legs belong to one user, or to one trunk.
func (l *leg) sameParty(o *leg) bool {
	if l.user != nil && o.user != nil {
		return l.user.ID == o.user.ID
	}
	return l.trunk != nil && o.trunk != nil && l.trunk.ID == o.trunk.ID
}

// target is what a Refer-To names.
type target struct {
	scheme, user, host string
	replaces           *replaced
}

var errReferTo = errors.New("bad Refer-To")

// referTo reads the one Refer-To (compact form r).
func referTo(req *sip.Request) (target, error) {
	list := append(req.GetHeaders("refer-to"), req.GetHeaders("r")...)
	if len(list) != 1 || len(list[0].Value()) > 1000 {
		return target{}, errReferTo
	}
	return parseReferTo(list[0].Value())
}

// parseReferTo reads a Refer-To's value. The URI's headers are taken out before it is parsed: only Replaces and method
// mean anything here.
func parseReferTo(value string) (target, error) {
	value = strings.TrimSpace(value)
	if i := strings.IndexByte(value, '<'); i >= 0 {
		var ok bool
		if value, _, ok = strings.Cut(value[i+1:], ">"); !ok {
			return target{}, errReferTo
		}
	}
	value, headers, _ := strings.Cut(value, "?")
	if _, method, ok := strings.Cut(strings.ToLower(value), ";method="); ok {
		if method, _, _ = strings.Cut(method, ";"); method != "invite" {
			return target{}, errReferTo
		}
	}
	var uri sip.Uri
	if err := sip.ParseUri(value, &uri); err != nil {
		return target{}, fmt.Errorf("%w: %w", errReferTo, err)
	}
	to := target{scheme: strings.ToLower(uri.Scheme), user: uri.User, host: uri.Host}
	if to.scheme == "tel" || to.scheme == "urn" {
		to.user, to.host = uri.Raw(), ""
	}
	for h := range strings.SplitSeq(headers, "&") {
		name, v, _ := strings.Cut(h, "=")
		if !strings.EqualFold(name, "replaces") {
			continue
		}
		plain, err := url.PathUnescape(v)
		if err != nil || to.replaces != nil {
			return target{}, errReferTo
		}
		if to.replaces, err = parseReplaces(plain); err != nil {
			return target{}, err
		}
	}
	if to.user == "" {
		return target{}, errReferTo
	}
	return to, nil
}
