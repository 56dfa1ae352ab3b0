package b2bua

import (
	"github.com/emiago/sipgo/sip"

	"holdfast/sip/route"
)

// redirect obeys a phone's 3xx (RFC 3261 §21.3): its user does not want the call here, so the other phones stop ringing
// and the call goes where the first usable Contact says, as far as sip/route lets that user send it. false when there is
// nothing to obey: a callback goes where its chain goes, and the others that it rings ring on.
func (c *Call) redirect(l *leg, res *sip.Response) bool {
	target, ok := c.redirectTarget(l, res)
	if !ok || l.user != c.decision.User || c.decision.Callback {
		return false
	}
	l.pending, l.status = false, res.StatusCode
	c.dropBranch(l)
	d := route.Redirect(c.decision, l.user, target)
	c.log.Info("redirected", "leg", l.name, "aor", l.aor(), "to", clip(target), "kind", d.Kind.String())
	if d.Kind == route.Reject {
		c.refusal = refusal{}
		c.branchFailed(l, 480, nil)
		return true
	}
	c.ringing.stop()
	c.cancelBranches(nil, nil)
	c.decision, c.refusal = d, refusal{}
	c.dial()
	return true
}

// redirectTarget is the user part of the first Contact that names this site.
func (c *Call) redirectTarget(l *leg, res *sip.Response) (string, bool) {
	for i, h := range res.GetHeaders("contact") {
		if i == 5 {
			break
		}
		ct, ok := h.(*sip.ContactHeader)
		if !ok {
			continue
		}
		target, ok := c.here(ct.Address, l.conn.Contact().Addr().String())
		if ok {
			return target, true
		}
	}
	return "", false
}

// here is what a URI dials at this site: its user part, if its host is one of the site's names or the box's own address.
func (c *Call) here(u sip.Uri, own string) (string, bool) {
	switch u.Scheme {
	case "tel":
		return u.Raw(), true
	case "sip", "sips":
		if u.User != "" && (u.Host == own || c.site.IsDomain(u.Host)) {
			return u.User, true
		}
	}
	return "", false
}
